//! The coinbase of a Bitcoin-family block: height, extranonce and message in its script, the reward and the commitment in its outputs.

use super::{CoinbaseRequest, NodeTemplate};
use crate::work::template::{Coinbase, EXTRANONCE_BYTES, JOB_BYTES, TemplateError};
use adit_primitives::Amount;

/// The most bytes of a coinbase's script.
const SCRIPT_BYTES_MAX: usize = 100;

/// What a header weighs, and the count of transactions at its longest: BIP-0141 counts bytes outside of witnesses four times.
const HEADER_WEIGHT: u64 = 4 * (80 + 9);

/// A signature operation outside of witnesses counts as four.
const OPERATION_COST: u64 = 4;

/// What a node asks of the coinbase.
pub(super) struct Draft {
    pub(super) height: u32,
    /// Bytes that the node wants in the script.
    pub(super) auxiliary: Vec<u8>,
    pub(super) reward: Amount,
    /// The script that commits to the witnesses.
    pub(super) commitment: Option<Vec<u8>>,
}

impl Draft {
    /// Builds the coinbase: its script is the height (BIP-0034), the job's number and the extranonce, what the node wants, and the message. Where the node
    /// wants much, the extranonce is as short as it must be.
    pub(super) fn coinbase(&self, request: &CoinbaseRequest<'_>) -> Result<Coinbase, TemplateError> {
        let (wanted, least) = (request.extranonce_bytes, request.extranonce_bytes_min.min(request.extranonce_bytes));
        if let Some(bytes) = [wanted, least].into_iter().find(|bytes| !EXTRANONCE_BYTES.contains(bytes)) {
            return Err(TemplateError::Extranonce { bytes });
        }
        let mut head = height_push(self.height);
        let mut tail = self.auxiliary.clone();
        if !request.tag.is_empty() {
            push_bytes(request.tag, &mut tail);
        }
        // One byte says how many are pushed: the job's number and the extranonce.
        let around = head.len() + 1 + JOB_BYTES + tail.len();
        let extranonce_bytes = SCRIPT_BYTES_MAX.saturating_sub(around).clamp(least, wanted);
        let script = around + extranonce_bytes;
        if script > SCRIPT_BYTES_MAX {
            return Err(TemplateError::Script { bytes: script, max: SCRIPT_BYTES_MAX });
        }
        head.push(u8::try_from(JOB_BYTES + extranonce_bytes).expect("an extranonce is short"));
        head.extend_from_slice(&[0; JOB_BYTES]);
        let mut before = Vec::new();
        before.extend_from_slice(&2u32.to_le_bytes());
        before.push(1);
        // No output is spent.
        before.extend_from_slice(&[0; 32]);
        before.extend_from_slice(&[0xff; 4]);
        push_compact_size(script, &mut before);
        before.extend_from_slice(&head);
        let mut after = tail;
        after.extend_from_slice(&[0xff; 4]);
        self.push_outputs(request.pay_to, &mut after);
        after.extend_from_slice(&[0; 4]);
        Ok(Coinbase { before, base: None, extranonce_bytes, after })
    }

    fn push_outputs(&self, pay_to: &[u8], out: &mut Vec<u8>) {
        push_compact_size(1 + usize::from(self.commitment.is_some()), out);
        let rewards = std::iter::once((self.reward, pay_to));
        let commitments = self.commitment.iter().map(|script| (Amount::ZERO, script.as_slice()));
        for (amount, script) in rewards.chain(commitments) {
            out.extend_from_slice(&amount.to_atoms().to_le_bytes());
            push_compact_size(script.len(), out);
            out.extend_from_slice(script);
        }
    }
}

/// Returns the witness of a coinbase whose commitment was made over 32 zero bytes: one item, the reserved value of BIP-0141.
pub(super) const fn reserved_witness() -> [u8; 34] {
    let mut witness = [0; 34];
    witness[0] = 1;
    witness[1] = 32;
    witness
}

/// Refuses a template that has no room left for this coinbase. What the node does not say is not checked.
pub(super) fn check_room(
    node: &NodeTemplate,
    coinbase: &Coinbase,
    has_witness: bool,
    pay_to: &[u8],
) -> Result<(), TemplateError> {
    let sum = |mut counts: Box<dyn Iterator<Item = Option<u64>> + '_>| {
        counts.try_fold(0, |sum: u64, count| Some(sum.saturating_add(count?)))
    };
    let witness = if has_witness { 2 + reserved_witness().len() } else { 0 };
    let own = 4 * coinbase.bytes() as u64 + witness as u64;
    let weights = sum(Box::new(node.transactions.iter().map(|transaction| transaction.weight)));
    if let (Some(max), Some(weights)) = (node.weightlimit, weights) {
        let weight = weights.saturating_add(HEADER_WEIGHT + own);
        if weight > max {
            return Err(TemplateError::Weight { weight, max });
        }
    }
    let operations = sum(Box::new(node.transactions.iter().map(|transaction| transaction.sigops)));
    if let (Some(max), Some(operations)) = (node.sigoplimit, operations) {
        let operations = operations.saturating_add(OPERATION_COST * signature_operations(pay_to));
        if operations > max {
            return Err(TemplateError::SignatureOperations { operations, max });
        }
    }
    Ok(())
}

