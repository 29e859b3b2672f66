//! The first-party plugins, as components that its build script has built from the crates beside this one.
//!
//! Holds bytes and names alone: it knows neither the sandbox nor a plugin's types.

/// A plugin as `chain.toml` names it, and its component.
#[derive(Debug, Clone, Copy)]
pub struct BundledPlugin {
    pub name: &'static str,
    pub bytes: &'static [u8],
}

/// Returns all bundled plugins.
pub fn bundled() -> &'static [BundledPlugin] {
    const PLUGINS: &[BundledPlugin] = include!(concat!(env!("OUT_DIR"), "/plugins.rs"));
    PLUGINS
}

/// Returns the bundled plugin of that name.
pub fn find(name: &str) -> Option<&'static BundledPlugin> {
    bundled().iter().find(|plugin| plugin.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_is_a_component() {
        const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
        for plugin in bundled() {
            assert!(plugin.bytes.starts_with(COMPONENT), "{} is not a component", plugin.name);
        }
    }

    #[test]
    fn a_bundled_plugin_is_found_by_its_name() {
        for plugin in bundled() {
            assert_eq!(find(plugin.name).map(|found| found.bytes.len()), Some(plugin.bytes.len()));
        }
        assert!(find("no-such-plugin").is_none());
    }
}
