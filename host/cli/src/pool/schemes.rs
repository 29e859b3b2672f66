//! The payout schemes that a pool had in force: the component of each is kept beside the books, which name it by its digest.
//!
//! So a scheme that was left can still split the blocks and pay for the shares of its time, though its file is another by now, or this program
//! another version.

use crate::config::plugins::{ChosenPlugin, component_at};
use adit_node::pool::Scheme;
use adit_plugin_host::{PluginInfo, PluginSource, Sandbox};
use adit_primitives::Hash256;
use adit_primitives::engine::PayoutEngine;
use adit_space::disk::write_whole;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of components.
pub struct Kept {
    folder: PathBuf,
    sandbox: Arc<Sandbox>,
}

/// A scheme's name in the books.
#[derive(Debug, PartialEq, Eq)]
struct SchemeName<'a> {
    plugin: &'a str,
    version: &'a str,
    digest: Hash256,
    config: &'a str,
}

impl Kept {
    /// Names the folder of a pool's schemes.
    pub fn of(pool: &Path, sandbox: Arc<Sandbox>) -> Self {
        Self { folder: pool.join("schemes"), sandbox }
    }

    /// Keeps the component of a scheme that is about to be in force, and starts it.
    pub fn keep(&self, chosen: &ChosenPlugin) -> Result<Scheme> {
        let info = chosen.plugin.info();
        let file = self.file(info.digest);
        if std::fs::read(&file).map_or(true, |kept| *kept != *chosen.component) {
            let write = || {
                std::fs::create_dir_all(&self.folder)?;
                write_whole(&file, &chosen.component)
            };
            write().with_context(|| format!("failed to keep the payout scheme in {}", file.display()))?;
        }
        let name = SchemeName::new(info, &chosen.config).text();
        Ok(Scheme { name, engine: Box::new(chosen.plugin.payout(&chosen.config)?) })
    }

    /// Loads a scheme by its name in the books: from the folder, or from what this program brings.
    ///
    /// # Errors
    /// In words for the operator: what is missing, and what to do.
    pub fn load(&self, name: &str) -> Result<Box<dyn PayoutEngine>, String> {
        let name = SchemeName::parse(name).ok_or("its name is none that this version of Adit writes")?;
        let file = self.file(name.digest);
        let pinned = Some(name.digest);
        let bundled = || {
            let bytes = adit_plugin_bundle::find(name.plugin)?.bytes.to_vec();
            self.sandbox.load(&PluginSource { bytes, pinned }).ok()
        };
        let kept = component_at(&file).and_then(|bytes| {
            let loaded = self.sandbox.load(&PluginSource { bytes, pinned });
            loaded.map_err(|error| format!("{} is not loaded: {error}", file.display()))
        });
        let plugin = kept.or_else(|problem| {
            bundled().ok_or_else(|| {
                let SchemeName { plugin, version, .. } = name;
                format!("{problem}; put the component of {plugin} {version} there and start the pool again")
            })
        })?;
        Ok(Box::new(plugin.payout(name.config).map_err(|error| error.to_string())?))
    }

    fn file(&self, digest: Hash256) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }
}

impl<'a> SchemeName<'a> {
    fn new(info: &'a PluginInfo, config: &'a str) -> Self {
        Self { plugin: &info.name, version: &info.version, digest: info.digest, config }
    }

    fn text(&self) -> String {
        let Self { plugin, version, digest, config } = self;
        format!("{plugin} {version} {digest} {config}")
    }

    /// Reads a name. A plugin's name and version hold no space, its configuration may.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        let (plugin, version, digest, config) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self { plugin, version, digest: digest.parse().ok()?, config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox;

    const CONFIG: &str = "{}";

    fn kept(folder: &Path) -> Kept {
        Kept::of(folder, sandbox::open().unwrap())
    }

    /// A bundled scheme as one that a `chain.toml` names by its file, with a component of its own.
    fn chosen(kept: &Kept, component: Vec<u8>) -> ChosenPlugin {
        let source = PluginSource { bytes: component, pinned: None };
        let plugin = kept.sandbox.load(&source).unwrap();
        ChosenPlugin { plugin, config: CONFIG.to_owned(), component: source.bytes.into() }
    }

    /// `proportional` with a custom section that it does not have: another digest, which this program does not bring.
    fn another() -> Vec<u8> {
        let mut component = adit_plugin_bundle::find("proportional").unwrap().bytes.to_vec();
        component.extend([0, 5, 4, b'm', b'i', b'n', b'e']);
        component
    }

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let name =
            SchemeName { plugin: "mine", version: "0.1.0-a+b", digest: Hash256([7; 32]), config: r#"{"a":"b  c"}"# };
        assert_eq!(SchemeName::parse(&name.text()), Some(name));
        assert_eq!(SchemeName::parse("mine 0.1.0 {}"), None);
    }

    #[test]
    fn a_scheme_that_was_a_file_is_loaded_again_from_its_kept_component() {
        let folder = tempfile::tempdir().unwrap();
        let kept = kept(folder.path());
        let mut scheme = kept.keep(&chosen(&kept, another())).unwrap();
        // A start that finds it there leaves it.
        kept.keep(&chosen(&kept, another())).unwrap();
        assert_eq!(std::fs::read_dir(&kept.folder).unwrap().count(), 1);
        let mut again = kept.load(&scheme.name).unwrap();
        assert_eq!(again.plan().unwrap(), scheme.engine.plan().unwrap());
    }

    #[test]
    fn a_scheme_that_this_program_brings_needs_no_kept_component() {
        let folder = tempfile::tempdir().unwrap();
        let kept = kept(folder.path());
        let bundled = chosen(&kept, adit_plugin_bundle::find("fpps").unwrap().bytes.to_vec());
        let name = SchemeName::new(bundled.plugin.info(), CONFIG).text();
        kept.load(&name).unwrap();
        // A damaged file keeps nobody from it.
        kept.keep(&bundled).unwrap();
        std::fs::write(kept.file(bundled.plugin.info().digest), "half").unwrap();
        kept.load(&name).unwrap();
        // The next start mends it.
        kept.keep(&bundled).unwrap();
        assert_eq!(component_at(&kept.file(bundled.plugin.info().digest)).unwrap(), *bundled.component);
    }

    #[test]
    fn a_scheme_whose_component_is_nowhere_says_where_it_belongs() {
        let folder = tempfile::tempdir().unwrap();
        let kept = kept(folder.path());
        let scheme = kept.keep(&chosen(&kept, another())).unwrap();
        let digest = SchemeName::parse(&scheme.name).unwrap().digest;
        std::fs::remove_file(kept.file(digest)).unwrap();
        let problem = kept.load(&scheme.name).map(|_| ()).unwrap_err();
        assert!(problem.contains(&format!("{digest}.wasm")), "{problem}");
        assert!(problem.contains("put the component of proportional"), "{problem}");
        // Another component under its name is not taken.
        std::fs::write(kept.file(digest), adit_plugin_bundle::find("proportional").unwrap().bytes).unwrap();
        assert!(kept.load(&scheme.name).map(|_| ()).unwrap_err().contains("digest"));
    }
}
