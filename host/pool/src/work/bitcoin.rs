//! A Bitcoin-family node's template: what `getblocktemplate` answered (BIP-0022, BIP-0023, BIP-0145), checked and made into one of ours.
//!
//! The node is believed where it speaks of the chain, but nothing that it says is mined unless it fits together: a template that this
//! pool does not understand wholly is refused with a sentence rather than hashed for nothing.
//!
//! Litecoin's extension blocks (MWEB) come as one more field: its bytes follow the transactions, the last of which, the HogEx, stays last.
//! [`template`] is the surface; `coinbase` builds the one transaction that is the pool's own.

mod coinbase;
#[cfg(test)]
mod tests;

use crate::work::template::{Assembly, BlockTemplate, TemplateError, branch};
use adit_primitives::{Amount, BlockId, Hash256, Height, Target, TxId};
use coinbase::{Draft, push_compact_size};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The rules that a node has to be told: `getblocktemplate` refuses a client that does not name those of its chain. `mweb` is Litecoin's;
/// other nodes take names that they do not know.
pub const RULES: [&str; 2] = ["mweb", "segwit"];

/// Rules that change how a block is built, and that this pool follows. A template that demands another is refused.
const RULES_KNOWN: [&str; 5] = ["csv", "segwit", "taproot", "testdummy", "mweb"];

/// More than any chain of this family creates in one block: ten million coins.
const REWARD_MAX: Amount = Amount::from_atoms(10_000_000 * 100_000_000);

/// The most transactions of a block: none has more bytes than 32 million.
const TRANSACTIONS_MAX: usize = 1_000_000;

/// What `getblocktemplate` answers. Fields that are not named here change nothing about how a block is built.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeTemplate {
    pub version: i64,
    #[serde(default)]
    pub rules: Vec<String>,
    #[serde(default)]
    pub vbrequired: u32,
    pub previousblockhash: String,
    pub transactions: Vec<NodeTransaction>,
    #[serde(default)]
    pub coinbaseaux: BTreeMap<String, String>,
    pub coinbasevalue: Option<u64>,
    /// What a call that waits for the next template names.
    #[serde(default)]
    pub longpollid: Option<String>,
    pub target: String,
    pub mintime: u32,
    pub curtime: u32,
    pub bits: String,
    pub height: u32,
    #[serde(default)]
    pub default_witness_commitment: Option<String>,
    /// Litecoin's extension block.
    #[serde(default)]
    pub mweb: Option<String>,
    #[serde(default)]
    pub weightlimit: Option<u64>,
    #[serde(default)]
    pub sigoplimit: Option<u64>,
}

/// A transaction of a template.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeTransaction {
    /// The whole transaction, in hexadecimal digits.
    pub data: String,
    /// Its id, which the merkle tree is over. Nodes without witnesses name it `hash` alone.
    #[serde(default)]
    pub txid: Option<String>,
    #[serde(default)]
    pub hash: Option<String>,
    /// What it pays, in atoms, where the node says so.
    #[serde(default)]
    pub fee: Option<i64>,
    #[serde(default)]
    pub sigops: Option<u64>,
    #[serde(default)]
    pub weight: Option<u64>,
}

/// What the pool puts into the coinbase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoinbaseRequest<'a> {
    /// The script that the block pays, as the chain's addresses stand for it.
    pub pay_to: &'a [u8],
    /// A message: the pool's name. May be empty.
    pub tag: &'a [u8],
    /// How many bytes the extranonce has, both parts together, where the script has room for them.
    pub extranonce_bytes: usize,
    /// How many it has at least.
    pub extranonce_bytes_min: usize,
    /// Which bits of the version miners may roll, but for those that the node needs.
    pub version_mask: u32,
}

/// Makes a template of what a node answered.
pub fn template(node: &NodeTemplate, request: &CoinbaseRequest<'_>) -> Result<BlockTemplate, TemplateError> {
    check_rules(node)?;
    let (bits, target) = read_target(node)?;
    let reward = read_reward(node)?;
    let bodies = node.transactions.iter().map(|transaction| hex("transactions", &transaction.data));
    let bodies = bodies.collect::<Result<Vec<_>, _>>()?;
    let ids = node.transactions.iter().map(NodeTransaction::id).collect::<Result<Vec<_>, _>>()?;
    let mweb = node.mweb.as_ref().map(|text| hex("mweb", text)).transpose()?;
    let draft = Draft {
        height: node.height,
        auxiliary: node
            .coinbaseaux
            .values()
            .map(|text| hex("coinbaseaux", text))
            .collect::<Result<Vec<_>, _>>()?
            .concat(),
        reward,
        commitment: read_commitment(node)?,
    };
    let coinbase = draft.coinbase(request)?;
    coinbase::check_room(node, &coinbase, draft.commitment.is_some(), request.pay_to)?;
    let version = read_version(node)?;
    let template = BlockTemplate {
        height: Height(node.height.into()),
        version,
        previous: BlockId(id("previousblockhash", &node.previousblockhash)?),
        bits,
        time: node.curtime,
        earliest: node.mintime,
        target,
        version_mask: request.version_mask & !node.vbrequired,
        coinbase,
        branch: branch(&ids),
        reward,
        fees: read_fees(node, reward)?,
        assembly: assembly(&bodies, mweb.as_deref(), draft.commitment.is_some()),
    };
    template.check()?;
    Ok(template)
}

impl NodeTransaction {
    fn id(&self) -> Result<Hash256, TemplateError> {
        let text = self.txid.as_ref().or(self.hash.as_ref());
        let text = text.ok_or(TemplateError::Missing { field: "txid of a transaction" })?;
        id("txid", text).map(Hash256)
    }

