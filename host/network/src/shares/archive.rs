//! Certified rounds as they are kept and sent: how a node that was away catches up.
//!
//! Bounded questions and answers; a certified round proves itself to whoever knows the validators of the round before. It comes with what it credits,
//! which its root covers, and without its batches: what they stand on may be known to nobody any more, such as a block that lost.

use super::batch::BatchId;
use super::record::{Base, Payee, PoolId, ShareId};
use super::votes::{Certificate, Content, Credit};
use crate::id::NodeId;
use adit_primitives::{Decode, DecodeError, Encode, Reader, canonical_struct};
use bytes::Bytes;
use std::collections::BTreeMap;

/// The most batches that one question asks for.
pub const WANTED_MAX: usize = 100;
/// The most rounds that a question names.
pub const BASES_MAX: usize = 8;
/// The most bytes of an answer.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// The most rounds in an answer.
pub const ANSWER_ROUNDS_MAX: usize = 64;

/// A round that more than two thirds of the weight signed, with what it credits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedRound {
    pub content: Content,
    pub certificate: Certificate,
    /// In the order of the round.
    pub credits: Vec<Credit>,
}

/// Credits as they are kept and sent: what many have in common stands once, and a share is 36 bytes beside it.
struct Tables {
    origins: Vec<Origin>,
    payees: Vec<CreditedPayee>,
    shares: Vec<CreditedShare>,
}

/// Whose weight credits are, and the round that they were mined on.
struct Origin {
    node: NodeId,
    base: u64,
}

struct CreditedPayee {
    /// Its place among the origins.
    origin: u32,
    payee: Payee,
}

struct CreditedShare {
    share: ShareId,
    /// Its place among the payees.
    payee: u32,
}

/// Where the host keeps certified rounds.
pub trait Archive {
    /// Returns the canonical bytes of a [`CertifiedRound`], as [`super::rounds::Effect::Certified`] gave it.
    fn round(&self, number: u64) -> Option<Bytes>;

    /// Tells whether a base is one of the pool's certified rounds, however old.
    fn has(&self, base: Base) -> bool;
}

/// A question to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// What it has of rounds: [`super::Rounds::answer`] makes the answer, [`Answer`].
    Rounds(Ask),
    /// What it found in a batch: [`super::Panels::answer`] makes the answer, a [`super::panel::Finding`].
    Batch { pool: PoolId, batch: BatchId },
}

/// What a node asks about rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub pool: PoolId,
    /// Rounds that the asker has: the newest first, then back by doubling steps, at most [`BASES_MAX`].
    pub bases: Vec<Base>,
    /// Batches of the open round that it lacks, at most [`WANTED_MAX`].
    pub wanted: Vec<BatchId>,
}

/// What it hears.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Canonical bytes of the rounds after the newest that both have, in order.
    pub rounds: Vec<Vec<u8>>,
    /// What was said in the open round.
    pub messages: Vec<Vec<u8>>,
    /// Batches that were asked for.
    pub batches: Vec<Vec<u8>>,
}

impl Tables {
    fn of(credits: &[Credit]) -> Self {
        let (mut origins, mut payees) = (BTreeMap::new(), BTreeMap::new());
        let mut tables = Self { origins: Vec::new(), payees: Vec::new(), shares: Vec::with_capacity(credits.len()) };
        for Credit { share, base, node, account, worker, difficulty } in credits {
            let (node, base, difficulty) = (*node, *base, *difficulty);
            let origin = *origins.entry((node, base)).or_insert_with(|| {
                tables.origins.push(Origin { node, base });
                place(tables.origins.len())
            });
            let payee = *payees.entry((origin, account, worker, difficulty)).or_insert_with(|| {
                let payee = Payee { account: account.clone(), worker: worker.clone(), difficulty };
                tables.payees.push(CreditedPayee { origin, payee });
                place(tables.payees.len())
            });
            tables.shares.push(CreditedShare { share: *share, payee });
        }
        tables
    }

    fn credits(&self) -> Result<Vec<Credit>, DecodeError> {
        // A text is copied for each of its shares: one without a bound would fill the memory.
        if let Some(place) = self.payees.iter().position(|row| !row.payee.is_bounded()) {
            return Err(DecodeError::Value { what: "credited payee out of bounds", value: place as u64 });
        }
        let credit = |CreditedShare { share, payee }: &CreditedShare| {
            let CreditedPayee { origin, payee } = at(&self.payees, *payee, "credit's payee")?;
            let Payee { account, worker, difficulty } = payee;
            let Origin { node, base } = at(&self.origins, *origin, "credit's origin")?;
            let (account, worker) = (account.clone(), worker.clone());
            Ok(Credit { share: *share, base: *base, node: *node, account, worker, difficulty: *difficulty })
        };
        self.shares.iter().map(credit).collect()
    }
}

/// Returns the place of the last of so many.
fn place(count: usize) -> u32 {
    u32::try_from(count - 1).expect("a round has fewer shares")
}

fn at<'t, T>(table: &'t [T], place: u32, what: &'static str) -> Result<&'t T, DecodeError> {
    table.get(place as usize).ok_or(DecodeError::Value { what, value: place.into() })
}

impl Encode for CertifiedRound {
    fn encode(&self, out: &mut Vec<u8>) {
        self.content.encode(out);
        self.certificate.encode(out);
        Tables::of(&self.credits).encode(out);
    }
}

