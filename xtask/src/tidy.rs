//! The repository's rules of form that no lint knows: who may depend on what, where unsafe code may stand, how files open.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml_edit::DocumentMut;

/// Which crates may depend on which others of the host: arrows go one way, and crates of one layer do not see each other.
const ARROWS: &[(&str, &[&str])] = &[
    ("adit-primitives", &[]),
    ("adit-plugin-sdk", &["adit-primitives"]),
    ("adit-kernels", &["adit-primitives"]),
    ("adit-chain", &["adit-primitives"]),
    ("adit-miner", &["adit-primitives"]),
    ("adit-store", &["adit-primitives"]),
    ("adit-plugin-host", &["adit-primitives"]),
    ("adit-plugin-bundle", &["adit-plugin-sdk"]),
    ("adit-node", &["adit-primitives", "adit-kernels", "adit-chain", "adit-miner", "adit-store", "adit-plugin-host"]),
];

/// Heavy dependencies and the crates that own them.
const OWNERS: &[(&str, &[&str])] = &[
    ("wasmtime", &["adit-plugin-host"]),
    ("libloading", &["adit-plugin-host"]),
    ("fjall", &["adit-store"]),
    ("axum", &["adit-node"]),
    ("tokio", &["adit-node", "adit-cli"]),
    ("clap", &["adit-cli"]),
    ("secp256k1", &["adit-chain"]),
];

/// Where `unsafe` may stand: kernels, the plugins' SIMD, the two loaders, and the glue that the sandbox's border needs.
const UNSAFE: &[&str] = &[
    "host/kernels/",
    "host/plugin-host/src/",
    "host/plugin-host/tests/fixtures/kernel.rs",
    "plugin-sdk/src/",
    "plugins/sha256d/",
    "plugins/scrypt/",
    "plugins/blake3/",
    "examples/native-kernel/",
    "tests/wrong-kernel/",
    "xtask/src/tidy.rs",
];

/// Longer files are probably two things.
const LINES_MAX: usize = 700;

/// Checks everything and reports every breach at once.
pub fn check(root: &Path) -> Result<()> {
    let mut breaches = Vec::new();
    let files = tracked(root)?;
    for manifest in files.iter().filter(|path| path.ends_with("Cargo.toml")) {
        dependencies(root, manifest, &mut breaches)?;
    }
    for source in files.iter().filter(|path| path.ends_with(".rs")) {
        let text = std::fs::read_to_string(root.join(source)).with_context(|| format!("failed to read {source}"))?;
        form(source, &text, &mut breaches);
    }
    for file in &files {
        machine_paths(root, file, &mut breaches);
    }
    if breaches.is_empty() {
        println!("tidy: {} files are in form", files.len());
        return Ok(());
    }
    bail!("not tidy:\n  {}", breaches.join("\n  "))
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let output =
        std::process::Command::new("git").arg("ls-files").current_dir(root).output().context("failed to start git")?;
    let listing = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    Ok(listing.lines().filter(|line| root.join(line).is_file()).map(str::to_owned).collect())
}

fn dependencies(root: &Path, manifest: &str, breaches: &mut Vec<String>) -> Result<()> {
    let path: PathBuf = root.join(manifest);
    let document: DocumentMut =
        std::fs::read_to_string(&path)?.parse().with_context(|| format!("failed to parse {manifest}"))?;
    let Some(package) = document.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str())
    else {
        return Ok(());
    };
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let owners: BTreeMap<_, _> = OWNERS.iter().copied().collect();
    let Some(table) = document.get("dependencies").and_then(|table| table.as_table_like()) else { return Ok(()) };
    for (dependency, _) in table.iter() {
        if dependency.starts_with("adit-") && arrows.get(package).is_some_and(|allowed| !allowed.contains(&dependency))
        {
            breaches.push(format!("{manifest}: {package} must not see {dependency}"));
        }
        if owners.get(dependency).is_some_and(|owners| !owners.contains(&package)) {
            breaches.push(format!("{manifest}: {dependency} belongs to {}", owners[dependency].join(" and ")));
        }
    }
    Ok(())
}

fn form(source: &str, text: &str, breaches: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > LINES_MAX {
        breaches.push(format!("{source}: {lines} lines; is it still one thing? ({LINES_MAX} at most)"));
    }
    let opens_crate = source.ends_with("/lib.rs") || source.ends_with("/main.rs");
    let module_folder = source.strip_suffix(".rs").is_some_and(|stem| Path::new(stem).is_dir());
    if (opens_crate || module_folder) && !text.starts_with("//!") {
        breaches.push(format!("{source}: opens without //! saying what it is and what it must never do"));
    }
    if source.ends_with("/mod.rs") {
        breaches.push(format!("{source}: name the file after its module"));
    }
    let may = UNSAFE.iter().any(|allowed| source.starts_with(allowed));
    if !may && text.contains("unsafe {") {
        breaches.push(format!("{source}: unsafe code has no place here"));
    }
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        // Spelled apart, so that this file does not find itself.
        for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("#[ig", "nore")] {
            if code.contains(word) {
                breaches.push(format!("{source}:{}: {word}", number + 1));
            }
        }
    }
}

fn machine_paths(root: &Path, file: &str, breaches: &mut Vec<String>) {
    let Ok(text) = std::fs::read_to_string(root.join(file)) else { return };
    for path in [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")] {
        if text.contains(path) {
            breaches.push(format!("{file}: holds {path}, a path of one machine"));
        }
    }
}
