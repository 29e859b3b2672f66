//! What an upstream wants mined, whatever its kind: a header of 80 bytes over a coinbase with room for an extranonce.

use adit_primitives::{Amount, BlockId, Hash256, Height, Target, sha256d};

/// The bytes of a header, as every Stratum miner hashes it.
pub const HEADER_BYTES: usize = 80;

/// The most entries of a merkle branch: 2^32 transactions fit no block.
pub const BRANCH_MAX: usize = 32;

/// The most bytes of a coinbase. Bitcoin's rules allow more; nothing that a pool builds comes near.
pub const COINBASE_BYTES_MAX: usize = 64 * 1024;

/// The bytes of an extranonce, both parts together: enough for two front-ends' counters, and what every miner's firmware takes.
pub const EXTRANONCE_BYTES: std::ops::RangeInclusive<usize> = 3..=16;

/// The bytes of a job's number in its coinbase.
pub const JOB_BYTES: usize = 4;

/// The bytes by which a coinbase of a peer-to-peer pool says whose work it is.
pub const COMMITMENT_BYTES: usize = size_of::<Commitment>();

/// What is to be mined, and how the solved block is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTemplate {
    pub height: Height,
    pub version: u32,
    /// The block before, in the header's byte order.
    pub previous: BlockId,
    /// The target as the header states it, in the chain's own coding.
    pub bits: u32,
    /// The header's time in seconds. Miners may raise it.
    pub time: u32,
    /// The earliest time that the header may carry, in seconds.
    pub earliest: u32,
    /// What a block's digest must not exceed.
    pub target: Target,
    /// Which bits of the version a miner may roll. 0 for none.
    pub version_mask: u32,
    pub coinbase: Coinbase,
    /// From the coinbase's leaf to the merkle root.
    pub branch: Vec<Hash256>,
    /// All that the coinbase pays: what the block creates, and its fees.
    pub reward: Amount,
    /// The part of the reward that is fees.
    pub fees: Amount,
    pub assembly: Assembly,
}

/// A coinbase without its extranonce. Its id, the double SHA-256 of these bytes, is the first leaf of the merkle tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coinbase {
    /// The bytes before the extranonce. The last [`JOB_BYTES`] of them are room for the number of the job, zero in a template: so no header of
    /// one job can be one of another, however alike their templates are, and no share is submitted for two.
    pub before: Vec<u8>,
    /// In a peer-to-peer pool: the certified round as which the coinbase pays. Right before the room for the job's number are then
    /// [`COMMITMENT_BYTES`] more of room, which each worker's commitment fills.
    pub base: Option<Base>,
    /// How many bytes the extranonce has: the pool's part and the miner's.
    pub extranonce_bytes: usize,
    /// The bytes after it. At least four where the block holds a witness: the lock time.
    pub after: Vec<u8>,
}

/// A round of shares that the nodes of a peer-to-peer pool certified; round 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    pub round: u64,
    pub root: Hash256,
}

/// By which bytes a coinbase says whose work it is. What they mean is the share log's.
// The length is written out: rustc 1.95 breaks on a closure around a struct that takes over fields of a type whose length is computed.
pub type Commitment = [u8; 32];

/// How a block is put together: `before_header`, the header, `before_coinbase`, the coinbase, `after_coinbase`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembly {
    pub before_header: Vec<u8>,
    pub before_coinbase: Vec<u8>,
    /// The coinbase's witness, as BIP-0144 writes it before the lock time. `None`: the coinbase stands in the block as it is hashed.
    pub witness: Option<Vec<u8>>,
    pub after_coinbase: Vec<u8>,
}

