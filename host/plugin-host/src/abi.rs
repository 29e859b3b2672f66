//! The released versions of the contract, each adapted to what the host asks of a plugin.
//!
//! A version's module holds its bindings and the conversions of its values, and no checks: those are the same for every version.

pub(crate) mod v0_1;

use crate::instance::Guest;
use crate::load::ConfigRefusal;
use adit_primitives::BlockId;
use adit_primitives::Hash256;
use adit_primitives::Timestamp;
use adit_primitives::contract::payout::{Economics, FoundBlock, PayoutPlan};
use adit_primitives::contract::{Draft, Requirements, Template, Violation};
use wasmtime::{Store, component::Component};

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Hash,
    Consensus,
    Payout,
    Shares,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Hash, Self::Consensus, Self::Payout, Self::Shares];
}

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub name: String,
    pub version: String,
    pub kind: Kind,
    pub summary: String,
}

/// What every kind exports.
pub(crate) trait Contract: Sized {
    /// A component whose imports are resolved: all that can be done before there is an instance.
    type Ready: Send + Sync;

    /// Resolves the imports.
    fn ready(component: &Component) -> wasmtime::Result<Self::Ready>;
    fn start(ready: &Self::Ready, store: &mut Store<Guest>) -> wasmtime::Result<Self>;
    fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<Description>;
    fn schema(&self, store: &mut Store<Guest>) -> wasmtime::Result<String>;
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> wasmtime::Result<Result<(), ConfigRefusal>>;
}

/// What a hash plugin exports. Packed rows stay packed.
pub(crate) trait HashContract: Contract {
    fn prepare(&self, store: &mut Store<Guest>, epoch: u64, seed: Hash256) -> wasmtime::Result<()>;
    fn digest(&self, store: &mut Store<Guest>, input: &[u8]) -> wasmtime::Result<Hash256>;
    fn digest_many(&self, store: &mut Store<Guest>, inputs: &[u8], each: u32) -> wasmtime::Result<Vec<u8>>;
    fn search(&self, store: &mut Store<Guest>, job: &[u8], first: u64, count: u64) -> wasmtime::Result<Vec<u8>>;
}

/// What a consensus plugin exports. Packed rows stay packed.
pub(crate) trait RulesContract: Contract {
    fn genesis(&self, store: &mut Store<Guest>) -> wasmtime::Result<Vec<u8>>;
    fn decode_many(&self, store: &mut Store<Guest>, headers: &[u8]) -> wasmtime::Result<Vec<u8>>;
    fn place_many(&self, store: &mut Store<Guest>, candidates: &[u8]) -> wasmtime::Result<Vec<u8>>;
    fn next(
        &self,
        store: &mut Store<Guest>,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> wasmtime::Result<Result<Requirements, Violation>>;
    fn encode(&self, store: &mut Store<Guest>, draft: &Draft) -> wasmtime::Result<Result<Template, Violation>>;
    fn difficulty(&self, store: &mut Store<Guest>, bits: u32) -> wasmtime::Result<Result<String, Violation>>;
    fn seal(
        &self,
        store: &mut Store<Guest>,
        header: &[u8],
        nonce: u64,
        rolled: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Violation>>;
}

/// What a consensus plugin exports besides, where plots win blocks. Packed values stay packed.
pub(crate) trait SpaceContract: Contract {
    fn challenge(
        &self,
        store: &mut Store<Guest>,
        parents: &[BlockId],
        time: Timestamp,
    ) -> wasmtime::Result<Result<Vec<u8>, Violation>>;
    fn registered(&self, store: &mut Store<Guest>, header: &[u8]) -> wasmtime::Result<Result<Vec<u8>, Violation>>;
    fn prove(
        &self,
        store: &mut Store<Guest>,
        header: &[u8],
        proof: &[u8],
    ) -> wasmtime::Result<Result<Vec<u8>, Violation>>;
}

/// What a payout plugin exports. Packed rows stay packed.
pub(crate) trait PayoutContract: Contract {
    fn plan(&self, store: &mut Store<Guest>) -> wasmtime::Result<PayoutPlan>;
    fn weigh(&self, store: &mut Store<Guest>, shares: &[u8]) -> wasmtime::Result<Vec<u8>>;
    fn split(&self, store: &mut Store<Guest>, block: &FoundBlock, weights: &[u8]) -> wasmtime::Result<Vec<u8>>;
    fn settle(&self, store: &mut Store<Guest>, shares: &[u8], economics: &Economics) -> wasmtime::Result<Vec<u8>>;
}

/// What a share plugin exports. Packed rows stay packed.
pub(crate) trait ShareContract: Contract {
    fn judge_many(&self, store: &mut Store<Guest>, claims: &[u8]) -> wasmtime::Result<Vec<u8>>;
    fn retarget_many(&self, store: &mut Store<Guest>, histories: &[u8]) -> wasmtime::Result<Vec<u8>>;
}

/// What a share plugin exports besides, where it says how nodes agree. Packed rows stay packed.
pub(crate) trait QuorumContract: Contract {
    fn terms(&self, store: &mut Store<Guest>) -> wasmtime::Result<Vec<u8>>;
    fn plan_many(&self, store: &mut Store<Guest>, questions: &[u8]) -> wasmtime::Result<Vec<u8>>;
}
