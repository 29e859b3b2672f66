//! `adit:plugin@0.1`.

use super::{
    Contract, Description, HashContract, Kind, PayoutContract, QuorumContract, RulesContract, ShareContract,
    SpaceContract,
};
use crate::instance::Guest;
use crate::load::ConfigRefusal;
use adit_primitives::contract::payout::{Economics, FoundBlock, PayoutPlan, Pays, Window};
use adit_primitives::contract::{Draft, PowInput, Requirements, Template, Violation};
use adit_primitives::{BlockId, Hash256, Height, Target, Timestamp, U256};
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker};

/// The longest message of a panic that is kept, in bytes.
const PANIC_BYTES_MAX: usize = 1024;

mod hash {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "hash-plugin",
        imports: { default: trappable },
    });
}

mod consensus {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "consensus-plugin",
        imports: { default: trappable },
        with: {
            "adit:plugin/types": super::hash::adit::plugin::types,
            "adit:plugin/diagnostics": super::hash::adit::plugin::diagnostics,
        },
    });
}

mod space {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "space-plugin",
        imports: { default: trappable },
        with: {
            "adit:plugin/types": super::hash::adit::plugin::types,
            "adit:plugin/diagnostics": super::hash::adit::plugin::diagnostics,
            "adit:plugin/chain-view": super::consensus::adit::plugin::chain_view,
        },
    });
}

mod payout {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "payout-plugin",
        imports: { default: trappable },
        with: {
            "adit:plugin/types": super::hash::adit::plugin::types,
            "adit:plugin/diagnostics": super::hash::adit::plugin::diagnostics,
        },
    });
}

mod shares {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "shares-plugin",
        imports: { default: trappable },
        with: {
            "adit:plugin/types": super::hash::adit::plugin::types,
            "adit:plugin/diagnostics": super::hash::adit::plugin::diagnostics,
        },
    });
}

mod quorum {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "quorum-plugin",
        imports: { default: trappable },
        with: {
            "adit:plugin/types": super::hash::adit::plugin::types,
            "adit:plugin/diagnostics": super::hash::adit::plugin::diagnostics,
        },
    });
}

use hash::adit::plugin::types;
use payout::exports::adit::plugin::payout as exports;

/// Makes a world's bindings a [`Contract`]: what every kind exports.
macro_rules! contract {
    ($kind:ident, $module:ident, $world:ident, $resolved:ident) => {
        pub(crate) struct $kind($module::$world);

        impl Contract for $kind {
            type Ready = $module::$resolved<Guest>;

            fn ready(component: &Component) -> wasmtime::Result<Self::Ready> {
                let mut linker = Linker::new(component.engine());
                $module::$world::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
                $module::$resolved::new(linker.instantiate_pre(component)?)
            }

            fn start(ready: &Self::Ready, store: &mut Store<Guest>) -> wasmtime::Result<Self> {
                ready.instantiate(store).map(Self)
            }

            fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<Description> {
                self.0.adit_plugin_plugin().call_describe(store).map(Description::from)
            }

            fn schema(&self, store: &mut Store<Guest>) -> wasmtime::Result<String> {
                self.0.adit_plugin_plugin().call_schema(store)
            }

            fn configure(&self, store: &mut Store<Guest>, config: &str) -> wasmtime::Result<Result<(), ConfigRefusal>> {
                Ok(self.0.adit_plugin_plugin().call_configure(store, config)?.map_err(ConfigRefusal::from))
            }
        }
    };
}

contract!(Hash, hash, HashPlugin, HashPluginPre);
contract!(Rules, consensus, ConsensusPlugin, ConsensusPluginPre);
contract!(Space, space, SpacePlugin, SpacePluginPre);
contract!(Payout, payout, PayoutPlugin, PayoutPluginPre);
contract!(Shares, shares, SharesPlugin, SharesPluginPre);
contract!(Quorum, quorum, QuorumPlugin, QuorumPluginPre);

impl HashContract for Hash {
    fn prepare(&self, store: &mut Store<Guest>, epoch: u64, seed: Hash256) -> wasmtime::Result<()> {
        self.0.adit_plugin_hash().call_prepare(store, epoch, seed.into())
    }

    fn digest(&self, store: &mut Store<Guest>, input: &[u8]) -> wasmtime::Result<Hash256> {
        self.0.adit_plugin_hash().call_digest(store, input).map(Hash256::from)
    }

    fn digest_many(&self, store: &mut Store<Guest>, inputs: &[u8], each: u32) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_hash().call_digest_many(store, inputs, each)
    }

    fn search(&self, store: &mut Store<Guest>, job: &[u8], first: u64, count: u64) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_hash().call_search(store, job, first, count)
    }
}