/// Why a template cannot be mined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the template has no {field}")]
    Missing { field: &'static str },
    #[error("the template's {field} is not understood: {detail}")]
    Field { field: &'static str, detail: String },
    #[error("the template asks for the rule {rule}, which this pool does not know")]
    UnknownRule { rule: String },
    #[error("the template's target {target} is not that of its bits {bits:#010x}")]
    Target { target: Target, bits: u32 },
    #[error("the template's target is zero: no digest meets it")]
    ZeroTarget,
    #[error("the template's time {time} is before {earliest}, the earliest that it allows")]
    Time { time: u32, earliest: u32 },
    #[error("the template pays {reward:?}, no more than {max:?} can be")]
    Reward { reward: Amount, max: Amount },
    #[error("the template's fees of {fees:?} are more than the {reward:?} that it pays")]
    Fees { fees: Amount, reward: Amount },
    #[error("the extranonce has {bytes} bytes, {} to {} are possible", EXTRANONCE_BYTES.start(), EXTRANONCE_BYTES.end())]
    Extranonce { bytes: usize },
    #[error("the coinbase's script has {bytes} bytes, {max} are allowed")]
    Script { bytes: usize, max: usize },
    #[error("the coinbase has {bytes} bytes, {COINBASE_BYTES_MAX} are allowed")]
    Coinbase { bytes: usize },
    #[error("the merkle branch has {entries} entries, {BRANCH_MAX} are possible")]
    Branch { entries: usize },
    #[error("the block would have a weight of {weight}, {max} is allowed")]
    Weight { weight: u64, max: u64 },
    #[error("the block would count {operations} signature operations, {max} are allowed")]
    SignatureOperations { operations: u64, max: u64 },
    #[error("the header has {bytes} bytes: miners hash {HEADER_BYTES}, with the nonce in the last four")]
    Header { bytes: usize },
    #[error("the header commits to {header}, its transactions have the root {computed}")]
    Root { header: Hash256, computed: Hash256 },
}

impl BlockTemplate {
    /// Refuses what no pool could mine, whoever made it.
    pub fn check(&self) -> Result<(), TemplateError> {
        let bytes = self.coinbase.bytes();
        if !EXTRANONCE_BYTES.contains(&self.coinbase.extranonce_bytes) {
            return Err(TemplateError::Extranonce { bytes: self.coinbase.extranonce_bytes });
        }
        if bytes > COINBASE_BYTES_MAX {
            return Err(TemplateError::Coinbase { bytes });
        }
        if !self.coinbase.has_room() || (self.assembly.witness.is_some() && self.coinbase.after.len() < 4) {
            return Err(TemplateError::Missing { field: "coinbase with room for the job's number" });
        }
        if self.branch.len() > BRANCH_MAX {
            return Err(TemplateError::Branch { entries: self.branch.len() });
        }
        if self.target.0.is_zero() {
            return Err(TemplateError::ZeroTarget);
        }
        if self.time < self.earliest {
            return Err(TemplateError::Time { time: self.time, earliest: self.earliest });
        }
        if self.fees > self.reward {
            return Err(TemplateError::Fees { fees: self.fees, reward: self.reward });
        }
        Ok(())
    }

    /// Returns the merkle root over a coinbase.
    pub fn root(&self, coinbase: &[u8]) -> Hash256 {
        fold(Hash256(sha256d(coinbase)), &self.branch)
    }

    /// Builds a header.
    pub fn header(&self, root: Hash256, version: u32, time: u32, nonce: u32) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&version.to_le_bytes());
        header[4..36].copy_from_slice(&self.previous.0);
        header[36..68].copy_from_slice(&root.0);
        header[68..72].copy_from_slice(&time.to_le_bytes());
        header[72..76].copy_from_slice(&self.bits.to_le_bytes());
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        header
    }

    /// Puts a block together from its header and its coinbase as it was hashed.
    pub fn block(&self, header: &[u8; HEADER_BYTES], coinbase: &[u8]) -> Vec<u8> {
        let Assembly { before_header, before_coinbase, witness, after_coinbase } = &self.assembly;
        let witness_bytes = witness.as_ref().map_or(0, |witness| 2 + witness.len());
        let around = before_header.len() + before_coinbase.len() + after_coinbase.len();
        let mut block = Vec::with_capacity(around + HEADER_BYTES + coinbase.len() + witness_bytes);
        block.extend_from_slice(before_header);
        block.extend_from_slice(header);
        block.extend_from_slice(before_coinbase);
        match witness {
            None => block.extend_from_slice(coinbase),
            Some(witness) => {
                let (version, rest) = coinbase.split_at(4);
                let (middle, lock_time) = rest.split_at(rest.len() - 4);
                // BIP-0144: marker and flag after the version, the witness before the lock time.
                [version, &[0, 1], middle, witness, lock_time].iter().for_each(|part| block.extend_from_slice(part));
            }
        }
        block.extend_from_slice(after_coinbase);
        block
    }
}

impl Coinbase {
    /// Returns how many bytes the whole has.
    pub fn bytes(&self) -> usize {
        self.before.len() + self.extranonce_bytes + self.after.len()
    }

    /// Tells whether the version comes first and room for the job's number last, behind that for a commitment where there is one.
    fn has_room(&self) -> bool {
        let room = self.room();
        self.before.len() >= 4 + room && self.before[self.before.len() - room..].iter().all(|byte| *byte == 0)
    }

    /// How many of the bytes before the extranonce are not the same in every coinbase of the chain's node.
    fn room(&self) -> usize {
        JOB_BYTES + if self.base.is_some() { COMMITMENT_BYTES } else { 0 }
    }

    /// Writes the number of the job.
    pub(crate) fn number(&mut self, job: u32) {
        if let Some(room) = self.before.last_chunk_mut::<JOB_BYTES>() {
            *room = job.to_be_bytes();
        }
    }

    /// Returns what comes before any worker's commitment: all that comes before the extranonce, where there is none.
    pub(crate) fn head(&self) -> &[u8] {
        match self.base {
            Some(_) => &self.before[..self.before.len() - self.room()],
            None => &self.before,
        }
    }

    /// Returns what follows the head up to the extranonce.
    pub(crate) fn opening(&self, commitment: Option<&Commitment>) -> Vec<u8> {
        let number = &self.before[self.before.len() - JOB_BYTES..];
        commitment.filter(|_| self.base.is_some()).map_or_else(Vec::new, |commitment| [commitment, number].concat())
    }

