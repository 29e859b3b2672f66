//! The share log of a peer-to-peer pool: what a share says, how shares travel, and how nodes agree which of them are paid.
//!
//! Validity is not voted on: whoever has a share can build its header and hash it. Votes settle what cannot be recomputed:
//! which shares are in a round and in which order. Nothing here opens a socket, reads a clock or a disk, hashes a proof of work
//! by itself or moves money: batches, messages, answers and the time go in, effects come out, and payouts follow from certified
//! rounds alone. What is and is not defended stands in `docs/quorum.md`.
//!
//! Reading order: [`keys`] signs, [`record`] is one share and why it cannot be claimed by another, [`batch`] how shares travel,
//! [`filter`] how doubles are found, [`mod@judge`] recomputes; [`weights`] says who votes, [`votes`] what is signed,
//! [`rounds`] is the machine that certifies, [`archive`] how a node that was away catches up, [`panel`] asks others about
//! expensive hashes.

pub mod archive;
pub mod batch;
pub mod filter;
pub mod judge;
pub mod keys;
pub mod panel;
pub mod record;
pub mod rounds;
pub mod votes;
pub mod weights;

pub use archive::{Archive, CertifiedRound, Question};
pub use batch::{Batch, BatchError, BatchId, Batcher, SealedBatch};
pub use filter::{Novelty, Rotating, Seen};
pub use judge::{BatchVerdict, JobFault, Jobs, Which, judge};
pub use keys::{Identity, Signature};
pub use panel::{PanelEffect, Panels};
pub use record::{Base, Entry, Job, Payee, PoolId, Share, ShareId};
pub use rounds::{Effect, Event, Halt, Lag, Past, Plan, Rounds, RoundsView, Settings};
pub use votes::{Certificate, Close, Credit, Evidence, Proposal, Statement};
pub use weights::{Terms, Validators};
