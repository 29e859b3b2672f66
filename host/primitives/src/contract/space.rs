//! What a chain whose blocks are won by plots exchanges with the host: what farmers are asked, and what they answer.
//!
//! How good an answer is, the chain's hash plugin says: its digest of [`plain_score_input`] or [`hard_score_input`] is the score, and the lowest wins.

use crate::space::{LEAVES_MAX, LEAVES_STEP, account};
use crate::{BlockId, Decode, DecodeError, Encode, Hash256, Height, Reader, Target, Timestamp, canonical_struct};
use sha2::{Digest, Sha256};

/// The bytes of what a plain plot's leaf is scored by.
pub const PLAIN_SCORE_BYTES: usize = 64;

/// The bytes of what a hard plot's nonce is scored by.
pub const HARD_SCORE_BYTES: usize = 52;

/// The most nodes of a path from a leaf to the root.
pub const PATH_MAX: usize = 51;

/// What signatures of winners are over, besides the header and the claim.
const SIGNED: &[u8] = b"adit proof of space 1";

/// Which plots a chain counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlotKind {
    /// Leaves of one hash under a Merkle tree.
    Plain,
    /// Nonces of PoC2.
    Hard,
}

/// What farmers are asked for a block above some parents, for a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub plots: PlotKind,
    /// What leaves and nonces are scored under. A hard plot's scoop follows from it ([`scoop_of`]).
    pub challenge: Hash256,
    /// No score above it wins.
    pub target: Target,
    /// The earliest time that a header which answers may carry.
    pub opens: Timestamp,
    /// The earliest time that belongs to the next challenge.
    pub closes: Timestamp,
    /// The greatest height at which a plot may have been registered. `None` where plots need not be: a plain one is then registered by the
    /// claim that it wins with.
    pub registered_by: Option<Height>,
    /// How many plots a header may register: 0 where none needs it.
    pub registrations_max: u32,
}

/// A plain plot, as a header registers it: it counts once that is some blocks old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registration {
    /// The public key of whom the plot belongs to.
    pub key: Hash256,
    pub seed: Hash256,
    pub leaves: u64,
    /// The root of the tree over them.
    pub root: Hash256,
}

/// The place in a plot that answers a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlotPlace {
    Plain {
        seed: Hash256,
        leaves: u64,
        root: Hash256,
        /// The number of the leaf.
        index: u64,
        /// The node beside the leaf's own on each level, from the lowest.
        path: Vec<Hash256>,
        /// Where the plot was registered; 0 where it need not be.
        registered: Height,
    },
    Hard {
        nonce: u64,
    },
}

/// What a farmer says in a header, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceClaim {
    /// The challenge that is answered.
    pub challenge: Hash256,
    /// The public key (BIP-340) of whom the plot belongs to.
    pub key: Hash256,
    pub place: PlotPlace,
    /// Plots that the header registers, the farmer's own or others'.
    pub registrations: Vec<Registration>,
}

/// A claim with its owner's signature (BIP-340) over [`SpaceClaim::message`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceProof {
    pub claim: SpaceClaim,
    pub signature: [u8; 64],
}

impl Registration {
    /// Tells whether there can be such a plot: its leaves are at least one whole subtree, and not too many.
    pub fn is_sound(&self) -> bool {
        (LEAVES_STEP..=LEAVES_MAX).contains(&self.leaves) && self.leaves.is_multiple_of(LEAVES_STEP)
    }
}

impl SpaceClaim {
    /// Returns what the owner signs: `SHA-256("adit proof of space 1" | genesis | length of the header | header | claim)`, the header without its
    /// proof as its template has it, its length in 4 bytes little-endian. So a signature is for one chain, whoever gave the header.
    pub fn message(&self, genesis: &BlockId, header: &[u8]) -> Hash256 {
        Self::message_over(genesis, header, &self.to_bytes())
    }

    /// The same for a claim in canonical bytes.
    pub fn message_over(genesis: &BlockId, header: &[u8], claim: &[u8]) -> Hash256 {
        let mut framed = Vec::with_capacity(header.len() + 4);
        header.encode(&mut framed);
        let message =
            Sha256::new().chain_update(SIGNED).chain_update(genesis.0).chain_update(&framed).chain_update(claim);
        Hash256(message.finalize().into())
    }
}

/// Returns which scoop of each nonce a challenge asks for: its last two bytes, big-endian, modulo [`crate::space::SCOOPS`].
pub fn scoop_of(challenge: &Hash256) -> u32 {
    u32::from(u16::from_be_bytes([challenge.0[30], challenge.0[31]])) % 4_096
}

/// Returns what the chain's hash plugin scores a leaf by: `challenge | leaf`.
pub fn plain_score_input(challenge: &Hash256, leaf: &[u8; 32]) -> [u8; PLAIN_SCORE_BYTES] {
    let mut input = [0; PLAIN_SCORE_BYTES];
    input[..32].copy_from_slice(&challenge.0);
    input[32..].copy_from_slice(leaf);
    input
}

