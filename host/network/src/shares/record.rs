//! One share as it is sent, and the header that it says was hashed.
//!
//! # What ties a share to whom it pays
//! A share's header is never sent. A validator builds it from the share's fields, and each field that decides about money goes
//! through a hash on the way into the header:
//!
//! ```text
//! commitment = BLAKE3("adit share commitment 1" | pool | base round | base root | node | account | worker | difficulty)
//! coinbase   = head | commitment (32) | extranonce (12) | tail
//! header     = version | previous | fold(sha256d(coinbase), branch) | time | bits | nonce
//! ```
//!
//! So whoever changes the account, the node or the difficulty of another's share has another header, whose hash misses the
//! target as any guess would: shares cannot be stolen, and nothing has to be compared to find that out.
//!
//! - `head` is the coinbase up to its data, with outputs that pay `reward` as the certified rounds up to the base say. It is not
//!   sent either: each node computes it. Work for another payee, for another pool, or for oneself alone has no head, hence no share.
//! - `base` is the newest certified round when the job was made. Its root is not known before, so a share is younger than it,
//!   and a share is only credited a few rounds after its base: none can be kept back for long, and whether it is a double is
//!   asked of those rounds alone.
//! - `difficulty` is committed before the search. Were it stated after, everybody would state the hardest that a lucky hash
//!   happens to meet, and be credited without end.
//! - The id of a share is the hash of its header: one header, one share, whatever else is said about it.
//!
//! What it does not prove: that the miner would have handed in a block. Who withholds blocks is not found here.

use crate::id::NodeId;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::{
    Amount, BlockId, Decode, DecodeError, Encode, Hash256, Height, Reader, canonical_struct, sha256d,
};

/// The header of work that Stratum carries.
pub const HEADER_BYTES: usize = 80;
/// The number of the job and both parts of the extranonce.
pub const EXTRANONCE_BYTES: usize = 12;
/// The commitment in the coinbase.
pub const COMMITMENT_BYTES: usize = 32;
/// The longest account: an address in text.
pub const ACCOUNT_BYTES_MAX: usize = 128;
/// The longest name of a worker.
pub const WORKER_BYTES_MAX: usize = 64;
/// The most hashes between the coinbase and the root: blocks of a million transactions.
pub const BRANCH_MAX: usize = 20;
/// The longest message behind the extranonce.
pub const TAIL_BYTES_MAX: usize = 64;

/// A pool: the digest of its chain's rules and its own, with its founders. Nodes of different pools have no share in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub [u8; 32]);

/// A share: the BLAKE3 digest of the header that was hashed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareId(pub [u8; 32]);

/// A certified round on which work stands. Round 0 is the pool's beginning, whose root is its [`PoolId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Base {
    pub round: u64,
    pub root: Hash256,
}

/// What shares of one template have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub base: Base,
    /// Of the block that is searched.
    pub height: Height,
    /// What the coinbase pays in all.
    pub reward: Amount,
    pub previous: BlockId,
    pub bits: u32,
    /// The hashes from the coinbase to the root, at most [`BRANCH_MAX`].
    pub branch: Vec<Hash256>,
    /// The coinbase behind the extranonce, at most [`TAIL_BYTES_MAX`].
    pub tail: Vec<u8>,
}

/// Whom shares pay, and how hard they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payee {
    /// An address, at most [`ACCOUNT_BYTES_MAX`]. What it means is the pool's.
    pub account: String,
    /// At most [`WORKER_BYTES_MAX`].
    pub worker: String,
    pub difficulty: ShareDifficulty,
}

/// What one share adds to its job and its payee, which it names by their places in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub job: u16,
    pub payee: u16,
    /// With the bits that the miner rolled.
    pub version: u32,
    /// The number of the job and both parts of the extranonce, as they stand in the coinbase.
    pub extranonce: [u8; EXTRANONCE_BYTES],
    pub time: u32,
    pub nonce: u32,
}

