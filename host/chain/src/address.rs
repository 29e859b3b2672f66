//! Addresses: a public key as text with a checksum (bech32m, BIP-350) and a prefix of the chain's own.

use crate::PublicKey;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use std::fmt;

/// The only version there is: a byte 0, then the 32 bytes of a public key.
const VERSION_SCHNORR: u8 = 0;

/// The letters that every address of one chain begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPrefix(Hrp);

/// An address: whom to pay, on which chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub prefix: AddressPrefix,
    pub key: PublicKey,
}

/// Why a text is not an address of this chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("{prefix:?} cannot begin an address: use 1 to 20 lower-case letters")]
    Prefix { prefix: String },
    #[error("not a bech32m address: {detail}")]
    Text { detail: String },
    #[error("the address is of chain {found:?}, this chain's begin with {want:?}")]
    OtherChain { found: String, want: String },
    #[error("address version {version} is not known")]
    Version { version: u8 },
    #[error("the address holds {bytes} bytes, 33 are right")]
    Length { bytes: usize },
    #[error("the address holds a key that nobody can own")]
    Key,
}

impl AddressPrefix {
    /// Takes 1 to 20 lower-case letters.
    pub fn new(prefix: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::Prefix { prefix: prefix.to_owned() };
        if prefix.len() > 20 || !prefix.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(wrong());
        }
        Hrp::parse(prefix).map(Self).map_err(|_| wrong())
    }

    /// Reads an address that must be of this chain.
    pub fn parse(&self, text: &str) -> Result<Address, AddressError> {
        let checked =
            CheckedHrpstring::new::<Bech32m>(text).map_err(|error| AddressError::Text { detail: error.to_string() })?;
        if checked.hrp() != self.0 {
            return Err(AddressError::OtherChain { found: checked.hrp().to_lowercase(), want: self.to_string() });
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let (version, key) = bytes.split_first().ok_or(AddressError::Length { bytes: 0 })?;
        if *version != VERSION_SCHNORR {
            return Err(AddressError::Version { version: *version });
        }
        let key = PublicKey(key.try_into().map_err(|_| AddressError::Length { bytes: bytes.len() })?);
        if key.is_point() { Ok(self.address(key)) } else { Err(AddressError::Key) }
    }

    /// Returns the address of a key on this chain.
    pub fn address(&self, key: PublicKey) -> Address {
        Address { prefix: self.clone(), key }
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION_SCHNORR];
        bytes.extend_from_slice(&self.key.0);
        bech32::encode_to_fmt::<Bech32m, _>(f, self.prefix.0, &bytes).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    fn prefix() -> AddressPrefix {
        AddressPrefix::new("adit").unwrap()
    }

    fn address() -> Address {
        prefix().address(SecretKey::from_bytes([7; 32]).unwrap().public())
    }

    #[test]
    fn an_address_survives_its_text() {
        assert_eq!(prefix().parse(&address().to_string()), Ok(address()));
    }

    #[test]
    fn one_wrong_letter_is_noticed() {
        let mut text = address().to_string();
        let last = if text.ends_with('q') { 'p' } else { 'q' };
        text.pop();
        text.push(last);
        assert!(matches!(prefix().parse(&text), Err(AddressError::Text { .. })));
    }

    #[test]
    fn an_address_of_another_chain_is_refused() {
        let other = AddressPrefix::new("other").unwrap();
        let want = AddressError::OtherChain { found: "adit".to_owned(), want: "other".to_owned() };
        assert_eq!(other.parse(&address().to_string()), Err(want));
    }

    #[test]
    fn a_key_off_the_curve_is_refused() {
        let text = prefix().address(PublicKey([0xff; 32])).to_string();
        assert_eq!(prefix().parse(&text), Err(AddressError::Key));
    }

    #[test]
    fn capitals_and_digits_make_no_prefix() {
        assert!(AddressPrefix::new("Adit").is_err());
        assert!(AddressPrefix::new("").is_err());
        assert!(AddressPrefix::new("a1").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = prefix().parse(&text);
        }
    }
}
