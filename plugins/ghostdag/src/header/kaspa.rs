//! Kaspa's header, as the bytes that its id is the hash of.
//!
//! In order, integers little-endian: version u16; number of levels u64, and for each level the number of parents u64 and their ids; hash merkle
//! root, accepted-id merkle root and UTXO commitment, 32 bytes each; time u64 in milliseconds; bits u32; nonce u64; DAA score u64; blue
//! score u64; blue work as its length u64 and its bytes, the highest first and not 0; pruning point, 32 bytes.
//!
//! The id is BLAKE2b-256 keyed with `BlockHash` over all of them. The pre-pow hash is the same with time and nonce 0; kHeavyHash's input is the
//! pre-pow hash, the time, 32 zero bytes and the nonce. Only the parents of level 0 are judged: those above serve proofs of pruned history.

use super::{Claims, Fields};
use crate::violation::Rule;
use adit_plugin_sdk::{BlockId, Hash256, HeaderView, PowInput, Timestamp, U256, Violation, Work};
use blake2b_simd::Params;

/// More levels than a header of 256 bits of work can have.
const LEVELS_MAX: u64 = 256;

/// The length of kHeavyHash's input, and where its nonce begins.
const POW_BYTES: usize = 80;
const POW_NONCE: u32 = 72;

/// A header's fields.
struct Header {
    parents: Vec<BlockId>,
    body_root: Hash256,
    time: u64,
    bits: u32,
    nonce: u64,
    claims: Claims,
    /// Where the time lies; bits follow it, then the nonce.
    time_offset: usize,
}

/// Reads a header.
pub fn decode(header: &[u8]) -> Result<HeaderView, Violation> {
    let read = Header::read(header)?;
    let mut without_proof = header.to_vec();
    without_proof[read.time_offset..][..8].fill(0);
    without_proof[read.time_offset + 12..][..8].fill(0);
    let mut pow = Vec::with_capacity(POW_BYTES);
    pow.extend(block_hash(&without_proof));
    pow.extend(read.time.to_le_bytes());
    pow.extend([0; 32]);
    pow.extend(read.nonce.to_le_bytes());
    Ok(HeaderView {
        id: BlockId(block_hash(header)),
        parents: read.parents,
        time: Timestamp::from_millis(read.time),
        bits: read.bits,
        body_root: read.body_root,
        pow: PowInput { bytes: pow, nonce_offset: POW_NONCE, nonce_bytes: 8, roll_offset: 0, roll_mask: 0 },
    })
}

/// Returns what a header states about its place.
pub fn claims(header: &[u8]) -> Result<Claims, Violation> {
    Header::read(header).map(|read| read.claims)
}

impl Header {
    fn read(header: &[u8]) -> Result<Self, Violation> {
        let mut fields = Fields::new(header);
        fields.u16()?;
        let levels = fields.u64()?;
        if levels > LEVELS_MAX {
            return Err(Rule::Header.broken(format!("{levels} levels, no header has more than {LEVELS_MAX}")));
        }
        let mut parents = Vec::new();
        for level in 0..levels {
            let count = fields.u64()?;
            match level {
                0 => parents = fields.ids(count)?,
                _ => fields.skip_ids(count)?,
            }
        }
        let body_root = Hash256(fields.array()?);
        fields.take(2 * 32)?;
        let time_offset = header.len() - fields.left.len();
        let (time, bits, nonce) = (fields.u64()?, fields.u32()?, fields.u64()?);
        let (daa_score, blue_score) = (fields.u64()?, fields.u64()?);
        let blue_work = blue_work(&mut fields)?;
        let pruning_point = BlockId(fields.array()?);
        fields.end()?;
        let claims = Claims { daa_score, blue_score, blue_work, pruning_point };
        Ok(Self { parents, body_root, time, bits, nonce, claims, time_offset })
    }
}

/// Reads the blue work: its length, then its bytes, of which the first is not 0.
fn blue_work(fields: &mut Fields<'_>) -> Result<Work, Violation> {
    let length = fields.u64()?;
    let length = usize::try_from(length).ok().filter(|length| *length <= 32);
    let length = length.ok_or_else(|| Rule::Header.broken("the blue work does not fit 256 bits"))?;
    let bytes = fields.take(length)?;
    if bytes.first() == Some(&0) {
        return Err(Rule::Header.broken("the blue work begins with a byte of 0"));
    }
    Ok(Work(U256::from_be_slice(bytes)))
}

/// Kaspa's hash of headers.
fn block_hash(bytes: &[u8]) -> [u8; 32] {
    let hash = Params::new().hash_length(32).key(b"BlockHash").hash(bytes);
    hash.as_bytes().try_into().expect("32 bytes were asked for")
}

#[cfg(test)]
mod tests {
    use super::block_hash;

    #[track_caller]
    fn check(bytes: &[u8], want: &str) {
        let hex: String = block_hash(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, want);
    }

    #[test]
    fn the_hash_is_blake2b_keyed_as_kaspa_does() {
        check(&[], "a80b6aa20f20b15ebabe2b1949527f78a257594a732e774de637d85e6973a768");
        check(&[1], "5643023add641f9421187b8c9aa3c6c73227d5ec34131c61a08d35b43e7e4b65");
    }
}