    /// Returns the bytes before the extranonce, as a worker with this commitment has them.
    pub fn before_of(&self, commitment: Option<&Commitment>) -> Vec<u8> {
        [self.head(), &self.opening(commitment)].concat()
    }

    /// Puts commitment and extranonce in: of the latter the pool's part first.
    pub fn with(&self, commitment: Option<&Commitment>, pool: &[u8], miner: &[u8]) -> Vec<u8> {
        [self.head(), &self.opening(commitment), pool, miner, &self.after].concat()
    }
}

/// Returns the merkle root over a first leaf and its branch.
pub fn fold(leaf: Hash256, branch: &[Hash256]) -> Hash256 {
    branch.iter().fold(leaf, |left, right| pair(&left, right))
}

/// Returns the branch from the first leaf of Bitcoin's merkle tree to its root, given the leaves after it.
pub fn branch(leaves: &[Hash256]) -> Vec<Hash256> {
    let mut branch = Vec::new();
    // Entry 0 of each level lies over the first leaf and is not known. Levels of odd length repeat their last entry.
    let mut level = leaves.to_vec();
    while let Some((first, rest)) = level.split_first() {
        branch.push(*first);
        level = rest.chunks(2).map(|both| pair(&both[0], both.last().expect("chunks are not empty"))).collect();
    }
    branch
}

fn pair(left: &Hash256, right: &Hash256) -> Hash256 {
    let mut both = [0; 64];
    both[..32].copy_from_slice(&left.0);
    both[32..].copy_from_slice(&right.0);
    Hash256(sha256d(&both))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use adit_primitives::TxId;
    use proptest::prelude::*;

    /// A template with an easy target, a branch and bits that may be rolled.
    pub(crate) fn sample() -> BlockTemplate {
        BlockTemplate {
            height: Height(7),
            version: 0x2000_0000,
            previous: BlockId([9; 32]),
            bits: 0x207f_ffff,
            time: 1_000_000,
            earliest: 999_990,
            target: Target(adit_primitives::U256::MAX >> 6),
            version_mask: 0x1fff_e000,
            coinbase: Coinbase {
                before: [vec![1; 56], vec![0; JOB_BYTES]].concat(),
                base: None,
                extranonce_bytes: 8,
                after: vec![2; 50],
            },
            branch: vec![Hash256([5; 32]), Hash256([6; 32])],
            reward: Amount::from_atoms(50_000),
            fees: Amount::from_atoms(10),
            assembly: Assembly {
                before_header: vec![],
                before_coinbase: vec![3],
                witness: None,
                after_coinbase: vec![4; 9],
            },
        }
    }

    #[test]
    fn a_template_that_cannot_be_mined_is_refused() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut BlockTemplate), want: TemplateError) {
            let mut template = sample();
            change(&mut template);
            assert_eq!(template.check(), Err(want));
        }
        assert_eq!(sample().check(), Ok(()));
        check(|template| template.target = Target(adit_primitives::U256::ZERO), TemplateError::ZeroTarget);
        check(|template| template.earliest = 1_000_001, TemplateError::Time { time: 1_000_000, earliest: 1_000_001 });
        check(|template| template.branch = vec![Hash256::default(); 33], TemplateError::Branch { entries: 33 });
        check(|template| template.coinbase.extranonce_bytes = 2, TemplateError::Extranonce { bytes: 2 });
        check(|template| template.coinbase.after = vec![0; 70_000], TemplateError::Coinbase { bytes: 70_068 });
        let missing = TemplateError::Missing { field: "coinbase with room for the job's number" };
        check(|template| template.coinbase.before.truncate(7), missing.clone());
        check(|template| template.coinbase.before[59] = 1, missing.clone());
        check(|template| template.coinbase.base = Some(Base { round: 3, root: Hash256([3; 32]) }), missing);
        let (fees, reward) = (Amount::from_atoms(50_001), Amount::from_atoms(50_000));
        check(|template| template.fees = fees, TemplateError::Fees { fees, reward });
    }

    /// The whole tree, level by level.
    fn root_of(mut level: Vec<Hash256>) -> Hash256 {
        while level.len() > 1 {
            level = level.chunks(2).map(|both| pair(&both[0], both.last().unwrap())).collect();
        }
        level[0]
    }

    #[test]
    fn bitcoins_block_100000_has_its_root() {
        let leaf = |text: &str| Hash256(text.parse::<TxId>().unwrap().0);
        let first = leaf("8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87");
        let rest = [
            leaf("fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4"),
            leaf("6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4"),
            leaf("e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d"),
        ];
        let want = leaf("f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766");
        assert_eq!(fold(first, &branch(&rest)), want);
    }

    proptest! {
        #[test]
        fn a_branch_leads_to_the_root_of_the_whole_tree(count in 0u8..70) {
            let leaves: Vec<_> = (0..=count).map(|byte| Hash256([byte; 32])).collect();
            prop_assert_eq!(fold(leaves[0], &branch(&leaves[1..])), root_of(leaves));
        }
    }
}
