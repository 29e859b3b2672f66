//! What goes over the wire as JSON, under ChainCore's field names, and its translation from and into the chain's own values.
//!
//! Times are seconds with a fraction, as ChainCore has them; the node keeps whole milliseconds. Sums of money come twice: as a decimal
//! string under ChainCore's name, and as an integer of atoms under the same name with `_atoms`. Requests give atoms.

use super::error::ApiError;
use adit_chain::{Address, AddressPrefix, Input, OutPoint, Output, Signature, Transaction};
use adit_primitives::contract::{PowInput, Template};
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::{Amount, Hash256, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Number;
use utoipa::ToSchema;

/// How many decimal places a coin has in decimal strings.
pub const DECIMALS: u32 = 8;

/// The most inputs or outputs that a transaction in a request may have.
pub const TRANSACTION_PARTS_MAX: usize = 10_000;

/// Bytes as lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hex(pub Vec<u8>);

impl Hex {
    /// Reads an even number of hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit.to_le_bytes()[0]);
        let pairs = text.as_bytes().chunks(2);
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        pairs.map(byte).collect::<Option<Vec<u8>>>().map(Self)
    }
}

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected an even number of hexadecimal digits"))
    }
}

/// Writes an amount with [`DECIMALS`] places.
pub fn decimal(amount: Amount) -> String {
    let unit = 10u64.pow(DECIMALS);
    format!("{}.{:0width$}", amount.to_atoms() / unit, amount.to_atoms() % unit, width = DECIMALS as usize)
}

/// Writes a time as seconds with a fraction.
pub fn seconds(time: Timestamp) -> f64 {
    // Exact to the millisecond until the year 285,616.
    time.to_millis() as f64 / 1000.0
}

/// Reads a time of seconds with a fraction, rounded to the millisecond.
pub fn time_of(field: &'static str, seconds: f64) -> Result<Timestamp, ApiError> {
    let millis = (seconds * 1000.0).round();
    // 2^53: every millisecond up to there is a float of its own.
    if !(0.0..9_007_199_254_740_992.0).contains(&millis) {
        let message = format!("{field} must be seconds since 1970, not {seconds}");
        return Err(ApiError::bad_request("timestamp", message));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    Ok(Timestamp::from_millis(millis as u64))
}

/// Turns a plugin's decimal number into a JSON number.
pub fn difficulty_number(text: &str) -> Number {
    let whole = text.parse::<u64>().ok().map(Number::from);
    whole.or_else(|| text.parse().ok().and_then(Number::from_f64)).unwrap_or_else(|| Number::from(0))
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TransactionBody {
    /// Double SHA-256 of the bytes without signatures. In requests it is ignored: the node computes it.
    #[serde(default)]
    pub transaction_id: String,
    #[serde(default = "version")]
    pub version: u32,
    /// What is spent: nothing in a coinbase.
    pub inputs: Vec<InputBody>,
    pub outputs: Vec<OutputBody>,
    /// Bytes without meaning to the ledger, as hex.
    #[serde(default)]
    #[schema(value_type = String)]
    pub data: Hex,
    /// What the miner gets, where the node knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_atoms: Option<u64>,
}

const fn version() -> u32 {
    adit_chain::transaction::TRANSACTION_VERSION
}

/// An output that is spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InputBody {
    pub transaction_id: String,
    pub output_index: u32,
    /// 64 bytes of a BIP-340 signature as hex.
    #[schema(value_type = String)]
    pub signature: Hex,
}

/// A sum and its owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OutputBody {
    /// Decimal, for people. In requests it is ignored: `amount_atoms` counts.
    #[serde(default)]
    pub amount: String,
    pub amount_atoms: u64,
    pub recipient_address: String,
}

impl TransactionBody {
    /// Shows a transaction.
    pub fn new(transaction: &Transaction, fee: Option<Amount>, prefix: &AddressPrefix) -> Self {
        let input = |input: &Input| InputBody {
            transaction_id: input.previous.transaction.to_string(),
            output_index: input.previous.index,
            signature: Hex(input.signature.0.to_vec()),
        };
        let output = |output: &Output| OutputBody {
            amount: decimal(output.amount),
            amount_atoms: output.amount.to_atoms(),
            recipient_address: prefix.address(output.key).to_string(),
        };
        Self {
            transaction_id: transaction.id().to_string(),
            version: transaction.version,
            inputs: transaction.inputs.iter().map(input).collect(),
            outputs: transaction.outputs.iter().map(output).collect(),
            data: Hex(transaction.data.clone()),
            fee: fee.map(decimal),
            fee_atoms: fee.map(Amount::to_atoms),
        }
    }

    /// Reads a transaction. Form alone is checked: the rules are the ledger's.
    pub fn read(self, prefix: &AddressPrefix) -> Result<Transaction, ApiError> {
        let parts = self.inputs.len().max(self.outputs.len());
        if parts > TRANSACTION_PARTS_MAX {
            let message = format!("a transaction has at most {TRANSACTION_PARTS_MAX} inputs and outputs, not {parts}");
            return Err(ApiError::bad_request("transaction", message));
        }
        Ok(Transaction {
            version: self.version,
            inputs: self.inputs.into_iter().map(InputBody::read).collect::<Result<_, _>>()?,
            outputs: self.outputs.iter().map(|output| output.read(prefix)).collect::<Result<_, _>>()?,
            data: self.data.0,
        })
    }
}

