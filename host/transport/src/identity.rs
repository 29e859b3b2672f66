//! The key that is a node's name.

use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use std::fmt;
use std::str::FromStr;

/// A node's name: its Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey(pub [u8; 32]);

/// A node's secret key. It is never shown.
#[derive(Clone)]
pub struct SecretKey(ed25519::Keypair);

/// The bytes are those of no Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the secret key of a node: 32 bytes are")]
pub struct SecretKeyError;

impl SecretKey {
    /// Takes the 32 bytes of the key, which should come from the system's generator.
    pub fn from_bytes(mut bytes: [u8; 32]) -> Result<Self, SecretKeyError> {
        let secret = ed25519::SecretKey::try_from_bytes(&mut bytes).map_err(|_| SecretKeyError)?;
        Ok(Self(ed25519::Keypair::from(secret)))
    }

    /// Returns the node's name.
    pub fn node(&self) -> NodeKey {
        NodeKey(self.0.public().to_bytes())
    }

    pub(crate) fn keypair(&self) -> Keypair {
        self.0.clone().into()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.node())
    }
}

impl NodeKey {
    /// Returns the name as libp2p has it. `None`: the bytes are no key.
    pub(crate) fn peer(self) -> Option<PeerId> {
        let key = ed25519::PublicKey::try_from_bytes(&self.0).ok()?;
        Some(PeerId::from_public_key(&PublicKey::from(key)))
    }

    /// Reads the name out of libp2p's. `None` for kinds of keys that Adit's nodes do not have.
    pub(crate) fn of(peer: &PeerId) -> Option<Self> {
        // A short key stands in the peer's name as it is, behind the multihash's kind and length.
        let bytes = peer.to_bytes();
        let [0, 36, encoded @ ..] = bytes.as_slice() else { return None };
        let key = PublicKey::try_decode_protobuf(encoded).ok()?;
        Some(Self(key.try_into_ed25519().ok()?.to_bytes()))
    }
}

/// As in addresses (`/p2p/…`): base 58.
impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer() {
            Some(peer) => peer.fmt(f),
            None => f.write_str("no node"),
        }
    }
}

/// The text is no node's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a node, as `adit peers` shows it")]
pub struct NodeKeyTextError;

impl FromStr for NodeKey {
    type Err = NodeKeyTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().as_ref().and_then(Self::of).ok_or(NodeKeyTextError)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_name_goes_there_and_back() {
        let secret = SecretKey::from_bytes([7; 32]).unwrap();
        let peer = PeerId::from_public_key(&secret.keypair().public());
        assert_eq!(NodeKey::of(&peer), Some(secret.node()));
        assert_eq!(secret.node().peer(), Some(peer));
        assert_eq!(secret.node().to_string(), peer.to_string());
    }

    #[test]
    fn a_name_of_another_kind_is_none() {
        assert_eq!(NodeKey::of(&PeerId::random()), None);
    }
}
