//! Signatures that were seen to hold, so that each is checked once.
//!
//! Where blocks merge others, a payment is applied again whenever the tip moves to a block that merges it too, and it was let into the mempool before.
//! What is remembered is a transaction's leaf, which covers its signatures, with the message that these are over, which covers what it
//! spends: the same pair has the same answer for ever, on every branch. A signature that does not hold is not remembered.
//!
//! [`Signed::look_ahead`] checks those of many payments on all cores, before they are applied one after another.

use crate::transaction::Output;
use crate::{Transaction, TransactionError};
use adit_primitives::Hash256;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Transactions of one generation: two of them are kept, in about 20 MB. A node that takes a hundred blocks of a thousand payments at once
/// remembers the signatures of them all.
const GENERATION: usize = 100_000;

/// The fewest payments for which a thread is started: that takes about as long as to check the signatures of one.
const WORTH_A_THREAD: usize = 8;

/// The signatures that were seen to hold, of one chain.
#[derive(Debug)]
pub(crate) struct Signed {
    chain: Hash256,
    cores: usize,
    seen: Mutex<Generations>,
}

/// By leaf, the message. What was not asked for since a generation began goes with the one before it.
#[derive(Debug, Default)]
struct Generations {
    newer: HashMap<Hash256, Hash256>,
    older: HashMap<Hash256, Hash256>,
}