impl RulesContract for Rules {
    fn genesis(&self, store: &mut Store<Guest>) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_rules().call_genesis(store)
    }

    fn decode_many(&self, store: &mut Store<Guest>, headers: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_rules().call_decode_many(store, headers)
    }

    fn place_many(&self, store: &mut Store<Guest>, candidates: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_rules().call_place_many(store, candidates)
    }

    fn next(
        &self,
        store: &mut Store<Guest>,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> wasmtime::Result<Result<Requirements, Violation>> {
        let tips: Vec<types::Hash256> = tips.iter().map(|tip| Hash256(tip.0).into()).collect();
        let answer = self.0.adit_plugin_rules().call_next(store, &tips, wish)?;
        Ok(answer.map(Requirements::from).map_err(Violation::from))
    }

    fn encode(&self, store: &mut Store<Guest>, draft: &Draft) -> wasmtime::Result<Result<Template, Violation>> {
        let draft = types::Draft {
            parents: draft.parents.iter().map(|parent| Hash256(parent.0).into()).collect(),
            bits: draft.bits,
            time: draft.time.to_millis(),
            body_root: draft.body_root.into(),
        };
        let answer = self.0.adit_plugin_rules().call_encode(store, &draft)?;
        Ok(answer.map(Template::from).map_err(Violation::from))
    }

    fn difficulty(&self, store: &mut Store<Guest>, bits: u32) -> wasmtime::Result<Result<String, Violation>> {
        let answer = self.0.adit_plugin_rules().call_difficulty(store, bits)?;
        Ok(answer.map_err(Violation::from))
    }

    fn seal(
        &self,
        store: &mut Store<Guest>,
        header: &[u8],
        nonce: u64,
        rolled: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Violation>> {
        let answer = self.0.adit_plugin_rules().call_seal(store, header, nonce, rolled)?;
        Ok(answer.map_err(Violation::from))
    }
}

impl SpaceContract for Space {
    fn challenge(
        &self,
        store: &mut Store<Guest>,
        parents: &[BlockId],
        time: Timestamp,
    ) -> wasmtime::Result<Result<Vec<u8>, Violation>> {
        let parents: Vec<types::Hash256> = parents.iter().map(|parent| Hash256(parent.0).into()).collect();
        let answer = self.0.adit_plugin_space().call_challenge(store, &parents, time.to_millis())?;
        Ok(answer.map_err(Violation::from))
    }

    fn registered(&self, store: &mut Store<Guest>, header: &[u8]) -> wasmtime::Result<Result<Vec<u8>, Violation>> {
        Ok(self.0.adit_plugin_space().call_registered(store, header)?.map_err(Violation::from))
    }

    fn prove(
        &self,
        store: &mut Store<Guest>,
        header: &[u8],
        proof: &[u8],
    ) -> wasmtime::Result<Result<Vec<u8>, Violation>> {
        Ok(self.0.adit_plugin_space().call_prove(store, header, proof)?.map_err(Violation::from))
    }
}

impl PayoutContract for Payout {
    fn plan(&self, store: &mut Store<Guest>) -> wasmtime::Result<PayoutPlan> {
        self.0.adit_plugin_payout().call_get_plan(store).map(PayoutPlan::from)
    }

    fn weigh(&self, store: &mut Store<Guest>, shares: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_payout().call_weigh(store, shares)
    }

    fn split(&self, store: &mut Store<Guest>, block: &FoundBlock, weights: &[u8]) -> wasmtime::Result<Vec<u8>> {
        let block = exports::FoundBlock {
            height: block.height.0,
            finder: block.finder.0,
            distributable: block.distributable,
            work: u256(block.work.0),
        };
        self.0.adit_plugin_payout().call_split(store, block, weights)
    }

    fn settle(&self, store: &mut Store<Guest>, shares: &[u8], economics: &Economics) -> wasmtime::Result<Vec<u8>> {
        let economics = exports::Economics {
            subsidy: economics.subsidy,
            mean_fees: economics.mean_fees,
            work: u256(economics.work.0),
        };
        self.0.adit_plugin_payout().call_settle(store, shares, economics)
    }
}

impl ShareContract for Shares {
    fn judge_many(&self, store: &mut Store<Guest>, claims: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_shares().call_judge_many(store, claims)
    }

    fn retarget_many(&self, store: &mut Store<Guest>, histories: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_shares().call_retarget_many(store, histories)
    }
}

impl QuorumContract for Quorum {
    fn terms(&self, store: &mut Store<Guest>) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_quorum().call_terms(store)
    }

    fn plan_many(&self, store: &mut Store<Guest>, questions: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.0.adit_plugin_quorum().call_plan_many(store, questions)
    }
}

