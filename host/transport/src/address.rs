//! Where nodes are: `203.0.113.7:8646`, `node.example:8646`, each with `/p2p/<node>` behind it where the node is known, or libp2p's own form
//! (`/ip4/203.0.113.7/tcp/8646/p2p/<node>`).

use crate::NodeKey;
use libp2p::core::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The most bytes of an address's text.
pub const ADDRESS_MAX: usize = 256;

/// An address that a node may be reached at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Multiaddr);

/// Why a text is no address of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a node: host:port, host:port/p2p/<node>, or /ip4/…/tcp/…")]
pub struct AddressError {
    text: String,
}

impl Address {
    pub(crate) fn new(address: Multiaddr) -> Self {
        Self(address)
    }

    pub(crate) fn multiaddr(&self) -> &Multiaddr {
        &self.0
    }

    /// Returns the address of a socket.
    pub fn of_socket(socket: SocketAddr) -> Self {
        Self(Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port())))
    }

    /// Returns the node that the address names. Over a relay that is the last one.
    pub fn node(&self) -> Option<NodeKey> {
        NodeKey::of(&self.peer()?)
    }

    /// Returns the machine's address, where it is one and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
            Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
            _ => None,
        })
    }

    /// Returns the port.
    pub fn port(&self) -> Option<u16> {
        self.0.iter().find_map(|part| match part {
            Protocol::Tcp(port) => Some(port),
            _ => None,
        })
    }

    /// Tells whether the way leads over another node.
    pub fn is_relayed(&self) -> bool {
        self.0.iter().any(|part| part == Protocol::P2pCircuit)
    }

    /// Returns the address with the node that answers there.
    #[must_use]
    pub fn with_node(&self, node: NodeKey) -> Self {
        match node.peer() {
            Some(peer) if self.peer().is_none() => Self(self.0.clone().with(Protocol::P2p(peer))),
            _ => self.clone(),
        }
    }

    /// Returns the address without the node's name.
    #[must_use]
    pub fn without_node(&self) -> Self {
        let mut address = self.0.clone();
        if self.peer().is_some() {
            address.pop();
        }
        Self(address)
    }

    pub(crate) fn peer(&self) -> Option<PeerId> {
        match self.0.iter().last() {
            Some(Protocol::P2p(peer)) => Some(peer),
            _ => None,
        }
    }

    /// Returns host name and port, where the host is a name that has to be looked up.
    pub(crate) fn name(&self) -> Option<(String, u16)> {
        let mut parts = self.0.iter();
        match (parts.next(), parts.next()) {
            (Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)), Some(Protocol::Tcp(port))) => {
                Some((name.into_owned(), port))
            }
            _ => None,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError { text: text.chars().take(ADDRESS_MAX).collect() };
        if text.len() > ADDRESS_MAX {
            return Err(error());
        }
        if text.starts_with('/') {
            let address = Self(text.parse().map_err(|_| error())?);
            let reachable = address.port().is_some() && (address.ip().is_some() || address.name().is_some());
            return if reachable || address.is_relayed() { Ok(address) } else { Err(error()) };
        }
        let (place, node) = match text.split_once("/p2p/") {
            Some((place, node)) => (place, Some(node.parse::<PeerId>().map_err(|_| error())?)),
            None => (text, None),
        };
        let mut address = match place.parse::<SocketAddr>() {
            Ok(socket) => Self::of_socket(socket).0,
            Err(_) => named(place).ok_or_else(error)?,
        };
        if let Some(node) = node {
            address.push(Protocol::P2p(node));
        }
        Ok(Self(address))
    }
}

/// Reads `host:port`.
fn named(place: &str) -> Option<Multiaddr> {
    let (host, port) = place.rsplit_once(':')?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let sound = !host.is_empty() && host.len() <= 253 && host.bytes().all(letter);
    let port = port.parse().ok()?;
    sound.then(|| Multiaddr::from(Protocol::Dns(host.into())).with(Protocol::Tcp(port)))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    #[test]
    fn each_form_is_read() {
        let node = SecretKey::from_bytes([3; 32]).unwrap().node();
        for (text, form) in [
            ("203.0.113.7:8646".to_owned(), "/ip4/203.0.113.7/tcp/8646".to_owned()),
            ("[2001:db8::1]:8646".to_owned(), "/ip6/2001:db8::1/tcp/8646".to_owned()),
            ("node.example:8646".to_owned(), "/dns/node.example/tcp/8646".to_owned()),
            (format!("203.0.113.7:8646/p2p/{node}"), format!("/ip4/203.0.113.7/tcp/8646/p2p/{node}")),
            (format!("/ip4/203.0.113.7/tcp/8646/p2p/{node}"), format!("/ip4/203.0.113.7/tcp/8646/p2p/{node}")),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), form);
            assert_eq!(form.parse(), Ok(address.clone()));
            assert_eq!(address.port(), Some(8646));
            assert_eq!(address.node().is_some(), text.contains("p2p"));
            assert_eq!(address.without_node().with_node(node).node(), Some(node));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "node",
            "node:",
            ":8646",
            "node:99999",
            "no de:1",
            "/ip4/1.2.3.4",
            "/tcp/1",
            "1.2.3.4:5/p2p/x",
            "node:1/x",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        assert!(format!("{}:1", "a".repeat(300)).parse::<Address>().is_err());
    }
}