    /// Tells whether the node says that the transaction has a witness.
    fn has_witness(&self) -> bool {
        self.txid.is_some() && self.hash.is_some() && self.txid != self.hash
    }
}

fn check_rules(node: &NodeTemplate) -> Result<(), TemplateError> {
    // BIP-0009: a rule behind an exclamation mark has to be understood by whoever builds the block.
    let unknown = |rule: &&str| !RULES_KNOWN.contains(rule);
    let demanded = node.rules.iter().filter_map(|rule| rule.strip_prefix('!'));
    if let Some(rule) = demanded.clone().find(unknown) {
        return Err(TemplateError::UnknownRule { rule: rule.to_owned() });
    }
    let names = |wanted: &str| node.rules.iter().any(|rule| rule.trim_start_matches('!') == wanted);
    if names("mweb") && node.mweb.is_none() {
        return Err(TemplateError::Missing { field: "mweb, which its rules ask for" });
    }
    if node.mweb.is_some() && node.transactions.is_empty() {
        return Err(TemplateError::Missing { field: "HogEx: an extension block hangs on the last transaction" });
    }
    if node.transactions.len() > TRANSACTIONS_MAX {
        let detail = format!("{} transactions, {TRANSACTIONS_MAX} are possible", node.transactions.len());
        return Err(TemplateError::Field { field: "transactions", detail });
    }
    Ok(())
}

fn read_version(node: &NodeTemplate) -> Result<u32, TemplateError> {
    // Nodes write it as a signed number of 32 bits.
    let signed = i32::try_from(node.version).map(i32::cast_unsigned);
    let version = signed.or_else(|_| u32::try_from(node.version)).map_err(|_| TemplateError::Field {
        field: "version",
        detail: format!("{} does not fit 32 bits", node.version),
    })?;
    if version & node.vbrequired != node.vbrequired {
        let detail = format!("{version:#010x} lacks bits of vbrequired, {:#010x}", node.vbrequired);
        return Err(TemplateError::Field { field: "version", detail });
    }
    Ok(version)
}

fn read_target(node: &NodeTemplate) -> Result<(u32, Target), TemplateError> {
    let bytes = hex("bits", &node.bits)?;
    let wrong = |detail: String| TemplateError::Field { field: "bits", detail };
    let bits: [u8; 4] = bytes.try_into().map_err(|_| wrong(format!("{:?} is not four bytes", node.bits)))?;
    let bits = u32::from_be_bytes(bits);
    let target = Target::from_compact(bits).map_err(|error| wrong(error.to_string()))?;
    let mut stated = id("target", &node.target)?;
    stated.reverse();
    let stated = Target(adit_primitives::U256::from_be_bytes(stated));
    if stated == target { Ok((bits, target)) } else { Err(TemplateError::Target { target: stated, bits }) }
}

fn read_reward(node: &NodeTemplate) -> Result<Amount, TemplateError> {
    let value = node.coinbasevalue.ok_or(TemplateError::Missing { field: "coinbasevalue" })?;
    let reward = Amount::from_atoms(value);
    if reward > REWARD_MAX { Err(TemplateError::Reward { reward, max: REWARD_MAX }) } else { Ok(reward) }
}

/// Adds up the fees that the node names. Where it names none for a transaction, that one's are not known and count as none.
fn read_fees(node: &NodeTemplate, reward: Amount) -> Result<Amount, TemplateError> {
    let wrong = |detail: String| TemplateError::Field { field: "fee", detail };
    let mut fees = Amount::ZERO;
    for fee in node.transactions.iter().filter_map(|transaction| transaction.fee) {
        let fee = u64::try_from(fee).map_err(|_| wrong(format!("{fee} is less than nothing")))?;
        fees = fees.checked_add(Amount::from_atoms(fee)).ok_or(TemplateError::Fees { fees, reward })?;
    }
    Ok(fees)
}

/// Reads the script of the output that commits to the witnesses: BIP-0141.
fn read_commitment(node: &NodeTemplate) -> Result<Option<Vec<u8>>, TemplateError> {
    let Some(text) = &node.default_witness_commitment else {
        let needed = node.transactions.iter().any(NodeTransaction::has_witness);
        return if needed { Err(TemplateError::Missing { field: "default_witness_commitment" }) } else { Ok(None) };
    };
    let script = hex("default_witness_commitment", text)?;
    if script.len() < 38 || script[..6] != [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed] {
        let detail = format!("{text:?} is no commitment to witnesses");
        return Err(TemplateError::Field { field: "default_witness_commitment", detail });
    }
    Ok(Some(script))
}

fn assembly(bodies: &[Vec<u8>], mweb: Option<&[u8]>, has_witness: bool) -> Assembly {
    let mut before_coinbase = Vec::new();
    push_compact_size(bodies.len() + 1, &mut before_coinbase);
    let mut after_coinbase = bodies.concat();
    if let Some(mweb) = mweb {
        // An optional value: 1, and the value.
        after_coinbase.push(1);
        after_coinbase.extend_from_slice(mweb);
    }
    let witness = has_witness.then(|| coinbase::reserved_witness().to_vec());
    Assembly { before_header: Vec::new(), before_coinbase, witness, after_coinbase }
}

/// Reads an id, which texts show reversed.
fn id(field: &'static str, text: &str) -> Result<[u8; 32], TemplateError> {
    let read = text.parse::<TxId>().map(|id| id.0);
    read.map_err(|error| TemplateError::Field { field, detail: error.to_string() })
}

fn hex(field: &'static str, text: &str) -> Result<Vec<u8>, TemplateError> {
    let wrong = |detail: &str| TemplateError::Field { field, detail: detail.to_owned() };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(wrong("an odd number of digits")) };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    pairs.iter().map(byte).collect::<Option<_>>().ok_or_else(|| wrong("it holds more than hexadecimal digits"))
}
