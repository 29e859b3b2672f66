//! The header formats: which bytes mean what.
//!
//! | field | `bitcoin`, 80 bytes | `adit`, 88 bytes |
//! |---|---|---|
//! | version, u32 | 0 | 0 |
//! | parent | 4 | 4 |
//! | body root | 36 | 36 |
//! | time | 68, u32 in seconds | 68, u64 in milliseconds |
//! | bits, u32 | 72 | 84 |
//! | nonce | 76, u32 | 76, u64 |
//!
//! Integers are little-endian. A block's id is the double SHA-256 of its header. Both formats put the nonce's low word at byte 76
//! and leave all before byte 64 free of it, so that one search kernel serves both.

use crate::violation::Rule;
use adit_plugin_sdk::{BlockId, Draft, Hash256, HeaderView, PowInput, Timestamp, Violation, sha256d};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bits of the version that a miner may roll (BIP-0320).
pub const ROLL_MASK: u32 = 0x1fff_e000;

const NONCE_OFFSET: usize = 76;
const NONCE_OFFSET_WIRE: u32 = 76;

/// The format of a chain's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Adit's own 88 bytes: times in milliseconds and a nonce of 64 bits.
    #[default]
    Adit,
    /// Bitcoin's 80 bytes: times in seconds and a nonce of 32 bits.
    Bitcoin,
}

impl Format {
    /// Returns how many bytes a header has.
    pub fn length(self) -> usize {
        match self {
            Self::Adit => 88,
            Self::Bitcoin => 80,
        }
    }

    /// Returns how many bytes of nonce there are.
    pub fn nonce_bytes(self) -> u32 {
        match self {
            Self::Adit => 8,
            Self::Bitcoin => 4,
        }
    }

    /// Returns the smallest step of a header's time, in milliseconds.
    pub fn tick_ms(self) -> u64 {
        match self {
            Self::Adit => 1,
            Self::Bitcoin => 1000,
        }
    }

    /// Reads a header: its length, its version and its fields, without any other block. `parents` is never empty.
    pub fn decode(self, header: &[u8]) -> Result<HeaderView, Violation> {
        if header.len() != self.length() {
            let detail = format!("{} bytes, a header of this chain has {}", header.len(), self.length());
            return Err(Rule::HeaderLength.broken(detail));
        }
        let version = u32::from_le_bytes(field(header, 0));
        let time = match self {
            Self::Adit if version & !ROLL_MASK != 1 => {
                return Err(Rule::Version.broken(format!("{version:#010x} is not 1 outside of the rolled bits")));
            }
            Self::Adit => Timestamp::from_millis(u64::from_le_bytes(field(header, 68))),
            Self::Bitcoin => Timestamp::from_secs(u32::from_le_bytes(field(header, 68)).into()),
        };
        Ok(HeaderView {
            id: BlockId(sha256d(header)),
            parents: vec![BlockId(field(header, 4))],
            time,
            bits: u32::from_le_bytes(field(header, self.bits_offset())),
            body_root: Hash256(field(header, 36)),
            pow: self.pow_input(header),
        })
    }

    /// Builds a header with nonce 0. `parent` of the genesis is all zero.
    pub fn encode(self, parent: BlockId, draft: &Draft) -> Result<Vec<u8>, Violation> {
        let mut header = vec![0; self.length()];
        put(&mut header, 4, &parent.0);
        put(&mut header, 36, &draft.body_root.0);
        put(&mut header, self.bits_offset(), &draft.bits.to_le_bytes());
        match self {
            Self::Adit => {
                put(&mut header, 0, &1u32.to_le_bytes());
                put(&mut header, 68, &draft.time.to_millis().to_le_bytes());
            }
            Self::Bitcoin => {
                let Ok(seconds) = u32::try_from(draft.time.to_secs()) else {
                    return Err(Rule::TimeRange.broken(format!("{:?} does not fit 32 bits of seconds", draft.time)));
                };
                // The version of BIP-0009, with no bit of a deployment set.
                put(&mut header, 0, &0x2000_0000u32.to_le_bytes());
                put(&mut header, 68, &seconds.to_le_bytes());
            }
        }
        Ok(header)
    }

    /// Puts a proof into a header: the nonce, and the version as it stood in the hashed bytes.
    pub fn seal(self, header: &[u8], nonce: u64, rolled: u32) -> Result<Vec<u8>, Violation> {
        if header.len() != self.length() {
            let detail = format!("{} bytes, a header of this chain has {}", header.len(), self.length());
            return Err(Rule::HeaderLength.broken(detail));
        }
        let version = u32::from_le_bytes(field(header, 0));
        if (version ^ rolled) & !ROLL_MASK != 0 {
            let detail = format!("{rolled:#010x} differs from {version:#010x} outside of {ROLL_MASK:#010x}");
            return Err(Rule::Version.broken(detail));
        }
        let mut sealed = header.to_vec();
        put(&mut sealed, 0, &rolled.to_le_bytes());
        match (self, u32::try_from(nonce)) {
            (Self::Adit, _) => put(&mut sealed, NONCE_OFFSET, &nonce.to_le_bytes()),
            (Self::Bitcoin, Ok(nonce)) => put(&mut sealed, NONCE_OFFSET, &nonce.to_le_bytes()),
            (Self::Bitcoin, Err(_)) => return Err(Rule::NonceRange.broken(format!("{nonce} does not fit 32 bits"))),
        }
        Ok(sealed)
    }

    /// Returns what a miner hashes: the whole header.
    pub fn pow_input(self, header: &[u8]) -> PowInput {
        PowInput {
            bytes: header.to_vec(),
            nonce_offset: NONCE_OFFSET_WIRE,
            nonce_bytes: self.nonce_bytes(),
            roll_offset: 0,
            roll_mask: ROLL_MASK,
        }
    }

    fn bits_offset(self) -> usize {
        match self {
            Self::Adit => 84,
            Self::Bitcoin => 72,
        }
    }
}

/// Reads `N` bytes of a header whose length has been checked.
fn field<const N: usize>(header: &[u8], offset: usize) -> [u8; N] {
    header[offset..offset + N].try_into().expect("a slice of N bytes is an array of N bytes")
}

fn put(header: &mut [u8], offset: usize, bytes: &[u8]) {
    header[offset..offset + bytes.len()].copy_from_slice(bytes);
}
