//! The file of the node's key: 64 hexadecimal digits that only the owner reads, made at the first start.

use crate::clock::Entropy;
use crate::token::write_whole;
use adit_network::shares::Identity;
use adit_transport::SecretKey;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum NodeKeyError {
    #[error("the node's key in {} is damaged: 64 hexadecimal digits are expected", path.display())]
    Damaged { path: PathBuf },
    #[error("the node's key in {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

/// Reads the key, or makes one: for sessions, and for what this node signs.
pub fn load_or_create(path: &Path, entropy: &Entropy) -> Result<(SecretKey, Identity), NodeKeyError> {
    let file_error = |source| NodeKeyError::File { path: path.to_owned(), source };
    match std::fs::read_to_string(path) {
        Ok(text) => return read(text.trim()).ok_or_else(|| NodeKeyError::Damaged { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(file_error(error)),
    }
    let mut secret = [0; 32];
    entropy(&mut secret);
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    write_whole(path, &format!("{text}\n")).map_err(file_error)?;
    keys(secret).ok_or_else(|| NodeKeyError::Damaged { path: path.to_owned() })
}

fn keys(secret: [u8; 32]) -> Option<(SecretKey, Identity)> {
    let key = SecretKey::from_bytes(secret).ok()?;
    Some((key, Identity::from_secret(&secret)))
}

fn read(text: &str) -> Option<(SecretKey, Identity)> {
    let mut secret = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in secret.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    keys(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    #[test]
    fn a_key_is_made_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let entropy: Entropy = Arc::new(|bytes: &mut [u8]| bytes.fill(7));
        let (key, identity) = load_or_create(&path, &entropy).unwrap();
        let made = key.node();
        assert_eq!(identity.node().0, made.0, "both are one key");
        let other: Entropy = Arc::new(|bytes: &mut [u8]| bytes.fill(9));
        assert_eq!(load_or_create(&path, &other).unwrap().0.node(), made);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(load_or_create(&path, &other), Err(NodeKeyError::Damaged { .. })));
    }
}
