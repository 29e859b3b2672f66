//! `chain.toml` as the node reads it again while it runs.

use super::finding::Gravity;
use super::{Report, read};
use crate::plot::folders;
use adit_node::reload::{Diagnostic, Loaded, SettingsSource, Severity};
use adit_plugin_host::Sandbox;
use std::path::PathBuf;
use std::sync::Arc;

/// One file, checked in full each time it is read.
pub struct ChainSource {
    path: PathBuf,
    sandbox: Arc<Sandbox>,
}

impl ChainSource {
    /// Watches the file at `path`.
    pub fn new(path: PathBuf, sandbox: Arc<Sandbox>) -> Self {
        Self { path, sandbox }
    }
}

/// Turns findings into what the API shows.
pub fn diagnostics(report: &Report) -> Vec<Diagnostic> {
    let diagnostic = |finding: &super::finding::Finding| Diagnostic {
        severity: match finding.gravity {
            Gravity::Error => Severity::Error,
            Gravity::Warning => Severity::Warning,
            Gravity::Default => Severity::Default,
        },
        key: finding.path.clone(),
        message: finding.problem.clone(),
        place: Some(format!("{}:{}", report.file, finding.place.line(&report.text))),
    };
    report.findings.iter().map(diagnostic).collect()
}

impl SettingsSource for ChainSource {
    fn files(&self) -> Vec<PathBuf> {
        // Where plots are made from here, they are farmed from here.
        vec![self.path.clone(), folders::FILE.into()]
    }

    fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        let unreadable = |error: anyhow::Error| {
            vec![Diagnostic {
                severity: Severity::Error,
                key: String::new(),
                message: format!("{error:#}"),
                place: None,
            }]
        };
        let report = read(&self.path, &self.sandbox).map_err(unreadable)?;
        let diagnostics = diagnostics(&report);
        match report.chain {
            Some(chain) => Ok(Loaded { settings: chain.settings, identity: chain.rules.identity(), diagnostics }),
            None => Err(diagnostics),
        }
    }
}
