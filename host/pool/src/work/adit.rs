//! An Adit chain's template: a block in canonical bytes, whose header is one of 80 bytes that every Stratum miner can hash.
//!
//! ```text
//! length of the header u32 | header | number of transactions u32 | coinbase | the other transactions
//! ```
//! The coinbase's data lies at its very end, so that the extranonce has bytes before it and, at most, a message after it.

use crate::work::template::{Assembly, BlockTemplate, Coinbase, HEADER_BYTES, JOB_BYTES, TemplateError, branch};
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
    /// The coinbase in canonical bytes, with zeros for the job's number ([`JOB_BYTES`]) and the extranonce behind it.
    pub coinbase: Vec<u8>,
    /// Where in the coinbase those zeros begin.
    pub extranonce_offset: usize,
    /// The bytes of both parts of the extranonce; the job's number is not counted.
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
    let (before, after) = split(work)?;
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
        coinbase: Coinbase { before, base: None, extranonce_bytes: work.extranonce_bytes, after },
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

/// Leaves only these transactions, in canonical bytes, in a template made of more. What it pays and its coinbase stay as they are.
pub fn leave(template: &mut BlockTemplate, transactions: &[Vec<u8>]) {
    let leaves: Vec<_> = transactions.iter().map(|bytes| Hash256(sha256d(bytes))).collect();
    template.branch = branch(&leaves);
    template.assembly = assembly(transactions);
}

/// Splits the coinbase around the extranonce.
fn split(work: &AditWork) -> Result<(Vec<u8>, Vec<u8>), TemplateError> {
    let AditWork { coinbase, extranonce_offset, extranonce_bytes, .. } = work;
    let room = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let rest = coinbase.get(*extranonce_offset..).unwrap_or_default();
    match rest.split_at_checked(JOB_BYTES.saturating_add(*extranonce_bytes)) {
        Some((zeros, after)) if room(zeros) => Ok((coinbase[..extranonce_offset + JOB_BYTES].to_vec(), after.to_vec())),
        _ => Err(TemplateError::Missing { field: "room in its coinbase for the job's number and the extranonce" }),
    }
}

fn assembly(transactions: &[Vec<u8>]) -> Assembly {
    let (mut before_header, mut before_coinbase) = (Vec::new(), Vec::new());
    encode_length(HEADER_BYTES, &mut before_header);
    encode_length(transactions.len() + 1, &mut before_coinbase);
    Assembly { before_header, before_coinbase, witness: None, after_coinbase: transactions.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_chain::{Block, CoinbaseData, Output, PublicKey, Transaction};
    use adit_primitives::{Decode, Encode, U256};

    const EXTRANONCE: usize = 8;

    fn output(atoms: u64) -> Output {
        Output { amount: Amount::from_atoms(atoms), key: PublicKey([3; 32]) }
    }

    fn payment(atoms: u64) -> Transaction {
        Transaction { version: 1, inputs: vec![], outputs: vec![output(atoms)], data: vec![] }
    }

    /// What a node gives for a block with that many payments.
    fn work(payments: u64) -> AditWork {
        let data = CoinbaseData { height: Height(7), extra: [&[0; JOB_BYTES + EXTRANONCE][..], b"/adit/"].concat() };
        let coinbase = Transaction::coinbase(&data, vec![output(50)]);
        let mut block = Block { header: vec![0; HEADER_BYTES], body: vec![coinbase.clone()] };
        block.body.extend((0..payments).map(payment));
        let root = block.body_root().unwrap();
        let mut header = block.header;
        header[..4].copy_from_slice(&0x2000_0000_u32.to_le_bytes());
        header[4..36].copy_from_slice(&[9; 32]);
        header[36..68].copy_from_slice(&root.0);
        header[68..72].copy_from_slice(&1000_u32.to_le_bytes());
        header[72..76].copy_from_slice(&0x207f_ffff_u32.to_le_bytes());
        let bytes = header.clone();
        let coinbase = coinbase.to_bytes();
        AditWork {
            height: Height(7),
            header,
            pow: PowInput { bytes, nonce_offset: 76, nonce_bytes: 4, roll_offset: 0, roll_mask: 0x1fff_e000 },
            target: Target(U256::MAX >> 1),
            earliest: Timestamp::from_millis(999_001),
            extranonce_offset: coinbase.len() - b"/adit/".len() - EXTRANONCE - JOB_BYTES,
            extranonce_bytes: EXTRANONCE,
            coinbase,
            transactions: block.body[1..].iter().map(Encode::to_bytes).collect(),
            reward: Amount::from_atoms(50),
            fees: Amount::ZERO,
        }
    }

    #[track_caller]
    fn check_refused(change: impl FnOnce(&mut AditWork), want: &str) {
        let mut work = work(2);
        change(&mut work);
        assert_eq!(template(&work).unwrap_err().to_string(), want);
    }

    #[test]
    fn a_solved_block_is_one_that_the_chain_reads_and_whose_root_is_right() {
        for payments in [0, 1, 4, 5] {
            let template = template(&work(payments)).unwrap();
            let coinbase = template.coinbase.with(None, &[1; 4], &[2; 4]);
            let header = template.header(template.root(&coinbase), template.version, template.time, 5);
            let block = Block::from_bytes(&template.block(&header, &coinbase)).unwrap();
            assert_eq!(block.header, header);
            assert_eq!(block.body_root().unwrap().0, header[36..68]);
            let data = block.body[0].coinbase_data().unwrap();
            assert_eq!(
                (data.height, data.extra),
                (Height(7), b"\0\0\0\0\x01\x01\x01\x01\x02\x02\x02\x02/adit/".to_vec())
            );
        }
    }

    #[test]
    fn fields_are_those_of_the_header() {
        let template = template(&work(1)).unwrap();
        assert_eq!((template.version, template.previous), (0x2000_0000, BlockId([9; 32])));
        assert_eq!((template.time, template.earliest, template.bits), (1000, 1000, 0x207f_ffff));
    }

    #[test]
    fn a_template_that_is_left_fewer_transactions_is_as_one_made_of_them() {
        let (mut many, mut few) = (template(&work(5)).unwrap(), template(&work(2)).unwrap());
        leave(&mut many, &work(2).transactions);
        assert_eq!((&many.branch, &many.assembly), (&few.branch, &few.assembly));
        leave(&mut few, &[]);
        assert_eq!(few.branch, []);
    }

    #[test]
    fn work_that_stratum_cannot_carry_is_refused() {
        let wrong = "the header has 80 bytes: miners hash 80, with the nonce in the last four";
        check_refused(|work| work.pow.nonce_bytes = 8, wrong);
        check_refused(|work| work.pow.bytes[5] = 1, wrong);
        check_refused(
            |work| work.header.extend([0; 8]),
            "the header has 88 bytes: miners hash 80, with the nonce in the last four",
        );
        let no_room = "the template has no room in its coinbase for the job's number and the extranonce";
        check_refused(|work| work.extranonce_offset = 1000, no_room);
        check_refused(|work| work.extranonce_bytes += 1, no_room);
        check_refused(|work| work.extranonce_offset += 4, no_room);
        let mut other = work(2);
        other.transactions.swap(0, 1);
        assert!(matches!(template(&other), Err(TemplateError::Root { .. })));
    }
}
