//! The PROXY protocol, version 2: what a load balancer says of a client before the client's own bytes.
//!
//! Only the binary form is taken. A port either expects the header on every connection or on none: to guess would let a client name
//! any address as its own. Checked fields are read, extensions (TLVs) are passed over, so a checksum among them is not verified.
//! Source: `doc/proxy-protocol.txt` of HAProxy, section 2.2. The format is sixteen fixed bytes and a length, too little for a
//! dependency.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, and the length of what follows.
const FIXED_BYTES: usize = 16;

/// The longest header taken: addresses and a few extensions fit, and a header with more is nobody's honest one.
pub const HEADER_BYTES_MAX: usize = 4096;

/// What the balancer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Who connected to the balancer. `None` where the balancer speaks for itself (`LOCAL`, such as its own health checks) or
    /// knows no address: the connection's own address counts.
    pub source: Option<SocketAddr>,
    /// How many bytes the header took. The client's own follow.
    pub bytes: usize,
}

/// Why bytes are no header that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error("the connection begins with a PROXY header of version 1; version 2 is expected")]
    VersionOne,
    #[error("the connection does not begin with a PROXY header")]
    Absent,
    #[error("the PROXY header has version {version} instead of 2")]
    Version { version: u8 },
    #[error("the PROXY header has the unknown command {command}")]
    Command { command: u8 },
    #[error("the PROXY header has {found} bytes of addresses, family {family:#04x} needs {need}")]
    Short { family: u8, found: usize, need: usize },
    #[error("the PROXY header has {bytes} bytes, {max} are allowed")]
    Long { bytes: usize, max: usize },
}

/// Reads the header at the beginning of a connection. Returns `None` while more bytes are needed; what is wrong is found with the
/// first byte that is.
pub fn parse(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let begins = input.len().min(SIGNATURE.len());
    if input[..begins] != SIGNATURE[..begins] {
        let old = b"PROXY ";
        let begins = input.len().min(old.len());
        // "P" might still be either; with the sixth byte it is certain.
        return match input[..begins] == old[..begins] {
            true if begins < old.len() => Ok(None),
            true => Err(ProxyError::VersionOne),
            false => Err(ProxyError::Absent),
        };
    }
    let Some((fixed, rest)) = input.split_first_chunk::<FIXED_BYTES>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let bytes = FIXED_BYTES + length;
    if command >> 4 != 2 {
        return Err(ProxyError::Version { version: command >> 4 });
    }
    if bytes > HEADER_BYTES_MAX {
        return Err(ProxyError::Long { bytes, max: HEADER_BYTES_MAX });
    }
    let Some(addresses) = rest.get(..length) else { return Ok(None) };
    let source = match command & 15 {
        0 => None,
        1 => source(family, addresses)?,
        command => return Err(ProxyError::Command { command }),
    };
    Ok(Some(ProxyHeader { source, bytes }))
}

/// Reads source and destination addresses and ports, of which the source counts.
fn source(family: u8, addresses: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let (address, port_offset): (IpAddr, usize) = match family >> 4 {
        1 => (Ipv4Addr::from(first(family, addresses, 12)?).into(), 8),
        2 => (Ipv6Addr::from(first(family, addresses, 36)?).into(), 32),
        // Unspecified, and sockets of the balancer's own machine.
        _ => return Ok(None),
    };
    let port = u16::from_be_bytes([addresses[port_offset], addresses[port_offset + 1]]);
    Ok(Some(SocketAddr::new(address, port)))
}

/// Returns the first `N` of at least `need` bytes.
fn first<const N: usize>(family: u8, addresses: &[u8], need: usize) -> Result<[u8; N], ProxyError> {
    let found = addresses.len();
    let taken = addresses.first_chunk().copied().filter(|_| found >= need);
    taken.ok_or(ProxyError::Short { family, found, need })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0xd4, 0x31, 0x0d, 0x05];

    #[track_caller]
    fn check(header: &[u8], want: Option<&str>) {
        let source = want.map(|text| text.parse().unwrap());
        let whole = [header, b"{\"id\":1}\n"].concat();
        assert_eq!(parse(&whole), Ok(Some(ProxyHeader { source, bytes: header.len() })));
        for cut in 0..header.len() {
            assert_eq!(parse(&header[..cut]), Ok(None), "cut after {cut} bytes");
        }
    }

    #[test]
    fn the_clients_address_is_read_whichever_family_it_has() {
        check(&header(0x21, 0x11, &FOUR), Some("192.0.2.1:54321"));
        let mut six = [0_u8; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[15] = 1;
        six[32..34].copy_from_slice(&443_u16.to_be_bytes());
        check(&header(0x21, 0x21, &six), Some("[2001:db8::1]:443"));
    }

    #[test]
    fn extensions_are_passed_over() {
        check(
            &header(0x21, 0x11, &[&FOUR[..], &[0x03, 0, 4, 1, 2, 3, 4], &[4, 0, 0]].concat()),
            Some("192.0.2.1:54321"),
        );
    }

    #[test]
    fn a_balancer_that_speaks_for_itself_names_nobody() {
        check(&header(0x20, 0x00, &[]), None);
        check(&header(0x20, 0x11, &FOUR), None);
        check(&header(0x21, 0x00, &[1, 2, 3]), None);
        check(&header(0x21, 0x31, &[0; 216]), None);
    }

    #[test]
    fn version_1_is_named_in_its_refusal() {
        assert_eq!(parse(b"PRO"), Ok(None));
        assert_eq!(parse(b"PROXY TCP4 192.0.2.1 198.51.100.7 54321 3333\r\n"), Err(ProxyError::VersionOne));
    }

    #[test]
    fn a_client_without_header_is_refused_with_its_first_byte() {
        assert_eq!(parse(b"{"), Err(ProxyError::Absent));
        assert_eq!(parse(b"\r\n\r\n\0\r\nQUIX"), Err(ProxyError::Absent));
    }

    #[test]
    fn what_the_format_does_not_allow_is_refused() {
        assert_eq!(parse(&header(0x11, 0x11, &FOUR)), Err(ProxyError::Version { version: 1 }));
        assert_eq!(parse(&header(0x2f, 0x11, &FOUR)), Err(ProxyError::Command { command: 15 }));
        let short = ProxyError::Short { family: 0x11, found: 11, need: 12 };
        assert_eq!(parse(&header(0x21, 0x11, &FOUR[..11])), Err(short));
        let long = ProxyError::Long { bytes: 5016, max: HEADER_BYTES_MAX };
        assert_eq!(parse(&header(0x21, 0x11, &[0; 5000])[..20]), Err(long));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(command: u8, family: u8, rest in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..320) {
            let bytes = header(command, family, &rest);
            let _ = parse(&bytes[..cut.min(bytes.len())]);
            let _ = parse(&rest);
        }
    }
}