/// A whole share: what its fields in a [`super::Batch`] mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share<'a> {
    pub node: NodeId,
    pub job: &'a Job,
    pub payee: &'a Payee,
    pub entry: &'a Entry,
}

/// Returns what stands in the coinbase between its head and the extranonce: see the module's doc.
pub fn commitment(pool: PoolId, base: Base, node: NodeId, payee: &Payee) -> [u8; COMMITMENT_BYTES] {
    let mut bytes = Vec::with_capacity(160 + payee.account.len() + payee.worker.len());
    pool.encode(&mut bytes);
    base.encode(&mut bytes);
    node.encode(&mut bytes);
    payee.encode(&mut bytes);
    blake3::derive_key("adit share commitment 1", &bytes)
}

impl Share<'_> {
    /// Builds the header that was hashed, on the coinbase's head as the host computes it for the job.
    pub fn header(&self, pool: PoolId, head: &[u8]) -> [u8; HEADER_BYTES] {
        let Self { node, job, payee, entry } = self;
        let commitment = commitment(pool, job.base, *node, payee);
        let coinbase = [head, &commitment, &entry.extranonce, &job.tail].concat();
        let root = fold(sha256d(&coinbase), &job.branch);
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&entry.version.to_le_bytes());
        header[4..36].copy_from_slice(&job.previous.0);
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&entry.time.to_le_bytes());
        header[72..76].copy_from_slice(&job.bits.to_le_bytes());
        header[76..].copy_from_slice(&entry.nonce.to_le_bytes());
        header
    }
}

/// The root over a first leaf of Bitcoin's merkle tree.
fn fold(leaf: [u8; 32], branch: &[Hash256]) -> [u8; 32] {
    branch.iter().fold(leaf, |left, right| sha256d(&[left, right.0].concat()))
}

impl ShareId {
    /// Returns the id of the share with this header.
    pub fn of(header: &[u8; HEADER_BYTES]) -> Self {
        Self(*blake3::hash(header).as_bytes())
    }
}

impl Job {
    /// Tells whether every list is within its bound.
    pub fn is_bounded(&self) -> bool {
        self.branch.len() <= BRANCH_MAX && self.tail.len() <= TAIL_BYTES_MAX
    }
}

impl Payee {
    /// Tells whether every text is within its bound, and printable.
    pub fn is_bounded(&self) -> bool {
        let fits = |text: &str, max: usize| text.len() <= max && !text.chars().any(char::is_control);
        !self.account.is_empty() && fits(&self.account, ACCOUNT_BYTES_MAX) && fits(&self.worker, WORKER_BYTES_MAX)
    }
}

canonical_struct!(Base { round, root });
canonical_struct!(Payee { account, worker, difficulty });

impl Encode for Job {
    fn encode(&self, out: &mut Vec<u8>) {
        self.base.encode(out);
        self.height.encode(out);
        self.reward.to_atoms().encode(out);
        self.previous.encode(out);
        self.bits.encode(out);
        self.branch.encode(out);
        self.tail.encode(out);
    }
}

impl Decode for Job {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            base: Base::decode(reader)?,
            height: Height::decode(reader)?,
            reward: Amount::from_atoms(u64::decode(reader)?),
            previous: BlockId::decode(reader)?,
            bits: u32::decode(reader)?,
            branch: Vec::decode(reader)?,
            tail: Vec::decode(reader)?,
        })
    }
}

impl Encode for Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        self.job.encode(out);
        self.payee.encode(out);
        self.version.encode(out);
        out.extend_from_slice(&self.extranonce);
        self.time.encode(out);
        self.nonce.encode(out);
    }
}

impl Decode for Entry {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            job: u16::decode(reader)?,
            payee: u16::decode(reader)?,
            version: u32::decode(reader)?,
            extranonce: reader.array("extranonce")?,
            time: u32::decode(reader)?,
            nonce: u32::decode(reader)?,
        })
    }
}

