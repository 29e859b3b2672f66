//! `adit key`: secret keys in files that only their owner can read.

use crate::sandbox::random;
use adit_chain::{AddressPrefix, SecretKey};
use adit_space::disk::sync_folder;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The file where no other is named.
pub const FILE: &str = "miner.key";

#[derive(clap::Subcommand)]
pub enum KeyCommand {
    /// Make a new key.
    New {
        /// The file to write: it must not exist yet.
        #[arg(default_value = FILE)]
        file: PathBuf,
        /// The chain whose addresses to show.
        #[arg(long, value_name = "CHAIN_TOML")]
        chain: Option<PathBuf>,
    },
    /// Show a key's address. The key itself is never shown.
    Show {
        #[arg(default_value = FILE)]
        file: PathBuf,
        /// The chain whose addresses to show.
        #[arg(long, value_name = "CHAIN_TOML")]
        chain: Option<PathBuf>,
    },
}

/// Runs a command on a key file, and shows its address, as text or as JSON.
pub fn run(command: KeyCommand, json: bool) -> Result<ExitCode> {
    let (file, chain, key) = match command {
        KeyCommand::New { file, chain } => {
            let key = create(&file)?;
            (file, chain, key)
        }
        KeyCommand::Show { file, chain } => {
            let key = read(&file)?;
            (file, chain, key)
        }
    };
    let prefix = match chain {
        Some(chain) => crate::config::read(&chain, &crate::sandbox::open()?)?.into_chain()?.prefix,
        None => AddressPrefix::new("adit")?,
    };
    let address = prefix.address(key.public());
    if json {
        println!("{}", json!({ "file": file, "address": address.to_string() }));
    } else {
        println!("{}: {address}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a key and writes it whole or not at all, readable by its owner alone. An existing file is never touched.
pub fn create(file: &Path) -> Result<SecretKey> {
    if file.exists() {
        bail!("{} exists already; a key is never overwritten", file.display());
    }
    let key = loop {
        // All but about one in 2^128 random numbers are keys.
        if let Ok(key) = SecretKey::from_bytes(random()?) {
            break key;
        }
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let temporary = file.with_extension(format!("new-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = (|| -> std::io::Result<()> {
        let mut out = options.open(&temporary)?;
        writeln!(out, "{}", key.reveal_hex())?;
        out.sync_all()?;
        name(&temporary, file)?;
        // Plots are made for it from now on: the name has to outlive a loss of power as they do.
        sync_folder(file)
    })();
    let _ = std::fs::remove_file(&temporary);
    written.with_context(|| format!("failed to write {}", file.display()))?;
    Ok(key)
}

/// Gives a file its name, where no other has it: one that came in between is not overwritten.
fn name(temporary: &Path, file: &Path) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, temporary, CWD, file, RenameFlags::NOREPLACE) {
            // Not every file system can. Most of those have links, as those without links can.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {}
            named => return Ok(named?),
        }
    }
    std::fs::hard_link(temporary, file)
}

/// Reads a key file, and refuses one that others can read.
pub fn read(file: &Path) -> Result<SecretKey> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let mode = std::fs::metadata(file).with_context(|| format!("failed to read {}", file.display()))?.mode();
        if mode & 0o077 != 0 {
            bail!("{} can be read by others (mode {:o}); make it yours alone: chmod 600", file.display(), mode & 0o777);
        }
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    // The reason stays unsaid: it could show a part of the key.
    SecretKey::from_hex(text.trim())
        .map_err(|_| anyhow::anyhow!("{} holds no key: 64 hexadecimal digits are wanted", file.display()))
}

/// Reads a key file, or makes it where there is none.
pub fn read_or_create(file: &Path) -> Result<SecretKey> {
    if file.exists() { read(file) } else { create(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_being_written_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/miner.key");
        let key = create(&file).unwrap();
        assert_eq!(read(&file).unwrap().public(), key.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let key = create(&file).unwrap();
        assert!(create(&file).is_err());
        assert_eq!(read(&file).unwrap().public(), key.public());
    }

    #[test]
    fn a_broken_key_file_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        create(&file).unwrap();
        std::fs::write(&file, "5ecre7").unwrap();
        let Err(error) = read(&file) else { panic!("a broken key was read") };
        assert!(!format!("{error:#}").contains("5ecre7"));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        create(&file).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&file).is_err());
    }
}
