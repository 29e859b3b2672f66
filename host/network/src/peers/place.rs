//! An address with what has to be known of it: the machine's number, the network that it is in, and from where it can be reached.

use crate::id::Address;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a node may be called. Whoever knows the transport's addresses makes it of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As the transport calls it, without the node's name: one place is one entry of the book.
    pub address: Address,
    /// `None` for a name that has to be looked up.
    pub ip: Option<IpAddr>,
    pub port: u16,
    /// Whether the way leads over another node, whose `ip` it is.
    pub relayed: bool,
}

/// The network that an address is in. Having many addresses in one is cheap, having them in many is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The first 16 bits of an IPv4 address.
    V4([u8; 2]),
    /// The first 32 bits of an IPv6 address.
    V6([u8; 4]),
    /// This machine.
    Loopback,
    /// Networks that are not routed in public, all of them.
    Private,
    /// A name: 32 bits of its hash.
    Named([u8; 4]),
}

/// From where an address can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// From this machine alone.
    Loopback,
    /// From a network that is not routed in public.
    Private,
    /// From everywhere.
    Public,
}

impl Place {
    /// Returns the network that the address is in.
    pub fn group(&self) -> Group {
        self.ip.map_or_else(|| Group::of_name(&self.address), Group::of)
    }

    /// Returns from where the address can be reached, a name from everywhere. `None` where nobody can be called there.
    pub fn reach(&self) -> Option<Reach> {
        match self.ip {
            _ if self.port == 0 && !self.relayed => None,
            Some(ip) => Reach::of(ip),
            None => Some(Reach::Public),
        }
    }
}

impl Group {
    /// Returns the network of a machine. An IPv6 address that carries an IPv4 address is in the network of that.
    pub fn of(ip: IpAddr) -> Self {
        match (Reach::of(ip), plain(ip)) {
            (Some(Reach::Loopback), _) => Self::Loopback,
            (Some(Reach::Private), _) => Self::Private,
            (_, IpAddr::V4(ip)) => {
                let [a, b, ..] = ip.octets();
                Self::V4([a, b])
            }
            (_, IpAddr::V6(ip)) => Self::V6(*ip.octets().first_chunk().expect("an IPv6 address has 16 bytes")),
        }
    }

    fn of_name(address: &Address) -> Self {
        let hash = blake3::hash(&address.0);
        Self::Named(*hash.as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes"))
    }

    /// Tells whether the group is not part of the public network: many nodes of one operator are in it.
    pub const fn is_local(self) -> bool {
        matches!(self, Self::Loopback | Self::Private)
    }

    /// Returns bytes that no other group has, to be hashed.
    pub(super) fn to_bytes(self) -> [u8; 5] {
        match self {
            Self::V4([a, b]) => [4, a, b, 0, 0],
            Self::V6([a, b, c, d]) => [6, a, b, c, d],
            Self::Loopback => [1, 0, 0, 0, 0],
            Self::Private => [2, 0, 0, 0, 0],
            Self::Named([a, b, c, d]) => [3, a, b, c, d],
        }
    }
}

impl Reach {
    /// Returns from where a machine can be reached. `None` for numbers that are no machine's.
    pub fn of(ip: IpAddr) -> Option<Self> {
        match plain(ip) {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Option<Self> {
        let [a, b, ..] = ip.octets();
        let shared = a == 100 && b & 0xc0 == 64;
        match () {
            () if ip.is_loopback() => Some(Self::Loopback),
            () if a == 0 || a >= 224 => None,
            () if ip.is_private() || ip.is_link_local() || shared => Some(Self::Private),
            () => Some(Self::Public),
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Option<Self> {
        match () {
            () if ip.is_loopback() => Some(Self::Loopback),
            () if ip.is_unspecified() || ip.is_multicast() => None,
            () if ip.is_unique_local() || ip.is_unicast_link_local() => Some(Self::Private),
            () => Some(Self::Public),
        }
    }

    /// Tells whether a node that is reached like this has use for an address that is reached like `of`, and may be believed to know it: nobody far
    /// away hears of the networks here, and nobody far away sends calls into them.
    pub fn shares(self, of: Self) -> bool {
        of == Self::Public || self <= of
    }
}

/// Returns the IPv4 address in an IPv6 address that is mapped, of 6to4 (RFC 3056), NAT64 (RFC 6052) or Teredo (RFC 4380).
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.octets() {
        [0x20, 0x02, a, b, c, d, ..] => Ipv4Addr::new(a, b, c, d).into(),
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Ipv4Addr::new(a, b, c, d).into(),
        [0x20, 0x01, 0, 0, _, _, _, _, _, _, _, _, a, b, c, d] => Ipv4Addr::new(!a, !b, !c, !d).into(),
        _ => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ip: &str, reach: Option<Reach>, group: Group) {
        let ip = ip.parse().expect("an address");
        assert_eq!((Reach::of(ip), Group::of(ip)), (reach, group));
    }

    #[test]
    fn addresses_of_one_network_are_one_group_in_every_spelling() {
        let group = Group::V4([203, 0]);
        for ip in ["203.0.113.7", "203.0.1.2", "::ffff:203.0.1.2", "2002:cb00:0102::1", "64:ff9b::203.0.9.9"] {
            check(ip, Some(Reach::Public), group);
        }
        check("2001:0:1:2:3:4:34ff:fefd", Some(Reach::Public), group);
        check("2a01:4f8:1::1", Some(Reach::Public), Group::V6([0x2a, 1, 4, 0xf8]));
        check("2a01:4f8:ffff::1", Some(Reach::Public), Group::V6([0x2a, 1, 4, 0xf8]));
    }

    #[test]
    fn networks_that_are_not_public_are_groups_of_their_own() {
        for ip in ["10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.1.1", "100.64.0.1", "fc00::1", "fe80::1"] {
            check(ip, Some(Reach::Private), Group::Private);
        }
        check("127.0.0.2", Some(Reach::Loopback), Group::Loopback);
        check("::1", Some(Reach::Loopback), Group::Loopback);
        check("::ffff:127.0.0.1", Some(Reach::Loopback), Group::Loopback);
    }

    #[test]
    fn numbers_of_no_machine_cannot_be_reached() {
        for ip in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1"] {
            assert_eq!(Reach::of(ip.parse().expect("an address")), None, "{ip}");
        }
    }

    #[test]
    fn nobody_hears_of_networks_that_are_not_shared() {
        use Reach::{Loopback, Private, Public};
        for (asker, of, shared) in [
            (Public, Public, true),
            (Public, Private, false),
            (Public, Loopback, false),
            (Private, Public, true),
            (Private, Private, true),
            (Private, Loopback, false),
            (Loopback, Loopback, true),
            (Loopback, Private, true),
        ] {
            assert_eq!(asker.shares(of), shared, "{asker:?} of {of:?}");
        }
    }
}
