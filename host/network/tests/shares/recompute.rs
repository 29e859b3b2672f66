//! What a validator finds by itself in a batch, and what it refuses before.

use crate::world::{POOL, batch, batch_at, identity, verdict};
use adit_network::id::Moment;
use adit_network::shares::{Base, Batch, BatchError, BatchVerdict, Batcher, Entry, PoolId, SealedBatch};
use adit_primitives::Hash256;
use adit_primitives::contract::shares::ShareDifficulty;
use bytes::Bytes;
use proptest::prelude::*;

const BASE: Base = Base { round: 0, root: Hash256(POOL.0) };

/// The same batch with something changed, signed by whom it names.
fn changed(change: impl FnOnce(&mut Batch)) -> BatchVerdict {
    // So hard that nothing here meets it by chance.
    let hard = ShareDifficulty::from_log2_hashes(13);
    let mut other = batch_at(hard, &identity(1), BASE, 0, true).batch().clone();
    change(&mut other);
    let signer = if other.node == identity(2).node() { identity(2) } else { identity(1) };
    verdict(&SealedBatch::seal(other, &signer).expect("only fields changed"))
}

fn numbered(mut entry: Entry, nonce: u32) -> Entry {
    entry.nonce = nonce;
    entry
}

#[test]
fn a_share_that_was_mined_is_valid_and_one_that_was_not_is_wrong() {
    assert!(matches!(changed(|_| {}), BatchVerdict::Valid { shares } if shares.len() == 1));
    assert_eq!(verdict(&batch(&identity(1), BASE, 0, false)), BatchVerdict::Wrong { share: 0 });
}

#[test]
fn nobody_claims_anothers_share() {
    assert_eq!(changed(|batch| batch.node = identity(2).node()), BatchVerdict::Wrong { share: 0 });
    assert_eq!(changed(|batch| batch.payees[0].account = "thief".to_owned()), BatchVerdict::Wrong { share: 0 });
    assert_eq!(changed(|batch| batch.jobs[0].base.root = Hash256([1; 32])), BatchVerdict::Wrong { share: 0 });
}

#[test]
fn bytes_that_are_no_batch_of_this_pool_are_refused_with_the_reason() {
    let sealed = batch(&identity(1), BASE, 0, true);
    let open = |bytes: &[u8], pool| SealedBatch::open(Bytes::copy_from_slice(bytes), pool).map(|_| ());
    assert_eq!(open(sealed.bytes(), POOL), Ok(()));
    assert_eq!(open(sealed.bytes(), PoolId([8; 32])), Err(BatchError::Foreign { pool: POOL }));
    let mut forged = sealed.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(open(&forged, POOL), Err(BatchError::Signature { node: identity(1).node() }));
    assert!(matches!(open(&forged[1..], POOL), Err(BatchError::Malformed { .. } | BatchError::Foreign { .. })));
    assert_eq!(open(&vec![0; 40_000], POOL), Err(BatchError::Size { bytes: 40_000 }));
    let mut table = sealed.batch().clone();
    table.entries[0].job = 1;
    assert_eq!(SealedBatch::seal(table, &identity(1)), Err(BatchError::Table { share: 0 }));
    let mut empty = sealed.batch().clone();
    empty.entries.clear();
    assert_eq!(SealedBatch::seal(empty, &identity(1)), Err(BatchError::Counts { jobs: 1, payees: 1, shares: 0 }));
}

#[test]
fn shares_wait_ten_milliseconds_for_others_and_a_hundred_go_at_once() {
    let sealed = batch(&identity(1), BASE, 0, true);
    let (job, payee, entry) = (&sealed.batch().jobs[0], &sealed.batch().payees[0], sealed.batch().entries[0]);
    let mut batcher = Batcher::new(POOL, identity(1));
    let at = Moment::from_millis;
    assert_eq!(batcher.push(at(100), job, payee, entry), None);
    assert_eq!(batcher.push(at(105), job, payee, numbered(entry, 1)), None);
    assert_eq!((batcher.take_due(at(109)), batcher.due()), (None, Some(at(110))));
    let sent = batcher.take_due(at(110)).unwrap();
    assert_eq!((sent.batch().entries.len(), sent.batch().jobs.len(), sent.batch().payees.len()), (2, 1, 1));
    assert_eq!(batcher.due(), None);
    let full: Vec<_> = (0..101).filter_map(|nonce| batcher.push(at(200), job, payee, numbered(entry, nonce))).collect();
    assert_eq!(full.iter().map(|batch| batch.batch().entries.len()).collect::<Vec<_>>(), [100]);
}

proptest! {
    #[test]
    fn a_batch_of_the_largest_shares_never_exceeds_its_bounds(tails in proptest::collection::vec(0usize..64, 1..150)) {
        let sealed = batch(&identity(1), BASE, 0, true);
        let entry = sealed.batch().entries[0];
        let mut batcher = Batcher::new(POOL, identity(1));
        let mut sent = Vec::new();
        for (nonce, tail) in (0u32..).zip(&tails) {
            let mut job = sealed.batch().jobs[0].clone();
            (job.tail, job.branch) = (vec![7; *tail], vec![Hash256([5; 32]); 20]);
            let mut payee = sealed.batch().payees[0].clone();
            (payee.account, payee.worker) = ("a".repeat(1 + tail * 2), "w".repeat(*tail));
            sent.extend(batcher.push(Moment::from_millis(0), &job, &payee, numbered(entry, nonce)));
        }
        sent.extend(batcher.take_due(Moment::from_millis(10)));
        prop_assert_eq!(sent.iter().map(|batch| batch.batch().entries.len()).sum::<usize>(), tails.len());
        for batch in sent {
            prop_assert!(SealedBatch::open(batch.bytes().clone(), POOL).is_ok());
        }
    }

    #[test]
    fn arbitrary_bytes_open_as_nothing_and_never_panic(bytes: Vec<u8>) {
        use adit_network::shares::archive::{Answer, Question};
        use adit_network::shares::votes::Message;
        use adit_primitives::{Decode, Encode};
        prop_assert!(SealedBatch::open(Bytes::from(bytes.clone()), POOL).is_err());
        let same = |encoded: Option<Vec<u8>>| encoded.is_none_or(|encoded| encoded == bytes);
        prop_assert!(same(Message::from_bytes(&bytes).ok().map(|message| message.to_bytes())));
        prop_assert!(same(Question::from_bytes(&bytes).ok().map(|question| question.to_bytes())));
        prop_assert!(same(Answer::from_bytes(&bytes).ok().map(|answer| answer.to_bytes())));
    }
}
