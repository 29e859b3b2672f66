//! What the machine asks the host and is answered at once, from memory.

use crate::id::Tip;
use crate::wire::Locator;
use adit_primitives::{BlockId, TxId, Work};

/// What the host knows of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockState {
    /// Nothing, or an orphan that waits for its parents.
    Unknown,
    /// Its header is valid and placed, its body is not here.
    Header,
    /// It is here and valid.
    Whole,
    /// It breaks a rule, whoever sends it.
    Invalid,
}

/// Answers from the host's memory. None reads a disk or waits for a lock that is held for long.
pub trait Facts {
    /// Returns what is known of a block.
    fn block(&self, id: &BlockId) -> BlockState;

    /// Returns the work of the chain (the past) that ends with a block whose header is placed.
    fn work(&self, id: &BlockId) -> Option<Work>;

    /// Returns the selected tip: whole and valid with everything behind it.
    fn tip(&self) -> Tip;

    /// Returns the header with the most work, whether or not its body is here.
    fn best_header(&self) -> Tip;

    /// Returns what is known, back from [`Facts::best_header`], for a peer to find what it knows beyond.
    fn locator(&self) -> Locator;

    /// Returns how often the host forgot headers: while it stands, what is known stays known. 0 for a host that forgets none.
    fn forgettings(&self) -> u64 {
        0
    }

    /// Appends the blocks whose headers are placed without bodies on the way to [`Facts::best_header`]: the first `max` of
    /// them, parents before children.
    fn lacking(&self, max: usize, out: &mut Vec<BlockId>);

    /// Tells whether a transaction waits or was lately confirmed or refused: nobody is asked for it.
    fn transaction(&self, id: &TxId) -> bool;
}
