//! Whatever comes and goes, the sums and orders are those that a count from scratch finds.

use super::selection::Room;
use super::*;
use crate::signed::Signed;
use crate::{Conflicts, Input, LedgerRules, Output, PublicKey, Signature};
use proptest::prelude::*;

/// Room for everything.
const ALL: Room = Room { bytes: usize::MAX, transactions: usize::MAX };

/// As many outputs of 10,000 atoms as anybody asks for.
struct Plenty;

impl Coins for Plenty {
    fn unspent(&self, at: &OutPoint) -> Result<Option<Unspent>, StorageError> {
        let output = Output { amount: Amount::from_atoms(10_000), key: PublicKey([1; 32]) };
        let made = at.transaction.0[31] == 0xff;
        Ok(made.then_some(Unspent { output, height: Height(0), coinbase: false }))
    }
}

#[derive(Debug, Clone)]
enum Change {
    /// Spends a base output and, where there is one, an output of the waiting transaction so chosen.
    Offer { base: u8, parent: Option<usize>, fee: u64 },
    /// A block takes the best waiting transactions.
    Confirm(usize),
    /// A block spends a base output otherwise.
    Conflict(u8),
}

fn change() -> impl Strategy<Value = Change> {
    let offer = (0u8..30, any::<Option<usize>>(), 200u64..3000);
    prop_oneof![
        8 => offer.prop_map(|(base, parent, fee)| Change::Offer { base, parent, fee }),
        1 => (0usize..3).prop_map(Change::Confirm),
        1 => (0u8..30).prop_map(Change::Conflict),
    ]
}

fn base(byte: u8) -> OutPoint {
    let mut id = [byte; 32];
    id[31] = 0xff;
    OutPoint { transaction: TxId(id), index: 0 }
}

fn payment(inputs: &[OutPoint], outputs: Vec<u64>) -> Transaction {
    let unsigned = |previous: &OutPoint| Input { previous: *previous, signature: Signature([0; 64]) };
    let output = |atoms| Output { amount: Amount::from_atoms(atoms), key: PublicKey([1; 32]) };
    Transaction {
        version: 1,
        inputs: inputs.iter().map(unsigned).collect(),
        outputs: outputs.into_iter().map(output).collect(),
        data: Vec::new(),
    }
}

fn apply(pool: &mut Mempool, rules: &LedgerRules, change: &Change) {
    match change {
        Change::Offer { base: byte, parent, fee } => {
            let mut inputs = vec![base(*byte)];
            let mut sum = 10_000;
            let waiting = pool.best_first(usize::MAX);
            if let Some(parent) = parent.and_then(|parent| waiting.get(parent % waiting.len().max(1))) {
                inputs.push(OutPoint { transaction: parent.id, index: 0 });
                sum += parent.transaction.outputs[0].amount.to_atoms();
            }
            let transaction = payment(&inputs, vec![sum - fee]);
            let law = Law { signed: &Signed::new(Hash256::default()), rules };
            let offer = Offer { transaction, since: Timestamp::default(), signed: true };
            let _ = pool.admit(&Plenty, law, Height(1), offer);
        }
        Change::Confirm(count) => {
            let selection = pool.select(ALL, &BTreeSet::new());
            let body: Vec<Transaction> =
                selection.transactions.iter().take(*count).map(|pending| pending.transaction.clone()).collect();
            pool.confirm(body.iter().map(|payment| (payment.id(), payment)));
        }
        Change::Conflict(byte) => {
            let confirmed = payment(&[base(*byte)], vec![1]);
            pool.confirm([(confirmed.id(), &confirmed)].into_iter());
        }
    }
}

fn check(pool: &Mempool) {
    let sums = |ids: BTreeSet<TxId>, own: TxId| {
        let others = ids.into_iter().filter(|id| *id != own);
        others.fold(Sums::of(&pool.entries[&own].pending), |mut sums, id| {
            sums.add(&Sums::of(&pool.entries[&id].pending));
            sums
        })
    };
    for (id, entry) in &pool.entries {
        assert_eq!(entry.above, sums(pool.ancestors(*id), *id));
        assert_eq!(entry.below, sums(pool.descendants(*id), *id));
        assert!(entry.above.count <= pool.limits.package_max && entry.below.count <= pool.limits.package_max);
        assert_eq!(pool.mining[&entry.mining_key()].alone, entry.above.count == 1 && entry.below.count == 1);
        assert_eq!(pool.eviction[&entry.eviction_key()], *id);
        for input in &entry.pending.transaction.inputs {
            assert_eq!(pool.spends[&input.previous], *id);
            let parent = input.previous.transaction;
            let waits = pool.entries.get(&parent);
            assert_eq!(waits.is_some_and(|parent| parent.children.contains(id)), entry.parents.contains(&parent));
        }
    }
    let count = pool.entries.len();
    assert_eq!((pool.mining.len(), pool.eviction.len()), (count, count));
    let inputs: usize = pool.entries.values().map(|entry| entry.pending.transaction.inputs.len()).sum();
    assert_eq!(pool.spends.len(), inputs);
    assert!(count <= pool.limits.transactions_max && pool.bytes <= pool.limits.bytes_max);
    check_selection(pool);
}

/// A selection fits, repeats nothing, and puts nothing before what it depends on.
fn check_selection(pool: &Mempool) {
    for bytes_max in [0, 500, 1500, usize::MAX] {
        let selection = pool.select(Room { bytes: bytes_max, ..ALL }, &BTreeSet::new());
        assert!(selection.bytes <= bytes_max);
        let mut seen = BTreeSet::new();
        for pending in &selection.transactions {
            assert!(pool.entries[&pending.id].parents.is_subset(&seen));
            assert!(seen.insert(pending.id));
        }
        assert!(bytes_max != usize::MAX || seen.len() == pool.count());
    }
}

proptest! {
    #[test]
    fn sums_and_orders_hold_whatever_comes_and_goes(changes in prop::collection::vec(change(), 1..80)) {
        let rules = LedgerRules {
            coinbase_maturity: 1,
            conflicts: Conflicts::RefuseBlock,
            block_bytes_max: 100_000,
            block_transactions_max: 100_000,
            header_bytes_max: 100,
            data_bytes_max: 100,
            money_max: Amount::from_atoms(1 << 60),
        };
        let mut pool = Mempool::new(MempoolLimits {
            transactions_max: 15,
            bytes_max: 3000,
            fee_per_kilobyte_min: Amount::from_atoms(1000),
            package_max: 5,
        });
        for change in changes {
            apply(&mut pool, &rules, &change);
            check(&pool);
        }
    }
}