/// Counts a script's signature operations as the chain does: a check counts one, a check of several twenty, and what is pushed nothing.
fn signature_operations(script: &[u8]) -> u64 {
    let mut left = script.iter();
    let mut operations = 0;
    while let Some(&code) = left.next() {
        let mut length =
            |bytes: usize| (0..bytes).map(|at| usize::from(*left.next().unwrap_or(&0)) << (8 * at)).sum::<usize>();
        let pushed = match code {
            1..=0x4b => usize::from(code),
            0x4c => length(1),
            0x4d => length(2),
            0x4e => length(4),
            _ => 0,
        };
        if pushed > 0 {
            left.nth(pushed - 1);
        }
        operations += match code {
            0xac | 0xad => 1,
            0xae | 0xaf => 20,
            _ => 0,
        };
    }
    operations
}

/// Writes a height as BIP-0034 has it: the shortest push of the number. As Bitcoin Core does, 0 to 16 are written by their opcodes.
fn height_push(height: u32) -> Vec<u8> {
    match u8::try_from(height) {
        Ok(0) => return vec![0],
        Ok(small @ 1..=16) => return vec![0x50 + small],
        _ => {}
    }
    let bytes = height.to_le_bytes();
    let mut length = bytes.len() - height.leading_zeros() as usize / 8;
    // The highest bit is the number's sign.
    if bytes[length - 1] & 0x80 != 0 {
        length += 1;
    }
    let mut push = vec![u8::try_from(length).expect("at most five")];
    push.extend(bytes.into_iter().chain([0]).take(length));
    push
}

/// Pushes bytes onto the stack: at most 255.
fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    if length > 0x4b {
        // OP_PUSHDATA1.
        out.push(0x4c);
    }
    out.push(length);
    out.extend_from_slice(&bytes[..usize::from(length)]);
}

/// Writes a count as Bitcoin does: in one byte, or in two, four or eight behind a mark.
pub(super) fn push_compact_size(count: usize, out: &mut Vec<u8>) {
    match (u8::try_from(count), u16::try_from(count), u32::try_from(count)) {
        (Ok(count @ ..=0xfc), ..) => out.push(count),
        (_, Ok(count), _) => {
            out.push(0xfd);
            out.extend_from_slice(&count.to_le_bytes());
        }
        (.., Ok(count)) => {
            out.push(0xfe);
            out.extend_from_slice(&count.to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&(count as u64).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_height(height: u32, want: &[u8]) {
        assert_eq!(height_push(height), want);
    }

    #[test]
    fn heights_are_pushed_as_short_as_they_go() {
        check_height(0, &[0x00]);
        check_height(1, &[0x51]);
        check_height(16, &[0x60]);
        check_height(17, &[1, 17]);
        check_height(127, &[1, 127]);
        check_height(128, &[2, 0x80, 0]);
        check_height(433, &[2, 0xb1, 0x01]);
        check_height(32_768, &[3, 0, 0x80, 0]);
        check_height(840_000, &[3, 0x40, 0xd1, 0x0c]);
        check_height(0x0080_0000, &[4, 0, 0, 0x80, 0]);
        check_height(u32::MAX, &[5, 0xff, 0xff, 0xff, 0xff, 0]);
    }

    #[test]
    fn counts_are_written_as_short_as_they_go() {
        let written = |count| {
            let mut out = Vec::new();
            push_compact_size(count, &mut out);
            out
        };
        assert_eq!(written(0xfc), [0xfc]);
        assert_eq!(written(0xfd), [0xfd, 0xfd, 0]);
        assert_eq!(written(0x1_0000), [0xfe, 0, 0, 1, 0]);
    }

    #[test]
    fn what_is_pushed_counts_no_signature() {
        // Pay to a public key's hash, and the same bytes inside of a push.
        let hash = [0xac; 20];
        let script = [&[0x76, 0xa9, 0x14][..], &hash, &[0x88, 0xac]].concat();
        assert_eq!(signature_operations(&script), 1);
        assert_eq!(signature_operations(&[0x4c, 2, 0xac, 0xac, 0xae]), 20);
        assert_eq!(signature_operations(&[0x14, 0xac]), 0, "a push that is cut short");
    }
}