/// Returns what the chain's hash plugin scores a nonce by: `account | nonce | scoop | challenge`, numbers in 8, 8 and 4 bytes little-endian.
///
/// The digest is the nonce's quality for that scoop as Signum has it, 64 bits, in its last eight bytes; zeros before them.
pub fn hard_score_input(key: &Hash256, nonce: u64, challenge: &Hash256) -> [u8; HARD_SCORE_BYTES] {
    let mut input = [0; HARD_SCORE_BYTES];
    input[..8].copy_from_slice(&account(&key.0).to_le_bytes());
    input[8..16].copy_from_slice(&nonce.to_le_bytes());
    input[16..20].copy_from_slice(&scoop_of(challenge).to_le_bytes());
    input[20..].copy_from_slice(&challenge.0);
    input
}

impl Encode for PlotKind {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Plain => 0,
            Self::Hard => 1,
        });
    }
}

impl Decode for PlotKind {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("kind of plots")? {
            0 => Ok(Self::Plain),
            1 => Ok(Self::Hard),
            other => Err(DecodeError::Value { what: "kind of plots", value: other.into() }),
        }
    }
}

impl Encode for PlotPlace {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Plain { seed, leaves, root, index, path, registered } => {
                PlotKind::Plain.encode(out);
                seed.encode(out);
                leaves.encode(out);
                root.encode(out);
                index.encode(out);
                path.encode(out);
                registered.encode(out);
            }
            Self::Hard { nonce } => {
                PlotKind::Hard.encode(out);
                nonce.encode(out);
            }
        }
    }
}

impl Decode for PlotPlace {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match PlotKind::decode(reader)? {
            PlotKind::Plain => Self::Plain {
                seed: Decode::decode(reader)?,
                leaves: Decode::decode(reader)?,
                root: Decode::decode(reader)?,
                index: Decode::decode(reader)?,
                path: Decode::decode(reader)?,
                registered: Decode::decode(reader)?,
            },
            PlotKind::Hard => Self::Hard { nonce: Decode::decode(reader)? },
        })
    }
}

impl Encode for SpaceProof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.claim.encode(out);
        out.extend_from_slice(&self.signature);
    }
}

impl Decode for SpaceProof {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { claim: Decode::decode(reader)?, signature: reader.array("signature")? })
    }
}

canonical_struct!(Challenge { plots, challenge, target, opens, closes, registered_by, registrations_max });
canonical_struct!(Registration { key, seed, leaves, root });
canonical_struct!(SpaceClaim { challenge, key, place, registrations });

#[cfg(test)]
mod tests {
    use super::*;

    fn proof() -> SpaceProof {
        let (key, seed, root) = (Hash256([1; 32]), Hash256([2; 32]), Hash256([3; 32]));
        let place = PlotPlace::Plain {
            seed,
            leaves: 2048,
            root,
            index: 77,
            path: vec![Hash256([4; 32]); 11],
            registered: Height(9),
        };
        let registrations = vec![Registration { key, seed, leaves: 2048, root }];
        SpaceProof { claim: SpaceClaim { challenge: Hash256([5; 32]), key, place, registrations }, signature: [6; 64] }
    }

    #[test]
    fn a_proof_has_one_writing() {
        let bytes = proof().to_bytes();
        assert_eq!(SpaceProof::from_bytes(&bytes), Ok(proof()));
        assert!((0..bytes.len()).all(|end| SpaceProof::from_bytes(&bytes[..end]).is_err()));
        let hard = SpaceClaim { place: PlotPlace::Hard { nonce: 5 }, ..proof().claim };
        assert_eq!(SpaceClaim::from_bytes(&hard.to_bytes()), Ok(hard));
    }

    #[test]
    fn another_chain_header_or_claim_is_another_message() {
        let (claim, genesis) = (proof().claim, BlockId([9; 32]));
        let message = claim.message(&genesis, b"header");
        assert_ne!(message, claim.message(&genesis, b"other"));
        assert_ne!(message, claim.message(&BlockId([8; 32]), b"header"));
        assert_ne!(message, SpaceClaim { challenge: Hash256::default(), ..claim.clone() }.message(&genesis, b"header"));
        let bytes = claim.to_bytes();
        assert_eq!(message, SpaceClaim::message_over(&genesis, b"header", &bytes));
        // Where the header ends is part of what is signed.
        let (more, less) = ([&b"header"[..], &bytes[..1]].concat(), &bytes[1..]);
        assert_ne!(message, SpaceClaim::message_over(&genesis, &more, less));
    }

    #[test]
    fn a_scoop_is_one_of_4096() {
        let ends = |high, low| {
            let mut challenge = Hash256::default();
            (challenge.0[30], challenge.0[31]) = (high, low);
            scoop_of(&challenge)
        };
        assert_eq!(
            [ends(0, 7), ends(1, 0), ends(0x0f, 0xff), ends(0x10, 1), ends(0xff, 0xff)],
            [7, 256, 4095, 1, 4095]
        );
    }
}
