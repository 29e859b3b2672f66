//! Adit's reachability index over a DAG whose selected parents are known, and its whole placing of blocks by the plugin `ghostdag`.

use crate::dag::Dag;
use crate::kaspa::{self, Placed};
use adit_chain::HeaderChain;
use adit_chain::reachability::{Place, Reachability};
use adit_plugin_ghostdag::Ghostdag;
use adit_plugin_host::{Plugin, PluginSource, Sandbox, Settings};
use adit_plugin_sdk::testing::NativeRules;
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::engine::{ChainView, Fault, HashEngine, RulesEngine};
use adit_primitives::{BlockId, Hash256};
use std::sync::{Arc, LazyLock};

/// Headers given to the rules at once.
const BATCH: usize = 500;

/// The easiest target that a header can state.
const BITS: u32 = 0x207f_ffff;

/// Compiled once for all measurements, as a node does.
static GHOSTDAG: LazyLock<Plugin> = LazyLock::new(|| {
    let sandbox = Sandbox::new(Settings::STANDARD).expect("this machine runs the sandbox");
    let bytes = adit_plugin_bundle::find("ghostdag").expect("the plugin is bundled").bytes.to_vec();
    sandbox.load(&PluginSource { bytes, pinned: None }).expect("a bundled plugin loads")
});

/// How far behind a block those lie with which it is compared.
const NEAR: u32 = 60;

pub fn reachability(_: &Dag, placed: &[Placed]) -> Reachability {
    let mut index = Reachability::new();
    for (place, block) in (0_u32..).zip(placed).skip(1) {
        index.insert(place, block.selected, &block.merged);
    }
    index
}

/// Compares merge sets, and answers about blocks near one another, with rusty-kaspa's.
pub fn check(dag: &Dag, placed: &[Placed]) {
    let index = reachability(dag, placed);
    let theirs = kaspa::reachability(dag, placed);
    for (place, block) in (0_u32..).zip(placed).skip(1) {
        let parents = &dag.parents[place as usize];
        let merged =
            index.merge_set(block.selected, parents, block.merged.len(), |at: Place| &dag.parents[at as usize]);
        let mut want = block.merged.clone();
        want.sort_unstable();
        assert_eq!(merged, Some(want), "{}: the merge set of block {place}", dag.name);
        for near in place.saturating_sub(NEAR)..place {
            let want = kaspa::is_ancestor(&theirs, near, place);
            assert_eq!(index.is_ancestor(near, place), want, "{}: {near} above {place}", dag.name);
        }
    }
}

/// Places the blocks as a node does: the component in its sandbox, ancestors by the index.
pub fn sandboxed(dag: &Dag) -> HeaderChain {
    place(dag, Arc::new(GHOSTDAG.rules(&config(dag)).expect("the plugin takes its configuration")))
}

/// Places the blocks by the same rules in native code, to see what the sandbox costs.
pub fn native(dag: &Dag) -> HeaderChain {
    place(dag, Arc::new(NativeRules::<Ghostdag>::new(&config(dag))))
}

fn place(dag: &Dag, rules: Arc<dyn RulesEngine>) -> HeaderChain {
    let mut chain = HeaderChain::from_genesis(rules, Box::new(NoHash)).expect("the genesis is placed");
    for headers in dag.headers.chunks(BATCH) {
        chain.append(headers).expect("each block is valid");
    }
    chain
}

/// Compares selected parents, blue scores and colours with rusty-kaspa's.
pub fn check_placement(dag: &Dag, placed: &[Placed]) {
    let chain = sandboxed(dag);
    for (number, want) in (0_u32..).zip(placed).skip(1) {
        let got = chain.index().block(id(number)).expect("each block was placed");
        assert_eq!(got.selected_parent, Some(id(want.selected)), "{}: block {number}", dag.name);
        assert_eq!(got.height.0, want.blue_score, "{}: block {number}", dag.name);
    }
}

/// Writes a block as a header of the format `labelled`.
pub fn header(block: u32, parents: &[u32]) -> Vec<u8> {
    let mut header = id(block).0.to_vec();
    header.extend(0u64.to_le_bytes());
    header.extend(BITS.to_le_bytes());
    header.extend(u16::try_from(parents.len()).expect("few parents").to_le_bytes());
    header.extend(parents.iter().flat_map(|parent| id(*parent).0));
    header
}

/// The id that Kaspa's simulator gives: the number and one, as the last eight bytes.
fn id(block: u32) -> BlockId {
    let mut id = [0; 32];
    id[24..].copy_from_slice(&(u64::from(block) + 1).to_le_bytes());
    BlockId(id)
}

fn config(dag: &Dag) -> String {
    let genesis: String = header(0, &[]).iter().map(|byte| format!("{byte:02x}")).collect();
    let (k, header) = (dag.k, "labelled");
    serde_json::json!({
        "k": k, "parents-max": 256, "merge-set-max": 10_000, "header": header, "proof-of-work": false,
        "genesis": { "header": genesis }, "difficulty": { "rule": "fixed" },
    })
    .to_string()
}

/// The blocks need no proof of work.
struct NoHash;

impl HashEngine for NoHash {
    fn digest_many(&mut self, _: &[u8], _: usize, _: &mut Vec<Hash256>) -> Result<(), Fault> {
        Ok(())
    }

    fn search(&mut self, _: &SearchJob, _: u64, count: u64) -> Result<Scan, Fault> {
        Ok(Scan { scanned: count, found: Vec::new() })
    }
}