impl InputBody {
    fn read(self) -> Result<Input, ApiError> {
        let transaction = parse("transaction_id", &self.transaction_id)?;
        let bytes = self.signature.0.len();
        let signature =
            self.signature.0.try_into().map_err(|_| {
                ApiError::bad_request("signature", format!("a signature has 64 bytes, this one {bytes}"))
            })?;
        let previous = OutPoint { transaction, index: self.output_index };
        Ok(Input { previous, signature: Signature(signature) })
    }
}

impl OutputBody {
    fn read(&self, prefix: &AddressPrefix) -> Result<Output, ApiError> {
        let Address { key, .. } = address(prefix, "recipient_address", &self.recipient_address)?;
        Ok(Output { amount: Amount::from_atoms(self.amount_atoms), key })
    }
}

/// Reads an address of this chain.
pub fn address(prefix: &AddressPrefix, field: &'static str, text: &str) -> Result<Address, ApiError> {
    prefix.parse(text).map_err(|error| ApiError::bad_request("address", format!("{field}: {error}")))
}

/// Reads an id, hash or other value that has a text form.
pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(field: &'static str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request("malformed", format!("{field}: {error}")))
}

/// What a miner hashes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkBody {
    /// The bytes to hash, as hex.
    #[schema(value_type = String)]
    pub bytes: Hex,
    /// Where in them the little-endian nonce begins.
    pub nonce_offset: u32,
    /// How many bytes the nonce has: 1 to 8.
    pub nonce_bytes: u32,
    /// Where in them a little-endian 32-bit word lies whose bits under `roll_mask` may also vary.
    pub roll_offset: u32,
    pub roll_mask: u32,
    /// The number that the digest, read as a little-endian integer, must not exceed: 64 hexadecimal digits, the highest first.
    pub target: String,
}

impl WorkBody {
    /// Shows a template's work.
    pub fn new(template: &Template) -> Self {
        let PowInput { bytes, nonce_offset, nonce_bytes, roll_offset, roll_mask } = template.pow.clone();
        let target = template.target.to_string();
        Self { bytes: Hex(bytes), nonce_offset, nonce_bytes, roll_offset, roll_mask, target }
    }
}

/// The rules of a node's chain, item by item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityBody {
    /// The digest of all other items.
    pub identity: String,
    pub chain: String,
    pub network: String,
    pub genesis: String,
    pub consensus: RulePluginBody,
    pub hash: RulePluginBody,
    /// The ledger's parameters as canonical JSON.
    pub ledger: String,
}

/// A plugin as part of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulePluginBody {
    pub name: String,
    /// BLAKE3 of the component's bytes.
    pub digest: String,
    /// Canonical JSON.
    pub config: String,
}

impl IdentityBody {
    /// Shows rules.
    pub fn new(rules: &Rules) -> Self {
        let plugin = |plugin: &RulePlugin| RulePluginBody {
            name: plugin.name.clone(),
            digest: plugin.digest.to_string(),
            config: plugin.config.clone(),
        };
        Self {
            identity: rules.identity().to_string(),
            chain: rules.chain.clone(),
            network: rules.network.clone(),
            genesis: rules.genesis.to_string(),
            consensus: plugin(&rules.consensus),
            hash: plugin(&rules.hash),
            ledger: rules.ledger.clone(),
        }
    }

    /// Reads rules. The digest is not believed: whoever compares computes it.
    pub fn read(&self) -> Result<Rules, ApiError> {
        let plugin = |plugin: &RulePluginBody| -> Result<RulePlugin, ApiError> {
            let digest: Hash256 = parse("digest", &plugin.digest)?;
            Ok(RulePlugin { name: plugin.name.clone(), digest, config: plugin.config.clone() })
        };
        Ok(Rules {
            chain: self.chain.clone(),
            network: self.network.clone(),
            genesis: parse("genesis", &self.genesis)?,
            consensus: plugin(&self.consensus)?,
            hash: plugin(&self.hash)?,
            ledger: self.ledger.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atom_is_the_eighth_decimal() {
        assert_eq!(decimal(Amount::from_atoms(1)), "0.00000001");
        assert_eq!(decimal(Amount::from_atoms(5_000_000_000)), "50.00000000");
    }

    #[test]
    fn seconds_survive_to_the_millisecond() {
        let time = Timestamp::from_millis(1_647_892_800_456);
        assert_eq!(time_of("timestamp", seconds(time)).unwrap(), time);
    }

    #[test]
    fn impossible_times_are_refused() {
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(time_of("timestamp", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn half_a_byte_is_no_hex() {
        assert_eq!(Hex::parse("0aF"), None);
        assert_eq!(Hex::parse("0aFf"), Some(Hex(vec![10, 255])));
        assert_eq!(Hex::parse("+1"), None);
    }

    #[test]
    fn difficulties_stay_whole_where_they_are() {
        assert_eq!(difficulty_number("4").to_string(), "4");
        assert_eq!(difficulty_number("1.5").to_string(), "1.5");
    }
}
