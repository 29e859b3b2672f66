//! Transactions: who pays whom, in canonical bytes.
//!
//! ```text
//! version u32 | inputs: count u32, each (transaction id 32, index u32) | outputs: count u32, each (atoms u64, key 32)
//! | data: length u32, bytes | one 64-byte signature for each input
//! ```
//! The id is the double SHA-256 of everything before the signatures. The first transaction of a block, the coinbase, has no inputs
//! and so no signatures; its data lies at the very end, so that its bytes split in two around an extranonce ([`CoinbaseData`]).

use crate::{Conflicts, PublicKey, SecretKey, Signature};
use adit_primitives::bytes::encode_length;
use adit_primitives::{
    Amount, BlockId, Decode, DecodeError, Encode, Hash256, Height, Reader, TxId, canonical_struct, sha256d,
};
use sha2::{Digest, Sha256};
use std::fmt;

/// The version of transactions that this ledger knows.
pub const TRANSACTION_VERSION: u32 = 1;

/// A payment, or a block's coinbase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub version: u32,
    /// What is spent. Empty for a coinbase alone.
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    /// Bytes without meaning to the ledger; in a coinbase [`CoinbaseData`].
    pub data: Vec<u8>,
}

/// An output that is spent, and the right to do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    pub previous: OutPoint,
    /// By the owner of the output, over [`Transaction::signature_hash`].
    pub signature: Signature,
}

/// The name of an output.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutPoint {
    pub transaction: TxId,
    pub index: u32,
}

/// A sum and its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    pub amount: Amount,
    pub key: PublicKey,
}

/// What a coinbase carries: the height makes its id unique, the rest is the miner's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoinbaseData {
    pub height: Height,
    /// Bytes that a miner varies, and a message.
    pub extra: Vec<u8>,
}

impl CoinbaseData {
    /// The bytes of the height, which come first.
    pub const HEIGHT_BYTES: usize = 8;
}

impl Transaction {
    /// The bytes of a coinbase with one output, its data not counted.
    pub const COINBASE_BYTES: usize = 4 + 4 + 4 + 40 + 4;

    /// Makes a coinbase. One without outputs pays nothing.
    pub fn coinbase(data: &CoinbaseData, outputs: Vec<Output>) -> Self {
        let mut bytes = data.height.to_bytes();
        bytes.extend_from_slice(&data.extra);
        Self { version: TRANSACTION_VERSION, inputs: Vec::new(), outputs, data: bytes }
    }

    /// Tells whether this is a coinbase: it has no inputs.
    pub fn is_coinbase(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Reads a coinbase's data, or returns `None` where it is too short to hold a height.
    pub fn coinbase_data(&self) -> Option<CoinbaseData> {
        let (height, extra) = self.data.split_first_chunk::<8>()?;
        Some(CoinbaseData { height: Height(u64::from_le_bytes(*height)), extra: extra.to_vec() })
    }

    /// Returns the id: double SHA-256 of the bytes without signatures.
    pub fn id(&self) -> TxId {
        TxId(sha256d(&self.unsigned_bytes()))
    }

    /// Returns the name under which the ledger of a chain knows the transaction and its outputs: the id, but for a coinbase where blocks are merged.
    /// There parallel blocks may have equal coinbases, and it is the double SHA-256 of the coinbase's id and the block's.
    pub fn id_in(&self, block: BlockId, conflicts: Conflicts) -> TxId {
        match conflicts {
            Conflicts::SkipTransaction if self.is_coinbase() => TxId(sha256d(&[self.id().0, block.0].concat())),
            _ => self.id(),
        }
    }

    /// Returns the leaf of the body's merkle tree: double SHA-256 of all bytes. A coinbase's leaf is its id.
    pub fn leaf(&self) -> Hash256 {
        Hash256(sha256d(&self.to_bytes()))
    }

    /// Returns the number of canonical bytes.
    pub fn size(&self) -> usize {
        4 + 4 + self.inputs.len() * (36 + 64) + 4 + self.outputs.len() * 40 + 4 + self.data.len()
    }

    /// Returns the sum of the outputs, or `None` where it does not fit.
    pub fn output_sum(&self) -> Option<Amount> {
        Amount::checked_sum(self.outputs.iter().map(|output| output.amount))
    }

    /// Returns the name of an output of this transaction, whose id the caller knows.
    pub fn out_points(id: TxId, outputs: usize) -> impl Iterator<Item = OutPoint> {
        (0u32..).take(outputs).map(move |index| OutPoint { transaction: id, index })
    }

    /// Returns what each owner signs: the chain, this transaction and every output it spends, in the order of the inputs.
    /// One hash serves all inputs. A signature holds on one chain alone, because the chain's identity is in it.
    pub fn signature_hash(&self, chain: &Hash256, spent: &[Output]) -> Hash256 {
        let tag = Sha256::digest(b"adit transaction signature 1");
        let mut hasher = Sha256::new();
        // Tagged as BIP-340 does it: no other hash of this project begins with these 64 bytes.
        hasher.update(tag);
        hasher.update(tag);
        hasher.update(chain.0);
        hasher.update(self.id().0);
        hasher.update(spent.to_bytes());
        Hash256(hasher.finalize().into())
    }

    /// Signs every input with one key that owns all the `spent` outputs.
    pub fn sign(&mut self, chain: &Hash256, spent: &[Output], key: &SecretKey) {
        let signature = key.sign(&self.signature_hash(chain, spent));
        self.inputs.iter_mut().for_each(|input| input.signature = signature);
    }

    fn unsigned_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.encode_unsigned(&mut out);
        out
    }

