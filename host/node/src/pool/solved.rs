//! Blocks from the moment they are solved until the books have them: noted at once, beside their way to the upstream.

use adit_pool::work::share::SolvedBlock;
use adit_primitives::accounts::{Block, BlockState, ShareSequence, WorkerId};
use adit_primitives::contract::payout::AccountId;
use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use adit_primitives::{Amount, BlockId, Decode, Encode, Height, Timestamp, U256, Work, canonical_struct};

/// Notes read at a start. There are none but those of a crash.
const READ_MAX: usize = 10_000;

/// What is noted of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    id: BlockId,
    height: u64,
    reward: u64,
    fees: u64,
    work: U256,
    finder: u32,
    worker: u32,
    found: u64,
    bytes: Vec<u8>,
}

canonical_struct!(Note { id, height, reward, fees, work, finder, worker, found, bytes });

impl Note {
    /// Takes down a block.
    pub fn new(solved: &SolvedBlock, found: Timestamp) -> Self {
        let template = &solved.job.template;
        Self {
            id: solved.id,
            height: template.height.0,
            reward: template.reward.to_atoms(),
            fees: template.fees.to_atoms(),
            work: template.target.work().0,
            finder: solved.submission.account.0,
            worker: solved.submission.worker.0,
            found: found.to_millis(),
            bytes: solved.block.clone(),
        }
    }

    /// Returns the block as the books take it. Its window ends at `shares_end`.
    pub fn into_block(self, shares_end: ShareSequence) -> Block {
        Block {
            id: self.id,
            height: Height(self.height),
            reward: Amount::from_atoms(self.reward),
            fees: Amount::from_atoms(self.fees),
            work: Work(self.work),
            finder: AccountId(self.finder),
            worker: WorkerId(self.worker),
            shares_end,
            found: Timestamp::from_millis(self.found),
            state: BlockState::Found,
            split: false,
            bytes: self.bytes,
        }
    }
}

/// Notes a block. When it returns the note survives `kill -9`.
pub fn note(storage: &dyn Storage, block: &Note) -> Result<(), StorageError> {
    let mut batch = Batch::default();
    batch.put(Table::Solved, block.id.to_bytes(), block.to_bytes());
    storage.commit(batch)
}

/// Drops the note of a block that the books have.
pub fn forget(storage: &dyn Storage, id: BlockId) -> Result<(), StorageError> {
    let mut batch = Batch::default();
    batch.delete(Table::Solved, id.to_bytes());
    storage.commit(batch)
}

/// Returns the blocks that were noted and not forgotten.
pub fn noted(storage: &dyn Storage) -> Result<Vec<Note>, StorageError> {
    let damaged = |error: adit_primitives::DecodeError| StorageError { detail: format!("a solved block: {error}") };
    let entries = storage.scan(Table::Solved, &[], READ_MAX)?;
    entries.iter().map(|(_, value)| Note::from_bytes(value).map_err(damaged)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::storage::MemoryStorage;

    #[test]
    fn a_block_is_noted_until_it_is_forgotten() {
        let storage = MemoryStorage::default();
        let id = BlockId([7; 32]);
        let block = Note {
            id,
            height: 5,
            reward: 50,
            fees: 1,
            work: U256::from(9),
            finder: 16,
            worker: 2,
            found: 1_000,
            bytes: vec![1, 2, 3],
        };
        note(&storage, &block).unwrap();
        assert_eq!(noted(&storage), Ok(vec![block.clone()]));
        let booked = block.into_block(ShareSequence(12));
        assert_eq!((booked.id, booked.state, booked.shares_end), (id, BlockState::Found, ShareSequence(12)));
        forget(&storage, id).unwrap();
        assert_eq!(noted(&storage), Ok(Vec::new()));
    }
}
