//! How two nodes meet, and how they part.

use super::code::{bounded, bounded_text};
use super::{ADDRESS_BYTES_MAX, AGENT_BYTES_MAX, LISTEN_MAX};
use crate::id::{Address, Tip};
use adit_primitives::identity::Rules;
use adit_primitives::{Decode, DecodeError, Encode, Reader};
use bytes::Bytes;

/// What a node says first: which chain it is on, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// [`super::VERSION`] of the sender.
    pub version: u16,
    /// The chain's rules, item by item, so that a refusal names the item.
    pub rules: Rules,
    /// The end of the sender's chain, as it claims.
    pub tip: Tip,
    /// The sender's program, at most [`AGENT_BYTES_MAX`] bytes: as sent, to be escaped before anybody sees it.
    pub agent: String,
    pub features: Features,
    /// Where the sender listens, at most [`LISTEN_MAX`].
    pub listen: Vec<Address>,
    /// Drawn once by each process: whoever meets its own has dialled itself.
    pub nonce: u64,
}

/// What a node offers, as bits. Unknown bits are carried and mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(pub u32);

/// Why a node parts from another, as it says so itself. Lists that a peer sends are bounded, so is every text in here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Goodbye {
    #[error("it speaks version {version} of the protocol")]
    Version { version: u16 },
    /// The first item of the rules that differs, by the name that [`Rules::differences`] gives it.
    #[error("its rules differ in the {}", .item.escape_default())]
    Rules { item: String },
    #[error("it is this node itself")]
    Itself,
    #[error("the two nodes are connected already")]
    Twice,
    #[error("it has no room for another peer")]
    Full,
    #[error("it has banned this node")]
    Banned,
    #[error("nothing was heard for too long")]
    Silent,
    #[error("its messages were not read in time")]
    Slow,
    #[error("it is stopping")]
    Stopping,
    /// It only saw that this node answers, or has another in its place: nothing is wrong on either side.
    #[error("it is done")]
    Done,
}

impl Features {
    /// Serves headers and blocks.
    pub const BLOCKS: Self = Self(1);
    /// Takes part in a peer-to-peer pool.
    pub const SHARES: Self = Self(2);

    /// Tells whether all of `features` are offered.
    pub const fn has(self, features: Self) -> bool {
        self.0 & features.0 == features.0
    }

    /// Returns the features of both.
    pub const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}

impl Encode for Hello {
    fn encode(&self, out: &mut Vec<u8>) {
        // The version stands first for all time: a node of any version can say why it leaves.
        self.version.encode(out);
        self.rules.encode(out);
        self.tip.encode(out);
        self.agent.encode(out);
        self.features.0.encode(out);
        self.listen.encode(out);
        self.nonce.encode(out);
    }
}

impl Hello {
    /// Reads the version alone, which every version of the protocol writes first.
    pub fn version_of(body: &[u8]) -> Option<u16> {
        body.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
    }
}

impl Decode for Hello {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: Decode::decode(reader)?,
            rules: Decode::decode(reader)?,
            tip: Decode::decode(reader)?,
            agent: bounded_text(reader, "agent", AGENT_BYTES_MAX)?,
            features: Features(Decode::decode(reader)?),
            listen: bounded(reader, "listen addresses", LISTEN_MAX, Address::decode)?,
            nonce: Decode::decode(reader)?,
        })
    }
}

impl Encode for Address {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.as_ref().encode(out);
    }
}

impl Decode for Address {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = reader.byte_string("address")?;
        if bytes.len() > ADDRESS_BYTES_MAX {
            return Err(DecodeError::Count { what: "address", count: bytes.len(), max: ADDRESS_BYTES_MAX });
        }
        // Copied: an address outlives the frame it came in.
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }
}

impl Encode for Goodbye {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Version { version } => {
                out.push(0);
                version.encode(out);
            }
            Self::Rules { item } => {
                out.push(1);
                item.encode(out);
            }
            Self::Itself => out.push(2),
            Self::Twice => out.push(3),
            Self::Full => out.push(4),
            Self::Banned => out.push(5),
            Self::Silent => out.push(6),
            Self::Slow => out.push(7),
            Self::Stopping => out.push(8),
            Self::Done => out.push(9),
        }
    }
}

impl Decode for Goodbye {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.byte("goodbye")? {
            0 => Self::Version { version: Decode::decode(reader)? },
            1 => Self::Rules { item: bounded_text(reader, "item", AGENT_BYTES_MAX)? },
            2 => Self::Itself,
            3 => Self::Twice,
            4 => Self::Full,
            5 => Self::Banned,
            6 => Self::Silent,
            7 => Self::Slow,
            8 => Self::Stopping,
            9 => Self::Done,
            other => return Err(DecodeError::Value { what: "goodbye", value: other.into() }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goodbye_is_read_as_it_was_written() {
        let goodbyes = [
            Goodbye::Version { version: 7 },
            Goodbye::Rules { item: "genesis".to_owned() },
            Goodbye::Itself,
            Goodbye::Twice,
            Goodbye::Full,
            Goodbye::Banned,
            Goodbye::Silent,
            Goodbye::Slow,
            Goodbye::Stopping,
            Goodbye::Done,
        ];
        for (number, goodbye) in goodbyes.into_iter().enumerate() {
            let bytes = goodbye.to_bytes();
            assert_eq!(usize::from(bytes[0]), number);
            assert_eq!(Goodbye::from_bytes(&bytes).unwrap(), goodbye);
        }
        assert!(Goodbye::from_bytes(&[10]).is_err());
    }
}
