//! `adit:plugin@0.1`.

use super::{Contract, Description, HashContract, Kind, RulesContract};
use crate::instance::Guest;
use crate::load::ConfigRefusal;
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

use hash::adit::plugin::types;

pub(crate) struct Hash(hash::HashPlugin);
pub(crate) struct Rules(consensus::ConsensusPlugin);

impl Contract for Hash {
    type Ready = hash::HashPluginPre<Guest>;

    fn ready(component: &Component) -> wasmtime::Result<Self::Ready> {
        let mut linker = Linker::new(component.engine());
        hash::HashPlugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
        hash::HashPluginPre::new(linker.instantiate_pre(component)?)
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

impl Contract for Rules {
    type Ready = consensus::ConsensusPluginPre<Guest>;

    fn ready(component: &Component) -> wasmtime::Result<Self::Ready> {
        let mut linker = Linker::new(component.engine());
        consensus::ConsensusPlugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
        consensus::ConsensusPluginPre::new(linker.instantiate_pre(component)?)
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

fn target(number: types::U256) -> Target {
    Target(U256::from_limbs([number.w0, number.w1, number.w2, number.w3]))
}

impl From<types::Info> for Description {
    fn from(info: types::Info) -> Self {
        let kind = match info.kind {
            types::Kind::Hash => Kind::Hash,
            types::Kind::Consensus => Kind::Consensus,
        };
        Self { name: info.name, version: info.version, kind, summary: info.summary }
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
