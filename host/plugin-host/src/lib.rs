//! Runs plugins in a WebAssembly sandbox, and loads native kernels that the operator has named.
//!
//! The only crate that knows wasmtime and libloading. A plugin gets no clock, no randomness, no files and no network, and
//! whatever it answers is checked here before anyone else sees it. Nothing a plugin does ends the process, and no failure of
//! a plugin is ever reported as a verdict on a block.
//!
//! Reading order: [`limits`] says what a plugin may use up, [`engine`] builds the sandbox, [`load`] turns bytes into a
//! [`Plugin`] (with [`inspect`] and [`cache`]), [`instance`] guards each call, [`fault`] says whose failure it was. [`consensus`],
//! [`space`], [`hash`], [`payout`], [`shares`] and [`quorum`] are the host's traits over it, all but the rules' two on an instance that [`warm`] keeps; [`again`] is what of a batch is judged twice, [`abi`] the released versions of the contract, [`native`] the other door.

mod abi;
mod again;
mod breaker;
mod cache;
mod consensus;
mod engine;
mod fault;
mod hash;
mod inspect;
mod instance;
mod limits;
mod load;
mod native;
mod payout;
mod quorum;
mod shares;
mod space;
mod view;
mod warm;

pub use abi::Kind;
pub use breaker::Breaker;
pub use cache::CacheError;
pub use consensus::{HEADER_BYTES_MAX, MERGE_SET_MAX, PARENTS_MAX, STATE_BYTES_MAX, SandboxedRules};
pub use engine::{Sandbox, SandboxError};
pub use hash::SandboxedHash;
pub use inspect::{CONTRACT_VERSION, PluginInfo};
pub use limits::{CacheSettings, Fuel, Limits, Settings, Variant};
pub use load::{ConfigRefusal, ConfigureError, LoadError, Origin, Plugin, PluginSource};
pub use native::{KernelError, KernelSource, load_kernel};
pub use payout::SandboxedPayout;
pub use quorum::SandboxedQuorum;
pub use shares::SandboxedShares;