impl Signed {
    /// Remembers nothing yet. `chain` is the identity that signatures are for.
    pub(crate) fn new(chain: Hash256) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { chain, cores, seen: Mutex::default() }
    }

    /// Checks that every input of a transaction is signed by who owns the output that it spends. `spent` is in the order of the inputs.
    pub(crate) fn check(&self, transaction: &Transaction, spent: &[Output]) -> Result<(), TransactionError> {
        let (leaf, message) = (transaction.leaf(), transaction.signature_hash(&self.chain, spent));
        if self.seen().has(&leaf, &message) {
            return Ok(());
        }
        verify(transaction, spent, &message)?;
        self.seen().add(leaf, message);
        Ok(())
    }

    /// Checks those signatures of payments that nobody has seen yet on all cores, and remembers those that hold. Few are left for when they are needed.
    /// `spent` finds the outputs that a payment spends, in the order of its inputs, where all are there.
    pub(crate) fn look_ahead<'a>(
        &self,
        payments: impl Iterator<Item = &'a Transaction>,
        spent: impl Fn(&Transaction) -> Option<Vec<Output>> + Sync,
    ) {
        let payments: Vec<(&Transaction, Hash256)> = {
            let seen = self.seen();
            let with_leaf = payments.map(|payment| (payment, payment.leaf()));
            with_leaf.filter(|(_, leaf)| seen.message(leaf).is_none()).collect()
        };
        let each = payments.len().div_ceil(self.cores).max(WORTH_A_THREAD);
        let Some((own, others)) = payments.split_at_checked(each).filter(|(_, others)| !others.is_empty()) else {
            return;
        };
        std::thread::scope(|scope| {
            let spent = &spent;
            others.chunks(each).for_each(|part| drop(scope.spawn(move || self.verify_all(part, spent))));
            self.verify_all(own, spent);
        });
    }

    fn verify_all(&self, payments: &[(&Transaction, Hash256)], spent: impl Fn(&Transaction) -> Option<Vec<Output>>) {
        for (payment, leaf) in payments {
            let Some(spent) = spent(payment) else { continue };
            let message = payment.signature_hash(&self.chain, &spent);
            if verify(payment, &spent, &message).is_ok() {
                self.seen().add(*leaf, message);
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Generations> {
        // A map between two changes is whole whatever panicked.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn has(&mut self, leaf: &Hash256, message: &Hash256) -> bool {
        let known = self.message(leaf) == Some(message);
        if known && !self.newer.contains_key(leaf) {
            self.add(*leaf, *message);
        }
        known
    }

    fn message(&self, leaf: &Hash256) -> Option<&Hash256> {
        self.newer.get(leaf).or_else(|| self.older.get(leaf))
    }

    fn add(&mut self, leaf: Hash256, message: Hash256) {
        if self.newer.len() >= GENERATION {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(leaf, message);
    }
}

fn verify(transaction: &Transaction, spent: &[Output], message: &Hash256) -> Result<(), TransactionError> {
    let mut signed = std::iter::zip(&transaction.inputs, spent);
    match signed.position(|(input, output)| !output.key.verifies(message, &input.signature)) {
        Some(index) => Err(TransactionError::Signature { index }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::{Input, OutPoint};
    use crate::{PublicKey, SecretKey, Signature};
    use adit_primitives::{Amount, TxId};

    const CHAIN: Hash256 = Hash256([9; 32]);

    impl Signed {
        fn knows(&self, leaf: &Hash256) -> bool {
            self.seen().message(leaf).is_some()
        }
    }

    fn key() -> SecretKey {
        SecretKey::from_bytes([5; 32]).unwrap()
    }

    fn owned(atoms: u64) -> Output {
        Output { amount: Amount::from_atoms(atoms), key: key().public() }
    }

    /// A payment of one input, which names it by `number`, and signed over an output of so many atoms.
    fn payment(number: u32, atoms: u64) -> Transaction {
        let previous = OutPoint { transaction: TxId([1; 32]), index: number };
        let mut payment = Transaction {
            version: 1,
            inputs: vec![Input { previous, signature: Signature([0; 64]) }],
            outputs: vec![Output { amount: Amount::from_atoms(1), key: PublicKey([1; 32]) }],
            data: Vec::new(),
        };
        payment.sign(&CHAIN, &[owned(atoms)], &key());
        payment
    }

    #[test]
    fn what_held_over_one_amount_is_checked_again_over_another() {
        let (signed, payment) = (Signed::new(CHAIN), payment(0, 10));
        assert!(!signed.knows(&payment.leaf()));
        for _ in 0..2 {
            assert_eq!(signed.check(&payment, &[owned(10)]), Ok(()));
            assert_eq!(signed.check(&payment, &[owned(11)]), Err(TransactionError::Signature { index: 0 }));
        }
        assert!(signed.knows(&payment.leaf()));
    }

    #[test]
    fn another_signature_of_a_known_payment_is_checked() {
        let (signed, good) = (Signed::new(CHAIN), payment(0, 10));
        signed.check(&good, &[owned(10)]).unwrap();
        let mut bad = good.clone();
        bad.inputs[0].signature.0[63] ^= 1;
        assert_eq!(bad.id(), good.id());
        assert_eq!(signed.check(&bad, &[owned(10)]), Err(TransactionError::Signature { index: 0 }));
        assert!(!signed.knows(&bad.leaf()));
    }

    #[test]
    fn looking_ahead_remembers_what_holds_and_nothing_else() {
        let payments: Vec<Transaction> =
            (0..50).map(|number| payment(number, 10 + u64::from(number % 5 == 0))).collect();
        for cores in [2, 3, 64] {
            let signed = Signed { cores, ..Signed::new(CHAIN) };
            let is_there = |payment: &Transaction| payment.inputs[0].previous.index != 7;
            signed.look_ahead(payments.iter(), |payment| is_there(payment).then(|| vec![owned(10)]));
            for (number, payment) in payments.iter().enumerate() {
                let holds = number % 5 != 0 && number != 7;
                assert_eq!(signed.knows(&payment.leaf()), holds, "payment {number}, {cores} cores");
            }
        }
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let mut seen = Generations::default();
        let hash = |number: usize| Hash256(std::array::from_fn(|byte| number.to_le_bytes()[byte % 8]));
        seen.add(hash(0), CHAIN);
        seen.add(hash(1), CHAIN);
        for number in 2..3 * GENERATION {
            seen.add(hash(number), CHAIN);
            assert!(seen.has(&hash(1), &CHAIN));
        }
        assert!(!seen.has(&hash(0), &CHAIN));
        assert!(seen.newer.len() <= GENERATION && seen.older.len() <= GENERATION);
    }
}
