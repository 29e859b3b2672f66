//! The header of a plain plot, and where everything lies in the file.

use crate::error::Problem;
use crate::tree::{self, SUBTREE, SUBTREE_LEVELS};
use adit_primitives::space::LEAF_BYTES;
pub use adit_primitives::space::LEAVES_MAX;
pub use adit_primitives::space::plot_id;
use sha2::{Digest, Sha256};

/// The bytes of a header: as many as a sector, so that leaves begin at one.
pub const HEADER_BYTES: usize = 4_096;

/// How a header begins.
pub const MAGIC: [u8; 8] = *b"ADITPLOT";

/// The version of the layout.
pub const VERSION: u32 = 1;

/// How many bytes say something: zeros follow.
const SAID: usize = 128;

/// Where the checksum stands: at the header's end.
const CHECKSUM: usize = HEADER_BYTES - 32;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The public key of whom the plot belongs to.
    pub key: [u8; 32],
    /// Random: tells plots of one key apart.
    pub seed: [u8; 32],
    /// How many leaves there are: a multiple of [`SUBTREE`].
    pub leaves: u64,
    /// How many of them are made and on the disk, from the first: a multiple of [`SUBTREE`].
    pub made: u64,
    /// The root of the tree; zeros until the plot is finished.
    pub root: [u8; 32],
}

/// Where everything lies in a plot of so many leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    leaves: u64,
}

impl Header {
    /// Returns what the leaves are made from.
    pub fn id(&self) -> [u8; 32] {
        plot_id(&self.key, &self.seed)
    }

    /// Returns where everything lies.
    pub fn layout(&self) -> Layout {
        Layout { leaves: self.leaves }
    }

    /// Tells whether everything is made.
    pub fn is_finished(&self) -> bool {
        self.made == self.leaves && self.root != [0; 32]
    }

    /// Returns the header's bytes. Numbers are little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&tree::height(self.leaves).to_le_bytes());
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&self.seed);
        bytes.extend_from_slice(&self.leaves.to_le_bytes());
        bytes.extend_from_slice(&self.made.to_le_bytes());
        bytes.extend_from_slice(&self.root);
        bytes.resize(CHECKSUM, 0);
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// Where it is of something else, of another version, changed, or says what no plot has.
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Problem> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let number = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let hash = |at: usize| *bytes[at..].first_chunk().expect("a header is longer");
        if bytes[..8] != MAGIC {
            return Err(Problem::Foreign);
        }
        let version = word(8);
        if version != VERSION {
            return Err(Problem::Version { found: version, known: VERSION });
        }
        if Sha256::digest(&bytes[..CHECKSUM]).as_slice() != &bytes[CHECKSUM..] {
            return Err(Problem::Checksum);
        }
        let header = Self { key: hash(16), seed: hash(48), leaves: number(80), made: number(88), root: hash(96) };
        let Self { leaves, made, .. } = header;
        let whole = leaves > 0 && leaves <= LEAVES_MAX && leaves.is_multiple_of(SUBTREE);
        let possible = whole && made <= leaves && made.is_multiple_of(SUBTREE) && word(12) == tree::height(leaves);
        let is_empty_behind = bytes[SAID..CHECKSUM].iter().all(|byte| *byte == 0);
        if possible && is_empty_behind { Ok(header) } else { Err(Problem::Foreign) }
    }
}

impl Layout {
    /// Returns the layout of the largest plot that fits into so many bytes.
    pub fn within(bytes: u64) -> Result<Self, Problem> {
        let least = Self { leaves: SUBTREE }.bytes();
        if bytes < least {
            return Err(Problem::Small { bytes, least });
        }
        // Nodes take a thousandth: a few steps down from all leaves.
        let mut subtrees = (bytes / LEAF_BYTES as u64 / SUBTREE).clamp(1, LEAVES_MAX / SUBTREE);
        while Self::of(subtrees).bytes() > bytes {
            let over = Self::of(subtrees).bytes() - bytes;
            subtrees -= over.div_ceil(SUBTREE * LEAF_BYTES as u64 + 3 * LEAF_BYTES as u64).max(1);
        }
        Ok(Self::of(subtrees))
    }

    fn of(subtrees: u64) -> Self {
        Self { leaves: subtrees * SUBTREE }
    }

    /// Returns how many leaves there are.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Returns where a leaf stands.
    pub fn leaf(&self, index: u64) -> u64 {
        HEADER_BYTES as u64 + index * LEAF_BYTES as u64
    }

    /// Returns the levels whose nodes are kept, the root's last.
    pub fn levels(&self) -> std::ops::RangeInclusive<u32> {
        SUBTREE_LEVELS..=tree::height(self.leaves)
    }

    /// Returns where a node of a kept level stands.
    pub fn node(&self, level: u32, index: u64) -> u64 {
        let before: u64 = (SUBTREE_LEVELS..level).map(|level| tree::width(self.leaves, level)).sum();
        self.leaf(self.leaves) + (before + index) * LEAF_BYTES as u64
    }

    /// Returns the length of the file.
    pub fn bytes(&self) -> u64 {
        self.node(tree::height(self.leaves) + 1, 0)
    }
}
