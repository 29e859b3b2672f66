//! Signatures: a node's ed25519 key, which is also what its connections are made with.
//!
//! Every signature is over the digest of a domain and a message, so that none of one kind is ever one of another. Nothing here
//! shows or prints a secret key.

use crate::id::NodeId;
use adit_primitives::{Decode, DecodeError, Encode, Reader};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::fmt;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A batch of shares.
    Batch,
    /// A proposal or a vote.
    Statement,
    /// That a batch in a proposal is wrong.
    Objection,
    /// Which shares a node checks by itself: nobody else knows before.
    Sample,
    /// What a node found about a batch that another asked it about.
    Finding,
}

/// A node's secret key.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
}

/// A signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Domain {
    const fn context(self) -> &'static str {
        match self {
            Self::Batch => "adit shares 1: batch",
            Self::Statement => "adit shares 1: statement",
            Self::Objection => "adit shares 1: objection",
            Self::Sample => "adit shares 1: sample",
            Self::Finding => "adit shares 1: finding",
        }
    }

    fn digest(self, message: &[u8]) -> [u8; 32] {
        blake3::derive_key(self.context(), message)
    }
}

impl Identity {
    /// Takes the 32 secret bytes of an ed25519 key.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(secret) }
    }

    /// Returns the public key.
    pub fn node(&self) -> NodeId {
        NodeId(self.key.verifying_key().to_bytes())
    }

    /// Signs a message. The same key and message give the same signature.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        Signature(self.key.sign(&domain.digest(message)).to_bytes())
    }
}

impl Signature {
    /// Tells whether `node` signed the message. Strict: no key of small order, no second form of one signature.
    pub fn is_by(&self, node: NodeId, domain: Domain, message: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&self.0);
        VerifyingKey::from_bytes(&node.0)
            .is_ok_and(|key| key.verify_strict(&domain.digest(message), &signature).is_ok())
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

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.node())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_node_one_domain_and_one_message() {
        let (one, other) = (Identity::from_secret(&[1; 32]), Identity::from_secret(&[2; 32]));
        let signature = one.sign(Domain::Batch, b"shares");
        assert!(signature.is_by(one.node(), Domain::Batch, b"shares"));
        assert!(!signature.is_by(one.node(), Domain::Statement, b"shares"));
        assert!(!signature.is_by(one.node(), Domain::Batch, b"share"));
        assert!(!signature.is_by(other.node(), Domain::Batch, b"shares"));
        assert!(!signature.is_by(NodeId([0xff; 32]), Domain::Batch, b"shares"));
    }

    #[test]
    fn a_key_never_shows_its_secret() {
        let identity = Identity::from_secret(&[7; 32]);
        assert_eq!(format!("{identity:?}"), format!("Identity({})", identity.node()));
    }
}
