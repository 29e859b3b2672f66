//! Adit's own header of a DAG: a core that a miner hashes, and the parents.
//!
//! | offset | field |
//! |---|---|
//! | 0 | version, u32: 1 outside of the rolled bits |
//! | 4 | double SHA-256 of the parents' ids, one after another |
//! | 36 | body root |
//! | 68 | time, u64 in milliseconds |
//! | 76 | nonce, u64 |
//! | 84 | bits, u32 |
//! | 88 | the parents' ids, to the end |
//!
//! Integers are little-endian. The id is the double SHA-256 of the first 88 bytes. Their layout is that of Adit's header of a longest chain,
//! so that the same search kernels serve both, however many parents there are.

use super::PARENTS_MAX;
use crate::violation::Rule;
use adit_plugin_sdk::{BlockId, Draft, Hash256, HeaderView, PowInput, Timestamp, Violation, sha256d};

/// Bits of the version that a miner may roll.
pub const ROLL_MASK: u32 = 0x1fff_e000;

const CORE: usize = 88;
const VERSION: usize = 0;
const PARENTS_ROOT: usize = 4;
const BODY_ROOT: usize = 36;
const TIME: usize = 68;
const NONCE: usize = 76;
const NONCE_WIRE: u32 = 76;
const BITS: usize = 84;

/// Reads a header.
pub fn decode(header: &[u8]) -> Result<HeaderView, Violation> {
    let (core, parents) = split(header)?;
    let version = u32::from_le_bytes(field(core, VERSION));
    if version & !ROLL_MASK != 1 {
        return Err(Rule::Header.broken(format!("version {version:#010x} is not 1 outside of the rolled bits")));
    }
    if field(core, PARENTS_ROOT) != sha256d(parents.as_flattened()) {
        return Err(Rule::Header.broken("it commits to other parents"));
    }
    Ok(HeaderView {
        id: BlockId(sha256d(core)),
        parents: parents.iter().map(|parent| BlockId(*parent)).collect(),
        time: Timestamp::from_millis(u64::from_le_bytes(field(core, TIME))),
        bits: u32::from_le_bytes(field(core, BITS)),
        body_root: Hash256(field(core, BODY_ROOT)),
        pow: pow_input(core),
    })
}

/// Builds a header with nonce 0.
pub fn encode(draft: &Draft) -> Vec<u8> {
    let mut header = vec![0; CORE];
    header.extend(draft.parents.iter().flat_map(|parent| parent.0));
    let parents_root = sha256d(&header[CORE..]);
    put(&mut header, VERSION, &1u32.to_le_bytes());
    put(&mut header, PARENTS_ROOT, &parents_root);
    put(&mut header, BODY_ROOT, &draft.body_root.0);
    put(&mut header, TIME, &draft.time.to_millis().to_le_bytes());
    put(&mut header, BITS, &draft.bits.to_le_bytes());
    header
}

/// Puts a proof into a header.
pub fn seal(header: &[u8], nonce: u64, rolled: u32) -> Result<Vec<u8>, Violation> {
    let (core, _) = split(header)?;
    let version = u32::from_le_bytes(field(core, VERSION));
    if (version ^ rolled) & !ROLL_MASK != 0 {
        let detail = format!("version {rolled:#010x} differs from {version:#010x} outside of {ROLL_MASK:#010x}");
        return Err(Rule::Header.broken(detail));
    }
    let mut sealed = header.to_vec();
    put(&mut sealed, VERSION, &rolled.to_le_bytes());
    put(&mut sealed, NONCE, &nonce.to_le_bytes());
    Ok(sealed)
}

/// Returns what a miner hashes: the core of a header.
pub fn pow_input(header: &[u8]) -> PowInput {
    PowInput {
        bytes: header[..CORE].to_vec(),
        nonce_offset: NONCE_WIRE,
        nonce_bytes: 8,
        roll_offset: 0,
        roll_mask: ROLL_MASK,
    }
}

/// Splits a header into its core and its parents.
fn split(header: &[u8]) -> Result<(&[u8; CORE], &[[u8; 32]]), Violation> {
    let wrong = || Rule::Header.broken(format!("{} bytes, a header has {CORE} and 32 for each parent", header.len()));
    let (core, rest) = header.split_first_chunk::<CORE>().ok_or_else(wrong)?;
    match rest.as_chunks::<32>() {
        (parents, []) if parents.len() <= PARENTS_MAX => Ok((core, parents)),
        _ => Err(wrong()),
    }
}

fn field<const N: usize>(core: &[u8; CORE], offset: usize) -> [u8; N] {
    core[offset..offset + N].try_into().expect("a slice of N bytes is an array of N bytes")
}

fn put(header: &mut [u8], offset: usize, bytes: &[u8]) {
    header[offset..offset + bytes.len()].copy_from_slice(bytes);
}
