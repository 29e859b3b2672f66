//! The values that host and plugins share: ids, 256-bit targets and work, amounts, times, and their canonical bytes.
//!
//! Nothing here reads a clock, opens a file or knows a chain's rules. Everything builds for `wasm32-unknown-unknown`, so that
//! a plugin and the host that runs it agree on a value because they share its definition.
//!
//! Reading order: [`hash`] and [`number`] are the values, [`bytes`] their encoding, [`contract`] what crosses the sandbox's
//! border, [`engine`] the two traits by which the host sees a plugin of each kind, [`kernel`] the C ABI of native code, [`storage`] the trait by which it keeps
//! things, [`accounts`] the trait by which a pool keeps its books, [`identity`] what makes two chains the same.

pub mod accounts;
pub mod bytes;
pub mod contract;
pub mod engine;
pub mod hash;
pub mod identity;
pub mod kernel;
pub mod number;
pub mod space;
pub mod storage;

pub use bytes::{Decode, DecodeError, Encode, Reader};
pub use hash::{BlockId, Hash256, TxId, sha256d};
pub use number::{Amount, CompactError, Height, Target, Timestamp, U256, Work};
