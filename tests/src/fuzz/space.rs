//! What others bring along as plots: headers and names of files.

use adit_space::hard::Name;
use adit_space::plain::Header;
use adit_space::plain::format::{HEADER_BYTES, LEAVES_MAX, MAGIC, VERSION};
use sha2::{Digest, Sha256};

/// A header. What is missing are zeros; where the first byte is odd, magic, version and checksum are put right, so that the rest is read.
pub fn header(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let mut whole = [0; HEADER_BYTES];
    let length = bytes.len().min(HEADER_BYTES);
    whole[..length].copy_from_slice(&bytes[..length]);
    if first % 2 == 1 {
        whole[..8].copy_from_slice(&MAGIC);
        whole[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let (said, checksum) = whole.split_at_mut(HEADER_BYTES - 32);
        checksum.copy_from_slice(&Sha256::digest(said));
    }
    if let Ok(header) = Header::from_bytes(&whole) {
        assert_eq!(header.to_bytes(), whole, "a header with two encodings");
        assert!(header.leaves <= LEAVES_MAX && header.made <= header.leaves, "{header:?}");
        let layout = header.layout();
        assert!(layout.leaf(header.leaves) < layout.bytes() && layout.bytes() < 1 << 57, "{header:?}");
    }
}

/// The name of a hard plot.
pub fn name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.to_string(), text, "a name with two writings");
        assert!(name.start.checked_add(name.nonces).is_some() && name.bytes() <= 1 << 60, "{name:?}");
        assert_eq!(name.at(4_096, 0), name.bytes());
    }
}
