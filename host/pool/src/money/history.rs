//! The log of shares, as the money sees it.

use adit_primitives::Timestamp;
use adit_primitives::accounts::{ShareSequence, WorkerId};
use adit_primitives::contract::payout::AccountId;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::storage::StorageError;
use std::ops::{ControlFlow, Range};

/// A share that counts, as the log keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedShare {
    pub sequence: ShareSequence,
    pub account: AccountId,
    pub worker: WorkerId,
    pub time: Timestamp,
    pub difficulty: ShareDifficulty,
}

/// Shows shares that were logged. Their sequence numbers have no gaps; pruned ones are not shown.
pub trait ShareHistory: Send + Sync {
    /// Shows the shares of a range, the newest first, in chunks that are never empty, until `visit` has enough.
    fn newest_first(
        &self,
        range: Range<ShareSequence>,
        visit: &mut dyn FnMut(&[LoggedShare]) -> ControlFlow<()>,
    ) -> Result<(), StorageError>;
}