/// Canonical bytes and hexadecimal text of ids of 32 bytes.
macro_rules! id {
    ($id:ident, $what:literal) => {
        impl ::adit_primitives::Encode for $id {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        }

        impl ::adit_primitives::Decode for $id {
            fn decode(reader: &mut ::adit_primitives::Reader<'_>) -> Result<Self, ::adit_primitives::DecodeError> {
                reader.array($what).map(Self)
            }
        }

        impl ::std::fmt::Display for $id {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&::adit_primitives::Hash256(self.0), f)
            }
        }

        impl ::std::fmt::Debug for $id {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        }
    };
}
pub(super) use id;
id!(PoolId, "pool");
id!(ShareId, "share");

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: PoolId = PoolId([9; 32]);

    fn job() -> Job {
        Job {
            base: Base { round: 3, root: Hash256([3; 32]) },
            height: Height(7),
            reward: Amount::from_atoms(50),
            previous: BlockId([1; 32]),
            bits: 0x207f_ffff,
            branch: vec![Hash256([4; 32]), Hash256([5; 32])],
            tail: b"/adit/".to_vec(),
        }
    }

    fn payee() -> Payee {
        let difficulty = ShareDifficulty::from_log2_hashes(8);
        Payee { account: "ab".to_owned(), worker: "c".to_owned(), difficulty }
    }

    const ENTRY: Entry = Entry { job: 0, payee: 0, version: 1, extranonce: [6; 12], time: 5, nonce: 4 };

    fn id_of(pool: PoolId, node: u8, job: &Job, payee: &Payee) -> ShareId {
        ShareId::of(&Share { node: NodeId([node; 32]), job, payee, entry: &ENTRY }.header(pool, b"head"))
    }

    #[test]
    fn whoever_changes_what_a_share_pays_has_another_header() {
        let was = id_of(POOL, 1, &job(), &payee());
        assert_eq!(id_of(POOL, 1, &job(), &payee()), was);
        assert_ne!(id_of(PoolId([8; 32]), 1, &job(), &payee()), was);
        assert_ne!(id_of(POOL, 2, &job(), &payee()), was);
        assert_ne!(id_of(POOL, 1, &job(), &Payee { account: "a".to_owned(), ..payee() }), was);
        // The border between two texts is bound too.
        let moved = Payee { account: "abc".to_owned(), worker: String::new(), ..payee() };
        assert_ne!(id_of(POOL, 1, &job(), &moved), was);
        assert_ne!(id_of(POOL, 1, &job(), &Payee { difficulty: ShareDifficulty::from_log2_hashes(9), ..payee() }), was);
        let mut later = job();
        later.base.round = 4;
        assert_ne!(id_of(POOL, 1, &later, &payee()), was);
    }

    #[test]
    fn the_header_has_its_fields_where_bitcoin_has_them() {
        let (job, payee) = (job(), payee());
        let header = Share { node: NodeId([1; 32]), job: &job, payee: &payee, entry: &ENTRY }.header(POOL, b"head");
        assert_eq!((&header[..4], &header[4..36]), (&[1, 0, 0, 0][..], &[1; 32][..]));
        assert_eq!(header[68..], [5, 0, 0, 0, 0xff, 0xff, 0x7f, 0x20, 4, 0, 0, 0]);
        let committed = commitment(POOL, job.base, NodeId([1; 32]), &payee);
        let coinbase = [b"head", &committed[..], &[6; 12], b"/adit/"].concat();
        assert_eq!(header[36..68], fold(sha256d(&coinbase), &job.branch));
    }

    #[test]
    fn a_text_that_a_terminal_would_obey_is_refused() {
        assert!(payee().is_bounded());
        assert!(!Payee { account: "\u{1b}[2J".to_owned(), ..payee() }.is_bounded());
        assert!(!Payee { account: String::new(), ..payee() }.is_bounded());
        assert!(!Payee { worker: "w".repeat(WORKER_BYTES_MAX + 1), ..payee() }.is_bounded());
    }
}