    fn encode_unsigned(&self, out: &mut Vec<u8>) {
        self.version.encode(out);
        encode_length(self.inputs.len(), out);
        self.inputs.iter().for_each(|input| input.previous.encode(out));
        self.outputs.encode(out);
        self.data.encode(out);
    }
}

impl Encode for Transaction {
    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_unsigned(out);
        self.inputs.iter().for_each(|input| input.signature.encode(out));
    }
}

impl Decode for Transaction {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = u32::decode(reader)?;
        let previous = Vec::<OutPoint>::decode(reader)?;
        let outputs = Vec::decode(reader)?;
        let data = Vec::<u8>::decode(reader)?;
        let sign = |previous| Ok(Input { previous, signature: Signature::decode(reader)? });
        let inputs = previous.into_iter().map(sign).collect::<Result<_, _>>()?;
        Ok(Self { version, inputs, outputs, data })
    }
}

canonical_struct!(OutPoint { transaction, index });

impl Encode for Output {
    fn encode(&self, out: &mut Vec<u8>) {
        self.amount.to_atoms().encode(out);
        self.key.encode(out);
    }
}

impl Decode for Output {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { amount: Amount::from_atoms(u64::decode(reader)?), key: PublicKey::decode(reader)? })
    }
}

impl fmt::Display for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transaction, self.index)
    }
}

impl fmt::Debug for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn transaction() -> impl Strategy<Value = Transaction> {
        let input = (any::<[u8; 32]>(), any::<u32>(), any::<[u8; 32]>()).prop_map(|(id, index, half)| {
            let signature = Signature([half, half].concat().try_into().unwrap());
            Input { previous: OutPoint { transaction: TxId(id), index }, signature }
        });
        let output = (any::<u64>(), any::<[u8; 32]>())
            .prop_map(|(atoms, key)| Output { amount: Amount::from_atoms(atoms), key: PublicKey(key) });
        let (inputs, outputs) = (prop::collection::vec(input, 0..4), prop::collection::vec(output, 0..4));
        (any::<u32>(), inputs, outputs, any::<Vec<u8>>()).prop_map(|(version, inputs, outputs, data)| Transaction {
            version,
            inputs,
            outputs,
            data,
        })
    }

    fn coinbase(extra: &[u8]) -> Transaction {
        let output = Output { amount: Amount::from_atoms(5), key: PublicKey([3; 32]) };
        Transaction::coinbase(&CoinbaseData { height: Height(7), extra: extra.to_vec() }, vec![output])
    }

    #[test]
    fn a_coinbase_splits_in_two_around_an_extranonce() {
        let (with, without) = (coinbase(b"EXTRA and a message"), coinbase(b"extra and a message"));
        let (bytes, other) = (with.to_bytes(), without.to_bytes());
        let at = bytes.len() - b"EXTRA and a message".len();
        assert_eq!(&bytes[at..at + 5], b"EXTRA");
        assert_eq!((&bytes[..at], &bytes[at + 5..]), (&other[..at], &other[at + 5..]));
        assert_eq!(with.leaf().0, with.id().0, "what a miner rebuilds is both leaf and id");
        assert_eq!(with.size(), Transaction::COINBASE_BYTES + 8 + 19);
    }

    #[test]
    fn a_coinbase_gives_back_its_data() {
        let want = CoinbaseData { height: Height(7), extra: b"hello".to_vec() };
        assert_eq!(coinbase(b"hello").coinbase_data(), Some(want));
        assert_eq!(Transaction { data: vec![1; 7], ..coinbase(b"") }.coinbase_data(), None);
    }

    proptest! {
        #[test]
        fn every_transaction_survives_its_bytes(transaction in transaction()) {
            let bytes = transaction.to_bytes();
            prop_assert_eq!(bytes.len(), transaction.size());
            prop_assert_eq!(Transaction::from_bytes(&bytes), Ok(transaction));
        }

        #[test]
        fn signatures_are_no_part_of_the_id(transaction in transaction(), byte: u8) {
            let mut other = transaction.clone();
            other.inputs.iter_mut().for_each(|input| input.signature = Signature([byte; 64]));
            prop_assert_eq!(other.id(), transaction.id());
        }

        #[test]
        fn what_is_signed_depends_on_chain_transaction_and_what_it_spends(transaction in transaction(), amount: u64) {
            let spent = [Output { amount: Amount::from_atoms(amount), key: PublicKey([1; 32]) }];
            let more = [Output { amount: Amount::from_atoms(amount ^ 1), key: PublicKey([1; 32]) }];
            let hash = transaction.signature_hash(&Hash256([1; 32]), &spent);
            prop_assert_ne!(transaction.signature_hash(&Hash256([2; 32]), &spent), hash);
            prop_assert_ne!(transaction.signature_hash(&Hash256([1; 32]), &more), hash);
            let other = Transaction { version: transaction.version ^ 1, ..transaction };
            prop_assert_ne!(other.signature_hash(&Hash256([1; 32]), &spent), hash);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(transaction) = Transaction::from_bytes(&bytes) {
                prop_assert_eq!(transaction.to_bytes(), bytes);
            }
        }
    }
}
