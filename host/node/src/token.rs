//! The token that opens what changes something: made once, kept in a file that only its owner reads.
//!
//! The file is there whole or not at all: a node that dies while it makes the token leaves none behind that locks its operator out.

use axum::http::HeaderValue;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// The shortest token that an operator may write into the file.
const CHARACTERS_MIN: usize = 32;
/// The longest.
const CHARACTERS_MAX: usize = 256;

/// A secret text. It is compared in constant time and never printed.
pub struct Token {
    secret: String,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the token file {} can be read by others (mode {mode:03o}): make it 600", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the token file {} holds {found} characters, {CHARACTERS_MIN} to {CHARACTERS_MAX} visible ones are needed", path.display())]
    Malformed { path: PathBuf, found: usize },
    #[error("the token file {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

impl Token {
    /// Reads the token, or makes one of `fresh` bytes where there is no file yet.
    pub fn load_or_create(path: &Path, fresh: impl FnOnce() -> [u8; 32]) -> Result<Self, TokenError> {
        match Self::load(path) {
            Err(TokenError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        let secret: String = fresh().iter().map(|byte| format!("{byte:02x}")).collect();
        match write_whole(path, &format!("{secret}\n")) {
            Ok(()) => Ok(Self { secret }),
            // Another process was faster: its token is the one.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::load(path),
            Err(source) => Err(TokenError::File { path: path.to_owned(), source }),
        }
    }

    /// Reads the token.
    ///
    /// # Errors
    /// Where there is no file, where others can read it, and where it holds no token.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let file_error = |source| TokenError::File { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).open(path).map_err(file_error)?;
        let mode = file.metadata().map_err(file_error)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(4096).read_to_string(&mut text).map_err(file_error)?;
        let secret = text.trim();
        let sound = (CHARACTERS_MIN..=CHARACTERS_MAX).contains(&secret.len())
            && secret.bytes().all(|byte| byte.is_ascii_graphic());
        if !sound {
            return Err(TokenError::Malformed { path: path.to_owned(), found: secret.chars().count() });
        }
        Ok(Self { secret: secret.to_owned() })
    }

    /// Returns the `Authorization` header that carries this token.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut value =
            HeaderValue::try_from(format!("Bearer {}", self.secret)).expect("a token has visible characters");
        value.set_sensitive(true);
        value
    }

    /// Tells whether an `Authorization` header carries this token.
    pub fn opens(&self, authorization: &str) -> bool {
        let Some((scheme, given)) = authorization.split_once(' ') else { return false };
        scheme.eq_ignore_ascii_case("bearer") && bool::from(given.trim().as_bytes().ct_eq(self.secret.as_bytes()))
    }
}

/// Writes a file for its owner alone, under a name beside it first. Fails where it exists already.
pub fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(name);
    let write = || {
        // Truncated: a process of the same number may have died here.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&temporary, path)
    };
    let written = write();
    drop(fs::remove_file(&temporary));
    written
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_token_is_private_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let made = Token::load_or_create(&path, || [7; 32]).unwrap();
        let found = Token::load_or_create(&path, || [8; 32]).unwrap();
        assert_eq!(made.secret, found.secret);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_start_that_dies_while_the_token_is_made_does_not_stop_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let died = std::panic::catch_unwind(|| Token::load_or_create(&path, || panic!("the machine went down")));
        assert!(died.is_err());
        let made = Token::load_or_create(&path, || [7; 32]).unwrap();
        assert!(made.opens(&format!("Bearer {}", "07".repeat(32))));
    }

    #[test]
    fn a_token_is_never_written_over_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write_whole(&path, "first").unwrap();
        assert_eq!(write_whole(&path, "second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_token_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "x".repeat(64)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Token::load_or_create(&path, || [0; 32]), Err(TokenError::Exposed { mode: 0o644, .. })));
    }

    #[test]
    fn an_empty_file_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Token::load_or_create(&path, || [0; 32]), Err(TokenError::Malformed { found: 0, .. })));
    }

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token { secret: "a".repeat(32) };
        assert!(token.opens(&format!("Bearer {}", "a".repeat(32))));
        assert!(!token.opens(&format!("Bearer {}", "a".repeat(31))));
        assert!(!token.opens(&format!("Basic {}", "a".repeat(32))));
        assert!(!token.opens("Bearer "));
        assert!(!token.opens(""));
    }

    #[test]
    fn a_token_does_not_show_in_a_log() {
        assert_eq!(format!("{:?}", Token { secret: "hidden".into() }), "Token(secret)");
    }
}