impl Decode for CertifiedRound {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (content, certificate) = (Content::decode(reader)?, Certificate::decode(reader)?);
        Ok(Self { content, certificate, credits: Tables::decode(reader)?.credits()? })
    }
}

impl Encode for Question {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Rounds(ask) => {
                out.push(0);
                ask.encode(out);
            }
            Self::Batch { pool, batch } => {
                out.push(1);
                pool.encode(out);
                batch.encode(out);
            }
        }
    }
}

impl Decode for Question {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("question")? {
            0 => Ask::decode(reader).map(Self::Rounds),
            1 => Ok(Self::Batch { pool: PoolId::decode(reader)?, batch: BatchId::decode(reader)? }),
            other => Err(DecodeError::Value { what: "question", value: other.into() }),
        }
    }
}

canonical_struct!(Tables { origins, payees, shares });
canonical_struct!(Origin { node, base });
canonical_struct!(CreditedPayee { origin, payee });
canonical_struct!(CreditedShare { share, payee });
canonical_struct!(Ask { pool, bases, wanted });
canonical_struct!(Answer { rounds, messages, batches });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::batch::{BATCH_SHARES_MAX, Batch, SealedBatch};
    use crate::shares::keys::Identity;
    use crate::shares::record::{Entry, Job};
    use crate::shares::votes::{Close, ROUND_BATCHES_MAX, ROUND_BYTES_MAX, Signatures};
    use adit_primitives::contract::shares::ShareDifficulty;
    use adit_primitives::{Amount, BlockId, Hash256, Height};

    /// A batch that is as small as one of so many shares can be, each for another payee.
    fn smallest_batch(identity: &Identity, pool: PoolId) -> Batch {
        let base = Base { round: 1, root: Hash256([1; 32]) };
        let (previous, branch, tail) = (BlockId([1; 32]), Vec::new(), Vec::new());
        let job = Job { base, height: Height(1), reward: Amount::ZERO, previous, bits: 0, branch, tail };
        let payee = |number: u8| Payee {
            account: "a".repeat(1 + usize::from(number / 60)),
            worker: String::new(),
            difficulty: ShareDifficulty::from_log2_hashes(number % 60),
        };
        let count = u8::try_from(BATCH_SHARES_MAX).unwrap();
        let payees = (0..count).map(payee).collect();
        let entry =
            |payee: u8| Entry { job: 0, payee: payee.into(), version: 0, extranonce: [0; 12], time: 0, nonce: 0 };
        Batch { pool, node: identity.node(), jobs: vec![job], payees, entries: (0..count).map(entry).collect() }
    }

    #[test]
    fn the_largest_round_fits_an_answer_and_is_read_back() {
        let (identity, pool) = (Identity::from_secret(&[1; 32]), PoolId([7; 32]));
        let batch = smallest_batch(&identity, pool);
        let bytes = SealedBatch::seal(batch.clone(), &identity).unwrap().bytes().len();
        let count = ROUND_BATCHES_MAX.min(ROUND_BYTES_MAX / bytes);
        let mut credits = Vec::new();
        for number in 0..count {
            credits.extend(batch.payees.iter().map(|payee| Credit {
                share: ShareId([u8::try_from(number % 256).unwrap(); 32]),
                base: number as u64,
                node: identity.node(),
                account: payee.account.clone(),
                worker: payee.worker.clone(),
                difficulty: payee.difficulty,
            }));
        }
        let (previous, root) = (Hash256([1; 32]), Hash256([2; 32]));
        let batches = vec![BatchId([1; 32]); ROUND_BATCHES_MAX];
        let content = Content { round: 1, previous, close: Close::Time, batches, evidence: Vec::new(), root };
        let certificate = Certificate { round: 1, view: 0, previous, root, signatures: Signatures::of([]) };
        let round = CertifiedRound { content, certificate, credits };
        let bytes = round.to_bytes();
        // Signatures and proofs of fraud take 10 kB more.
        assert!(bytes.len() + (16 << 10) < ANSWER_BYTES_MAX, "{} bytes of {count} batches", bytes.len());
        assert_eq!(CertifiedRound::from_bytes(&bytes).unwrap(), round);
    }

    /// Returns whether one share of a payee with this account is read, where so many origins are there.
    fn is_read(account: &str, origins: usize, payee: u32) -> bool {
        let difficulty = ShareDifficulty::from_log2_hashes(1);
        let origin = || Origin { node: Identity::from_secret(&[1; 32]).node(), base: 0 };
        let named = Payee { account: account.to_owned(), worker: String::new(), difficulty };
        let tables = Tables {
            origins: (0..origins).map(|_| origin()).collect(),
            payees: vec![CreditedPayee { origin: 0, payee: named }],
            shares: vec![CreditedShare { share: ShareId([1; 32]), payee }],
        };
        tables.credits().is_ok()
    }

    #[test]
    fn credits_of_payees_that_are_not_there_or_out_of_bounds_are_refused() {
        assert!(is_read("account", 1, 0));
        assert!(!is_read("account", 1, 1));
        assert!(!is_read("account", 0, 0));
        assert!(!is_read(&"a".repeat(1 << 20), 1, 0));
        assert!(!is_read("line\nbreak", 1, 0));
    }
}
