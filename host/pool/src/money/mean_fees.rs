//! The mean of the fees that blocks could have earned lately, for schemes that pay shares before there is a block.
//!
//! ```text
//! key: "template-fees"
//! value: version 1 | for each height, ascending: height u64, atoms u64, little-endian
//! ```
//! What a template offers says nothing of the chain, and no chain can be asked for it later. So the window is kept: a mean that was told is computed
//! of what is in the storage, and a restart changes none.

use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use adit_primitives::{Amount, Decode, DecodeError, Height, Reader};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many heights the window has, that of the newest template the last.
pub const WINDOW_HEIGHTS: u64 = 144;

const KEY: &[u8] = b"template-fees";

/// The version of the window's bytes.
const VERSION: u8 = 1;

/// Why the window cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeanFeesError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(
        "the fees of templates were written by a newer version of Adit: format {version}, this one reads {VERSION}"
    )]
    Version { version: u8 },
    #[error("the fees of templates cannot be read: {0}")]
    Corrupt(#[from] DecodeError),
}

/// The window. One at a time is open over a storage.
pub struct MeanFees {
    storage: Arc<dyn Storage>,
    /// The fees of the newest template of each height.
    fees: BTreeMap<Height, Amount>,
}

impl MeanFees {
    /// Goes on with the window that was kept, or begins an empty one.
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self, MeanFeesError> {
        let kept = storage.get(Table::Meta, KEY)?;
        let fees = kept.map(|value| read(&value)).transpose()?.unwrap_or_default();
        Ok(Self { storage, fees })
    }

    /// Notes what a template's payments offer, in place of what an earlier one of its height did, and returns the mean. The window ends with that height: what is
    /// above it was of another branch, and what is too far below it too old. When this returns, the window survives `kill -9` and loss of power; where it
    /// fails, nothing is changed.
    pub fn note(&mut self, height: Height, fees: Amount) -> Result<Amount, StorageError> {
        let mut window = self.fees.clone();
        window.insert(height, fees);
        window.retain(|of, _| *of <= height && height.0 - of.0 < WINDOW_HEIGHTS);
        if window != self.fees {
            let mut batch = Batch::default();
            batch.put(Table::Meta, KEY, written(&window));
            self.storage.commit(batch)?;
            self.fees = window;
        }
        Ok(self.mean().expect("a height was noted"))
    }

    /// Returns the mean, rounded down: no share is paid what no block could earn. `None` where no template was seen.
    pub fn mean(&self) -> Option<Amount> {
        let sum: u128 = self.fees.values().map(|fees| u128::from(fees.to_atoms())).sum();
        let mean = sum.checked_div(self.fees.len() as u128)?;
        Some(Amount::from_atoms(u64::try_from(mean).expect("a mean is no more than the greatest")))
    }
}

fn written(fees: &BTreeMap<Height, Amount>) -> Vec<u8> {
    let row = |(height, fees): (&Height, &Amount)| [height.0.to_le_bytes(), fees.to_atoms().to_le_bytes()];
    let mut value = vec![VERSION];
    fees.iter().flat_map(row).for_each(|number| value.extend_from_slice(&number));
    value
}

fn read(value: &[u8]) -> Result<BTreeMap<Height, Amount>, MeanFeesError> {
    let mut reader = Reader::new(value);
    let version = reader.byte("version of the fees")?;
    if version != VERSION {
        return Err(MeanFeesError::Version { version });
    }
    let mut fees = BTreeMap::new();
    while reader.left() > 0 {
        fees.insert(Height(u64::decode(&mut reader)?), Amount::from_atoms(u64::decode(&mut reader)?));
    }
    Ok(fees)
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::storage::MemoryStorage;
    use proptest::prelude::*;

    fn open(storage: &Arc<MemoryStorage>) -> MeanFees {
        MeanFees::open(Arc::clone(storage) as Arc<dyn Storage>).unwrap()
    }

    fn note(fees: &mut MeanFees, height: u64, atoms: u64) -> u64 {
        fees.note(Height(height), Amount::from_atoms(atoms)).unwrap().to_atoms()
    }

    #[test]
    fn the_newest_template_of_each_of_the_last_144_heights_counts() {
        let mut fees = open(&Arc::default());
        assert_eq!(fees.mean(), None);
        assert_eq!(note(&mut fees, 1, 10), 10);
        assert_eq!(note(&mut fees, 1, 20), 20, "in place of the one before");
        assert_eq!(note(&mut fees, 2, 25), 22, "rounded down");
        assert_eq!(note(&mut fees, 144, 0), 15);
        assert_eq!(note(&mut fees, 145, 5), 10, "the first is too old");
        assert_eq!(note(&mut fees, 2, 7), 7, "a branch that ends earlier");
        assert_eq!(note(&mut fees, 3, u64::MAX), u64::MAX / 2 + 4);
    }

    #[test]
    fn bytes_of_another_version_and_damaged_ones_are_refused() {
        let kept = |value: Vec<u8>| {
            let storage = MemoryStorage::default();
            let mut batch = Batch::default();
            batch.put(Table::Meta, KEY, value);
            storage.commit(batch).unwrap();
            MeanFees::open(Arc::new(storage)).map(|fees| fees.mean())
        };
        assert_eq!(kept(vec![VERSION]), Ok(None));
        assert_eq!(kept(vec![9, 0]), Err(MeanFeesError::Version { version: 9 }));
        assert!(matches!(kept(vec![VERSION, 1, 2]), Err(MeanFeesError::Corrupt(_))));
        assert!(matches!(kept(vec![]), Err(MeanFeesError::Corrupt(_))));
    }

    /// Takes a number of commits and refuses those after.
    struct Failing {
        inner: MemoryStorage,
        left: std::sync::atomic::AtomicU32,
    }

    impl Storage for Failing {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
            self.inner.get(table, key)
        }

        fn scan(
            &self,
            table: Table,
            first: &[u8],
            max: usize,
        ) -> Result<adit_primitives::storage::Entries, StorageError> {
            self.inner.scan(table, first, max)
        }

        fn commit(&self, batch: Batch) -> Result<(), StorageError> {
            use std::sync::atomic::Ordering::Relaxed;
            let taken = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            taken.map_err(|_| StorageError { detail: "full".to_owned() })?;
            self.inner.commit(batch)
        }
    }

    #[test]
    fn what_is_not_kept_does_not_count() {
        let storage = Arc::new(Failing { inner: MemoryStorage::default(), left: 1.into() });
        let mut fees = MeanFees::open(Arc::clone(&storage) as Arc<dyn Storage>).unwrap();
        assert_eq!(note(&mut fees, 1, 10), 10);
        assert!(fees.note(Height(2), Amount::from_atoms(90)).is_err());
        let kept = MeanFees::open(storage).unwrap();
        assert_eq!([fees.mean(), kept.mean()], [Some(Amount::from_atoms(10)); 2]);
    }

    proptest! {
        #[test]
        fn a_restart_changes_no_mean(
            templates in proptest::collection::vec((0u64..400, any::<u64>(), any::<bool>()), 1..80),
        ) {
            let storage = Arc::default();
            let (mut killed, mut steady) = (open(&storage), open(&Arc::default()));
            for (height, atoms, kill) in templates {
                if kill {
                    killed = open(&storage);
                    prop_assert_eq!(killed.mean(), steady.mean());
                }
                prop_assert_eq!(note(&mut killed, height, atoms), note(&mut steady, height, atoms));
            }
        }
    }
}
