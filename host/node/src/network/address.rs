//! Addresses between the machine, which carries them as bytes, and the transport, which reads them: as text.

use adit_network::Address as Told;
use adit_network::wire::ADDRESS_BYTES_MAX;
use adit_transport::Address;
use bytes::Bytes;

/// Returns an address as peers are told it. One that is longer than may be told is left empty.
pub fn told(address: &Address) -> Told {
    let text = address.to_string();
    if text.len() > ADDRESS_BYTES_MAX { Told::default() } else { Told(Bytes::from(text)) }
}

/// Reads an address as a peer told it. `None`: it is none.
pub fn heard(told: &Told) -> Option<Address> {
    std::str::from_utf8(&told.0).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_and_heard() {
        let address: Address = "203.0.113.7:8647".parse().unwrap();
        assert_eq!(heard(&told(&address)), Some(address));
        assert_eq!(heard(&Told(Bytes::from_static(b"\xFF"))), None);
        assert_eq!(heard(&Told(Bytes::from_static(b"/ip4/1.2.3.4"))), None);
    }
}