impl types::Host for Guest {}

impl hash::adit::plugin::diagnostics::Host for Guest {
    fn panicked(&mut self, mut message: String) -> wasmtime::Result<()> {
        message.truncate(message.floor_char_boundary(PANIC_BYTES_MAX));
        self.panicked = Some(message);
        Ok(())
    }
}

impl consensus::adit::plugin::chain_view::Host for Guest {
    fn horizon(&mut self) -> wasmtime::Result<u64> {
        Ok(self.window.horizon()?)
    }

    fn blocks(&mut self, ids: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.window.blocks(&ids)?)
    }

    fn stamps(&mut self, ids: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.window.stamps(&ids)?)
    }

    fn ancestry(&mut self, ancestors: Vec<u8>, descendants: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.window.ancestry(&ancestors, &descendants)?)
    }

    fn merge_set(&mut self, selected: types::Hash256, parents: Vec<u8>, max: u32) -> wasmtime::Result<Vec<u8>> {
        Ok(self.window.merge_set(block_id(selected), &parents, max)?)
    }

    fn selected_past(&mut self, tip: types::Hash256, count: u32) -> wasmtime::Result<Vec<u8>> {
        Ok(self.window.selected_past(block_id(tip), count)?)
    }

    fn selected_ancestor(&mut self, tip: types::Hash256, height: u64) -> wasmtime::Result<Vec<u8>> {
        Ok(self.window.selected_ancestor(block_id(tip), height)?)
    }
}

fn block_id(hash: types::Hash256) -> BlockId {
    BlockId(Hash256::from(hash).0)
}

impl From<Hash256> for types::Hash256 {
    fn from(hash: Hash256) -> Self {
        let (words, _) = hash.0.as_chunks::<8>();
        let [w0, w1, w2, w3] = std::array::from_fn(|index| u64::from_le_bytes(words[index]));
        Self { w0, w1, w2, w3 }
    }
}

impl From<types::Hash256> for Hash256 {
    fn from(hash: types::Hash256) -> Self {
        let mut bytes = [0; 32];
        for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip([hash.w0, hash.w1, hash.w2, hash.w3]) {
            *place = word.to_le_bytes();
        }
        Self(bytes)
    }
}

fn u256(number: U256) -> types::U256 {
    let [w0, w1, w2, w3] = number.into_limbs();
    types::U256 { w0, w1, w2, w3 }
}

fn target(number: types::U256) -> Target {
    Target(U256::from_limbs([number.w0, number.w1, number.w2, number.w3]))
}

impl From<types::Info> for Description {
    fn from(info: types::Info) -> Self {
        let kind = match info.kind {
            types::Kind::Hash => Kind::Hash,
            types::Kind::Consensus => Kind::Consensus,
            types::Kind::Payout => Kind::Payout,
            types::Kind::Shares => Kind::Shares,
        };
        Self { name: info.name, version: info.version, kind, summary: info.summary }
    }
}

impl From<exports::Plan> for PayoutPlan {
    fn from(plan: exports::Plan) -> Self {
        Self {
            pays: match plan.pays {
                exports::Pays::Blocks => Pays::Blocks,
                exports::Pays::Shares => Pays::Shares,
            },
            window: match plan.window {
                exports::Window::None => Window::None,
                exports::Window::SinceBlock => Window::SinceBlock,
                exports::Window::LastWork(thousandths) => Window::LastWork { thousandths },
            },
            weighs: plan.weighs,
        }
    }
}

impl From<types::ConfigError> for ConfigRefusal {
    fn from(error: types::ConfigError) -> Self {
        Self { key: error.key, detail: error.detail }
    }
}

impl From<types::Violation> for Violation {
    fn from(violation: types::Violation) -> Self {
        Self { rule: violation.rule, detail: violation.detail }
    }
}

impl From<types::Requirements> for Requirements {
    fn from(next: types::Requirements) -> Self {
        Self {
            parents: next.parents.into_iter().map(block_id).collect(),
            bits: next.bits,
            target: target(next.target),
            difficulty: next.difficulty,
            earliest: Timestamp::from_millis(next.earliest),
            height: Height(next.height),
            subsidy: next.subsidy,
        }
    }
}

impl From<types::HeaderTemplate> for Template {
    fn from(template: types::HeaderTemplate) -> Self {
        let pow = PowInput {
            bytes: template.pow.bytes,
            nonce_offset: template.pow.nonce_offset,
            nonce_bytes: template.pow.nonce_bytes,
            roll_offset: template.pow.roll_offset,
            roll_mask: template.pow.roll_mask,
        };
        Self { header: template.header, pow, target: target(template.target) }
    }
}
