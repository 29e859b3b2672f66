//! The `[farm]` table: where plots lie, and how hard they are looked through.

use adit_space::farm;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The `[farm]` table. Read again while `adit up` or `adit miner` runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default = "FarmSettings::unset")]
pub struct FarmSettings {
    /// The folders with plots, relative to `chain.toml`; what lies in folders below them is not looked at.
    #[schemars(length(max = 1_024))]
    pub folders: Vec<PathBuf>,
    /// How many plots are scanned at once, over all disks. From one disk one plot is read at a time in any case. Without it: 8.
    #[schemars(range(min = 1, max = 1_024))]
    pub concurrent: u16,
    /// Threads that work on each of them: while one scores what it read, others read. Without it: 4, which keep a disk busy.
    #[schemars(range(min = 1, max = 64))]
    pub threads: u16,
    /// Seconds between looks at the folders for plots that came or went. Without it: 60.
    #[schemars(range(min = 1, max = 86_400))]
    pub rescan_seconds: u32,
    /// The most seconds for a challenge. Without it, as long as it can win.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: Option<u32>,
}

impl FarmSettings {
    /// Returns what holds where `chain.toml` says nothing.
    pub fn unset() -> Self {
        Self { folders: Vec::new(), concurrent: 8, threads: 4, rescan_seconds: 60, timeout_seconds: None }
    }

    /// Returns them as the farm takes them.
    pub fn in_force(&self) -> farm::Settings {
        farm::Settings {
            folders: self.folders.clone(),
            concurrent: usize::from(self.concurrent),
            threads: usize::from(self.threads),
            rescan: Duration::from_secs(u64::from(self.rescan_seconds.max(1))),
            timeout: self.timeout_seconds.map(|seconds| Duration::from_secs(u64::from(seconds))),
        }
    }
}
