//! Keys and signatures: BIP-340 Schnorr over secp256k1.

use adit_primitives::{Decode, DecodeError, Encode, Hash256, Reader};
use secp256k1::{Keypair, XOnlyPublicKey, schnorr};
use std::fmt;

/// Who may spend an output: the x coordinate of a point, as in BIP-340.
///
/// Any 32 bytes can stand in an output; only those that [`PublicKey::is_point`] can ever be spent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// A BIP-340 signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

/// A key that spends. It never prints itself, and is wiped when dropped.
pub struct SecretKey(Keypair);

/// Why text or bytes are not a secret key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a secret key has 64 hexadecimal digits, this text has {characters} characters or others among them")]
    Text { characters: usize },
    #[error("a secret key lies between 1 and the order of the curve")]
    Range,
}

impl PublicKey {
    /// Tells whether a secret key can exist for these bytes.
    pub fn is_point(&self) -> bool {
        XOnlyPublicKey::from_byte_array(self.0).is_ok()
    }

    /// Tells whether `signature` was made for `message` by this key's owner.
    pub fn verifies(&self, message: &Hash256, signature: &Signature) -> bool {
        XOnlyPublicKey::from_byte_array(self.0).is_ok_and(|key| {
            schnorr::verify(&schnorr::Signature::from_byte_array(signature.0), &message.0, &key).is_ok()
        })
    }
}

impl SecretKey {
    /// Makes a key from 32 bytes that the caller drew from a good random source.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        Keypair::from_secret_bytes(bytes).map(Self).map_err(|_| KeyError::Range)
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim();
        let bytes: Hash256 = digits.parse().map_err(|_| KeyError::Text { characters: digits.chars().count() })?;
        Self::from_bytes(bytes.0)
    }

    /// Returns the secret itself as 64 hexadecimal digits, to be kept in a file that only its owner reads.
    pub fn reveal_hex(&self) -> String {
        Hash256(self.0.to_secret_bytes()).to_string()
    }

    /// Returns the key that outputs name.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.x_only_public_key().0.to_byte_array())
    }

    /// Signs a message. The same key and message give the same signature: no randomness is needed.
    pub fn sign(&self, message: &Hash256) -> Signature {
        Signature(schnorr::sign_no_aux_rand(&message.0, &self.0).to_byte_array())
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hash256(self.0), f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Encode for PublicKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for PublicKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("public key").map(Self)
    }
}

impl Encode for Signature {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for Signature {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("signature").map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_bytes([7; 32]).unwrap()
    }

    #[test]
    fn a_signature_holds_for_its_message_alone() {
        let signature = key().sign(&Hash256([1; 32]));
        assert!(key().public().verifies(&Hash256([1; 32]), &signature));
        assert!(!key().public().verifies(&Hash256([2; 32]), &signature));
    }

    #[test]
    fn bip_340s_first_vector_is_reproduced() {
        let secret = SecretKey::from_hex("0000000000000000000000000000000000000000000000000000000000000003").unwrap();
        assert_eq!(secret.public().to_string(), "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9");
        let signature = format!("{:?}", secret.sign(&Hash256([0; 32])));
        let want = "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215\
                    25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0";
        assert_eq!(signature, want);
    }

    #[test]
    fn a_secret_key_never_prints_itself() {
        assert!(!format!("{:?}", key()).contains(&key().reveal_hex()));
    }

    #[test]
    fn a_secret_survives_its_text() {
        assert_eq!(SecretKey::from_hex(&key().reveal_hex()).unwrap().public(), key().public());
    }

    #[test]
    fn zero_and_short_text_are_no_secrets() {
        assert_eq!(SecretKey::from_bytes([0; 32]).unwrap_err(), KeyError::Range);
        assert_eq!(SecretKey::from_hex("07").unwrap_err(), KeyError::Text { characters: 2 });
    }

    #[test]
    fn bytes_off_the_curve_verify_nothing() {
        let off = PublicKey([0xff; 32]);
        assert!(!off.is_point());
        assert!(!off.verifies(&Hash256([1; 32]), &key().sign(&Hash256([1; 32]))));
    }
}
