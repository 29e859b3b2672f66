//! Signatures that were seen to hold, so that each is checked once.
//!
//! Where blocks merge others, a payment is applied again whenever the tip moves to a block that merges it too, and it was let into the mempool before.
//! What is remembered is a transaction's leaf, which covers its signatures, with the message that these are over, which covers what it
//! spends: the same pair has the same answer for ever, on every branch. A signature that does not hold is not remembered.
//!
//! [`Signed::beside`] checks those of many payments from the last one on, on the other cores, while they are applied one after another from the first.

use crate::transaction::{OutPoint, Output};
use crate::{Transaction, TransactionError};
use adit_primitives::{Hash256, TxId};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

    /// Has payments applied, and meanwhile checks those of their signatures that nobody has seen yet from the last payment on, on the other cores: where both
    /// meet, `apply` finds them seen. `stored` finds outputs that are kept; what one of the payments creates need not be.
    pub(crate) fn beside<R>(
        &self,
        payments: &[&Transaction],
        stored: impl Fn(&OutPoint) -> Option<Output> + Sync,
        apply: impl FnOnce() -> R,
    ) -> R {
        let threads = (payments.len() / WORTH_A_THREAD).min(self.cores - 1);
        if threads == 0 {
            return apply();
        }
        let ahead = Ahead {
            signed: self,
            payments,
            stored,
            made: OnceLock::new(),
            left: AtomicUsize::new(payments.len()),
            is_over: AtomicBool::new(false),
        };
        std::thread::scope(|scope| {
            (0..threads).for_each(|_| drop(scope.spawn(|| ahead.run())));
            let applied = apply();
            ahead.is_over.store(true, Ordering::Relaxed);
            applied
        })
    }

    fn seen(&self) -> MutexGuard<'_, Generations> {
        // A map between two changes is whole whatever panicked.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Payments whose signatures are checked before they are needed.
struct Ahead<'a, F> {
    signed: &'a Signed,
    payments: &'a [&'a Transaction],
    stored: F,
    /// The payments by their ids.
    made: OnceLock<HashMap<TxId, &'a Transaction>>,
    /// How many of the payments, from the first, nobody has taken up.
    left: AtomicUsize,
    is_over: AtomicBool,
}

impl<F: Fn(&OutPoint) -> Option<Output>> Ahead<'_, F> {
    fn run(&self) {
        let take = || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok();
        while !self.is_over.load(Ordering::Relaxed)
            && let Some(left) = take()
        {
            self.look_at(self.payments[left - 1]);
        }
    }

    fn look_at(&self, payment: &Transaction) {
        let leaf = payment.leaf();
        if self.signed.seen().message(&leaf).is_some() {
            return;
        }
        let spent = payment.inputs.iter().map(|input| self.output(&input.previous)).collect::<Option<Vec<Output>>>();
        let Some(spent) = spent else { return };
        let message = payment.signature_hash(&self.signed.chain, &spent);
        if verify(payment, &spent, &message).is_ok() {
            self.signed.seen().add(leaf, message);
        }
    }

    fn output(&self, at: &OutPoint) -> Option<Output> {
        let by_id = || self.payments.iter().map(|payment| (payment.id(), *payment)).collect();
        match self.made.get_or_init(by_id).get(&at.transaction) {
            Some(payment) => payment.outputs.get(usize::try_from(at.index).ok()?).copied(),
            None => (self.stored)(at),
        }
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
        let mut payments: Vec<Transaction> =
            (0..50).map(|number| payment(number, 10 + u64::from(number % 5 == 0))).collect();
        payments[1].outputs = vec![owned(1)];
        payments[1].sign(&CHAIN, &[owned(10)], &key());
        // One that spends what another one creates, and one that spends what that one does not.
        for index in [0, 1] {
            let mut next = payments[1].clone();
            next.inputs[0].previous = OutPoint { transaction: payments[1].id(), index };
            next.sign(&CHAIN, &[owned(1)], &key());
            payments.push(next);
        }
        let all: Vec<&Transaction> = payments.iter().collect();
        for cores in [2, 3, 64] {
            let signed = Signed { cores, ..Signed::new(CHAIN) };
            let stored = |at: &OutPoint| (at.index != 7).then(|| owned(10));
            let looked_at = || {
                let holds = |number: usize| (!number.is_multiple_of(5) && number != 7 || number == 50) && number != 51;
                let known = |number: usize| signed.knows(&payments[number].leaf());
                while (0..payments.len()).any(|number| holds(number) && !known(number)) {
                    std::thread::yield_now();
                }
                (0..payments.len()).all(|number| known(number) == holds(number))
            };
            assert!(signed.beside(&all, stored, looked_at), "{cores} cores");
        }
        let alone = Signed { cores: 1, ..Signed::new(CHAIN) };
        alone.beside(&all, |_| Some(owned(10)), || ());
        assert!(!payments.iter().any(|payment| alone.knows(&payment.leaf())));
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
