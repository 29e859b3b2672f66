//! An Adit chain's template: a block in canonical bytes, whose header is one of 80 bytes that every Stratum miner can hash.
//!
//! ```text
//! length of the header u32 | header | number of transactions u32 | coinbase | the other transactions
//! ```
//! The coinbase's data lies at its very end, so that the extranonce has bytes before it and, at most, a message after it.

use crate::work::template::{Assembly, BlockTemplate, Coinbase, HEADER_BYTES, TemplateError, branch};
use adit_primitives::bytes::encode_length;
use adit_primitives::contract::PowInput;
use adit_primitives::{Amount, BlockId, Hash256, Height, Target, Timestamp, sha256d};

/// What a node of an Adit chain gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AditWork {
    pub height: Height,
    /// The header without its proof.
    pub header: Vec<u8>,
    /// What the consensus plugin says is hashed.
    pub pow: PowInput,
    pub target: Target,
    /// The earliest time that the header may carry.
    pub earliest: Timestamp,
    /// The coinbase in canonical bytes, zeros where the extranonce comes.
    pub coinbase: Vec<u8>,
    /// Where in the coinbase the extranonce begins.
    pub extranonce_offset: usize,
    pub extranonce_bytes: usize,
    /// The other transactions, in canonical bytes.
    pub transactions: Vec<Vec<u8>>,
    pub reward: Amount,
    pub fees: Amount,
}

/// Where a header of 80 bytes has its version, whose bits miners roll.
const ROLLED_OFFSET: u32 = 0;

/// Where a header of 80 bytes has its nonce.
const NONCE_OFFSET: u32 = 76;

/// Makes a template of it. The header is read as Bitcoin lays it out, which is checked against the root of the transactions.
pub fn template(work: &AditWork) -> Result<BlockTemplate, TemplateError> {
    let wrong = || TemplateError::Header { bytes: work.header.len() };
    let header: &[u8; HEADER_BYTES] = work.header.as_slice().try_into().map_err(|_| wrong())?;
    let pow = &work.pow;
    if pow.bytes != header || (pow.nonce_offset, pow.nonce_bytes) != (NONCE_OFFSET, 4) {
        return Err(wrong());
    }
    let word = |offset: usize| {
        u32::from_le_bytes([header[offset], header[offset + 1], header[offset + 2], header[offset + 3]])
    };
    let hash = |offset: usize| header[offset..].first_chunk().copied().ok_or_else(wrong);
    let leaves: Vec<_> = work.transactions.iter().map(|bytes| Hash256(sha256d(bytes))).collect();
    let extranonce_end = work.extranonce_offset.saturating_add(work.extranonce_bytes);
    let (before, after) = match (work.coinbase.get(..work.extranonce_offset), work.coinbase.get(extranonce_end..)) {
        (Some(before), Some(after)) => (before.to_vec(), after.to_vec()),
        _ => return Err(TemplateError::Extranonce { bytes: work.extranonce_bytes }),
    };
    let earliest = work.earliest.to_millis().div_ceil(1000);
    let template = BlockTemplate {
        height: work.height,
        version: word(0),
        previous: BlockId(hash(4)?),
        bits: word(72),
        time: word(68),
        earliest: u32::try_from(earliest).unwrap_or(u32::MAX),
        target: work.target,
        version_mask: if pow.roll_offset == ROLLED_OFFSET { pow.roll_mask } else { 0 },
        coinbase: Coinbase { before, extranonce_bytes: work.extranonce_bytes, after },
        branch: branch(&leaves),
        reward: work.reward,
        fees: work.fees,
        assembly: assembly(&work.transactions),
    };
    template.check()?;
    let computed = template.root(&work.coinbase);
    let stated = Hash256(hash(36)?);
    if computed == stated { Ok(template) } else { Err(TemplateError::Root { header: stated, computed }) }
}

fn assembly(transactions: &[Vec<u8>]) -> Assembly {
    let (mut before_header, mut before_coinbase) = (Vec::new(), Vec::new());
    encode_length(HEADER_BYTES, &mut before_header);
    encode_length(transactions.len() + 1, &mut before_coinbase);
    Assembly { before_header, before_coinbase, witness: None, after_coinbase: transactions.concat() }
}
