//! The sandbox as this machine runs it, with its cache of compiled plugins.

use adit_plugin_host::{CacheSettings, Sandbox, Settings};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// Opens the sandbox. Compiled plugins are kept in `$ADIT_CACHE`, or in `adit` in the user's cache folder.
pub fn open() -> Result<Arc<Sandbox>> {
    let cache = match cache_directory() {
        Some(directory) => Some(CacheSettings { directory, new_key: random()? }),
        None => None,
    };
    Sandbox::new(Settings { cache, ..Settings::STANDARD }).context("failed to open the plugins' sandbox")
}

fn cache_directory() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("ADIT_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("adit")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache/adit")))
}

/// Returns random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}
