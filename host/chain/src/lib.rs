//! The blocks of a chain, their order, the ledger over them, the transactions that wait, and templates for miners.
//!
//! Synchronous and without effects of its own: it keeps things through `primitives::storage::Storage`, asks rules through
//! `primitives::engine::{RulesEngine, HashEngine}`, and is told the time. It never opens a file or a socket, never reads a header, and never
//! decides whether a header is valid: that is the consensus plugin's. Nothing here assumes one parent: a block lists its
//! parents, and its placement names the merge set that the ledger applies; on a longest chain that set is empty.
//!
//! Reading order: [`key`], [`address`], [`transaction`] and [`block`] are the values; [`config`] what a node chooses; [`reachability`] which
//! blocks lie in whose past; [`index`] the blocks in memory, as plugins see them; [`headers`] how headers are judged; [`ledger`] what a block
//! does to the unspent outputs, and how that is undone; [`signed`] which signatures were seen to hold; [`mempool`] what waits; [`checker`] says what a block shows by itself; [`chain`] ties them together; [`template`] is what miners work
//! on; [`reader`] answers questions; [`payment`] makes transactions.

pub mod address;
pub mod block;
mod carried;
pub mod chain;
pub mod checker;
pub mod config;
mod gathered;
pub mod headers;
pub mod index;
pub mod key;
pub mod ledger;
pub mod mempool;
pub mod payment;
pub mod reachability;
pub mod reader;
mod record;
mod signed;
pub mod template;
pub mod transaction;
mod waiting;

pub use address::{Address, AddressError, AddressPrefix};
pub use block::Block;
pub use chain::{
    Accepted, BODILESS_MAX, BlockError, Chain, GATHERED_BYTES_MAX, HeadersError, OpenError, Reorg, TakenHeaders,
};
pub use checker::{Asked, Checked, Checker};
pub use config::{ChainConfig, Conflicts, LedgerRules, MempoolLimits, OrphanLimits, TemplateLimits};
pub use headers::{CheckedHeaders, DecodedHeader, DecodedHeaders, HashedHeader, HeaderChain, HeaderError};
pub use index::{BlockIndex, BlockStatus, Colour, IndexedBlock, PlacementFigures, Standing};
pub use key::{KeyError, PublicKey, SecretKey, Signature};
pub use ledger::{TransactionError, Unspent};
pub use mempool::{Mempool, MempoolError, Pending};
pub use payment::{Payment, PaymentError};
pub use reader::{ChainReader, HeadersPage, Holdings, LocatedTransaction, PageLimits};
pub use template::{Solution, TemplateError, TemplateRequest, WorkTemplate};
pub use transaction::{CoinbaseData, Input, OutPoint, Output, Transaction};
pub use waiting::Waited;
