//! Builds the first-party plugins to components, which the library embeds.

use adit_plugin_sdk::build::{Component, Options, build_component};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The folders beside this one that are bundled: one line for each plugin.
const PLUGINS: &[&str] = &[
    "blake3",         // hash
    "fpps",           // payout
    "ghostdag",       // consensus
    "kheavyhash",     // hash
    "longest-chain",  // consensus
    "poc2",           // hash
    "pplns",          // payout
    "pps",            // payout
    "proof-of-space", // consensus
    "proportional",   // payout
    "quorum",         // shares
    "reputation",     // shares
    "score",          // payout
    "scrypt",         // hash
    "sha256",         // hash
    "sha256d",        // hash
    "solo",           // payout
    "standard",       // shares
];

fn main() -> Result<()> {
    let bundle = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let plugins = bundle.parent().context("the bundle lies beside the plugins")?;
    let workspace = plugins.parent().context("the plugins lie in the workspace")?;
    let options = Options { target_dir: target_dir(&out), show_progress: false };

    let mut watched = BTreeSet::from([bundle.join("build.rs"), workspace.join("wit"), workspace.join("Cargo.lock")]);
    let mut list = String::from("&[\n");
    for name in PLUGINS {
        let component =
            build_component(&plugins.join(name), &options).with_context(|| format!("cannot build {name}"))?;
        let file = out.join(name).with_extension("wasm");
        std::fs::write(&file, &component.bytes)?;
        writeln!(list, "    BundledPlugin {{ name: {name:?}, bytes: include_bytes!({file:?}) }},")?;
        watched.extend(sources(&component));
    }
    list.push(']');
    std::fs::write(out.join("plugins.rs"), list)?;
    watched.iter().for_each(|path| println!("cargo::rerun-if-changed={}", path.display()));
    Ok(())
}

/// Returns one folder for all profiles, since components do not depend on them. It is not the one that the surrounding cargo has locked.
fn target_dir(out: &Path) -> PathBuf {
    let outer = out.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    outer.unwrap_or(out).join("plugins")
}

fn sources(component: &Component) -> impl Iterator<Item = PathBuf> {
    let inside = |dir: &PathBuf| ["Cargo.toml", "src", "build.rs"].map(|entry| dir.join(entry));
    component.sources.iter().flat_map(inside).filter(|path| path.exists())
}
