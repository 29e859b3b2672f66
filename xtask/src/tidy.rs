//! The repository's rules of form that no lint knows: who may depend on what, where unsafe code may stand, how files open.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use toml_edit::{DocumentMut, Item, TableLike};

/// Which crates may depend on which others: arrows go one way, and crates of one layer do not see each other. Every crate stands here.
const ARROWS: &[(&str, &[&str])] = &[
    ("adit-primitives", &[]),
    ("adit-plugin-sdk", &["adit-primitives"]),
    ("adit-kernels", &["adit-primitives"]),
    ("adit-chain", &["adit-primitives"]),
    ("adit-miner", &["adit-primitives"]),
    ("adit-network", &["adit-primitives"]),
    ("adit-pool", &["adit-primitives"]),
    ("adit-protocol", &["adit-primitives"]),
    ("adit-store", &["adit-primitives"]),
    ("adit-transport", &[]),
    ("adit-plugin-host", &["adit-primitives"]),
    ("adit-plugin-blake3", &["adit-plugin-sdk"]),
    ("adit-plugin-fpps", &["adit-plugin-sdk"]),
    ("adit-plugin-ghostdag", &["adit-plugin-sdk"]),
    ("adit-plugin-kheavyhash", &["adit-plugin-sdk"]),
    ("adit-plugin-longest-chain", &["adit-plugin-sdk"]),
    ("adit-plugin-poc2", &["adit-plugin-sdk"]),
    ("adit-plugin-pplns", &["adit-plugin-sdk"]),
    ("adit-plugin-pps", &["adit-plugin-sdk"]),
    ("adit-plugin-proof-of-space", &["adit-plugin-sdk"]),
    ("adit-plugin-proportional", &["adit-plugin-sdk"]),
    ("adit-plugin-quorum", &["adit-plugin-sdk"]),
    ("adit-plugin-reputation", &["adit-plugin-sdk"]),
    ("adit-plugin-score", &["adit-plugin-sdk"]),
    ("adit-plugin-scrypt", &["adit-plugin-sdk"]),
    ("adit-plugin-sha256", &["adit-plugin-sdk"]),
    ("adit-plugin-sha256d", &["adit-plugin-sdk"]),
    ("adit-plugin-solo", &["adit-plugin-sdk"]),
    ("adit-plugin-standard", &["adit-plugin-sdk"]),
    ("adit-plugin-bundle", &["adit-plugin-sdk"]),
    (
        "adit-node",
        &[
            "adit-primitives",
            "adit-kernels",
            "adit-chain",
            "adit-miner",
            "adit-pool",
            "adit-protocol",
            "adit-store",
            "adit-plugin-host",
            "adit-network",
            "adit-space",
            "adit-transport",
        ],
    ),
    (
        "adit-cli",
        &[
            "adit-primitives",
            "adit-kernels",
            "adit-chain",
            "adit-miner",
            "adit-pool",
            "adit-protocol",
            "adit-store",
            "adit-plugin-host",
            "adit-network",
            "adit-transport",
            "adit-node",
            "adit-sim",
            "adit-space",
            "adit-plugin-bundle",
            "adit-plugin-sdk",
            // Their sources built natively, which `adit bench` compares with their components.
            "adit-plugin-blake3",
            "adit-plugin-kheavyhash",
            "adit-plugin-scrypt",
            "adit-plugin-sha256d",
        ],
    ),
    ("adit-example-native-kernel", &["adit-primitives", "adit-kernels"]),
    ("adit-wrong-kernel", &["adit-primitives", "adit-kernels"]),
    ("adit-sim", &["adit-primitives", "adit-chain", "adit-network"]),
    ("adit-space", &["adit-primitives"]),
    ("adit-tests", &["adit-primitives", "adit-chain", "adit-network", "adit-protocol", "adit-space"]),
    ("adit-fuzz", &["adit-tests"]),
    ("adit-against-kaspa-pow", &[]),
    (
        "adit-against-kaspa",
        &[
            "adit-primitives",
            "adit-chain",
            "adit-plugin-host",
            "adit-plugin-bundle",
            "adit-plugin-ghostdag",
            "adit-plugin-sdk",
        ],
    ),
    ("xtask", &[]),
];

/// What a crate's tests and benches may see beyond [`ARROWS`].
const ARROWS_OF_TESTS: &[(&str, &[&str])] = &[
    ("adit-plugin-host", &["adit-plugin-bundle"]),
    ("adit-plugin-ghostdag", &["adit-plugin-kheavyhash", "adit-plugin-sha256d", "adit-primitives", "adit-tests"]),
    ("adit-plugin-longest-chain", &["adit-plugin-scrypt", "adit-plugin-sha256d", "adit-primitives", "adit-tests"]),
    (
        "adit-plugin-proof-of-space",
        &["adit-chain", "adit-kernels", "adit-plugin-poc2", "adit-plugin-sha256", "adit-primitives"],
    ),
    ("adit-node", &["adit-plugin-longest-chain", "adit-plugin-pplns", "adit-plugin-quorum", "adit-plugin-sdk"]),
    ("adit-pool", &["adit-chain", "adit-kernels", "adit-store"]),
    ("adit-space", &["adit-kernels"]),
    ("adit-sim", &["adit-plugin-ghostdag", "adit-plugin-longest-chain", "adit-plugin-sdk"]),
    ("adit-tests", &["adit-kernels", "adit-miner", "adit-plugin-bundle", "adit-plugin-host", "adit-plugin-sdk"]),
    ("adit-against-kaspa-pow", &["adit-primitives", "adit-kernels"]),
];

/// Heavy dependencies that the tests of other crates may use: a program that is not Adit's is written with the library.
const OWNERS_OF_TESTS: &[(&str, &[&str])] = &[("libp2p", &["adit-cli"]), ("libp2p-stream", &["adit-cli"])];

/// Heavy dependencies and the crates that own them.
const OWNERS: &[(&str, &[&str])] = &[
    ("wasmtime", &["adit-plugin-host"]),
    ("libloading", &["adit-plugin-host"]),
    ("fjall", &["adit-store"]),
    ("rusqlite", &["adit-store"]),
    ("axum", &["adit-node"]),
    ("tokio", &["adit-transport", "adit-node", "adit-cli"]),
    ("libp2p", &["adit-transport"]),
    ("libp2p-stream", &["adit-transport"]),
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

/// What makes the word `unsafe` code, where it follows.
const UNSAFE_CODE: &[&str] = &["{", "(", "fn", "impl", "extern", "trait"];

/// Longer files are probably two things.
const LINES_MAX: usize = 700;

/// Checks everything and reports every breach at once.
pub fn check(root: &Path) -> Result<()> {
    let mut breaches = Vec::new();
    let files = tracked(root)?;
    let of_workspace = manifest(root, "Cargo.toml")?;
    for name in files.iter().filter(|path| path.ends_with("Cargo.toml")) {
        dependencies(name, &manifest(root, name)?, &of_workspace, &mut breaches);
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

fn manifest(root: &Path, path: &str) -> Result<DocumentMut> {
    std::fs::read_to_string(root.join(path))?.parse().with_context(|| format!("failed to parse {path}"))
}

/// Checks who a crate depends on: `of_workspace` says which crates the names mean that it inherits.
fn dependencies(name: &str, manifest: &DocumentMut, of_workspace: &DocumentMut, breaches: &mut Vec<String>) {
    let package = manifest.get("package").and_then(|package| package.get("name")).and_then(Item::as_str);
    let Some(package) = package else { return };
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let arrows_of_tests: BTreeMap<_, _> = ARROWS_OF_TESTS.iter().copied().collect();
    let owners: BTreeMap<_, _> = OWNERS.iter().copied().collect();
    let owners_of_tests: BTreeMap<_, _> = OWNERS_OF_TESTS.iter().copied().collect();
    let Some(allowed) = arrows.get(package) else {
        breaches.push(format!("{name}: {package} is not among the arrows: say there what it may see"));
        return;
    };
    let allowed_tests = arrows_of_tests.get(package).copied().unwrap_or_default();
    for (table, dependency, item) in tables(manifest.as_table()) {
        let dependency = crate_name(dependency, item, of_workspace);
        let allowed =
            allowed.contains(&dependency) || table == "dev-dependencies" && allowed_tests.contains(&dependency);
        if dependency.starts_with("adit-") && !allowed {
            breaches.push(format!("{name}: {package} must not see {dependency} ({table})"));
        }
        let of_tests = owners_of_tests.get(dependency).is_some_and(|owners| owners.contains(&package));
        let owned = owners.get(dependency).is_none_or(|owners| owners.contains(&package));
        let allowed = owned || (table == "dev-dependencies" && of_tests);
        if !allowed {
            breaches.push(format!("{name}: {dependency} belongs to {} ({table})", owners[dependency].join(" and ")));
        }
    }
}

/// Lists every dependency of a manifest with the table it stands in, those for one target alone among them.
fn tables(manifest: &dyn TableLike) -> Vec<(&'static str, &str, &Item)> {
    let mut found = Vec::new();
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let table = manifest.get(kind).and_then(Item::as_table_like);
        found.extend(table.into_iter().flat_map(TableLike::iter).map(|(name, item)| (kind, name, item)));
    }
    let targets = manifest.get("target").and_then(Item::as_table_like);
    let targets = targets.into_iter().flat_map(TableLike::iter).filter_map(|(_, target)| target.as_table_like());
    found.extend(targets.flat_map(tables));
    found
}

/// Returns the crate that a dependency is, by whatever name it goes here or in the workspace.
fn crate_name<'a>(name: &'a str, item: &'a Item, of_workspace: &'a DocumentMut) -> &'a str {
    let renamed = |item: &'a Item| item.get("package").and_then(Item::as_str);
    let inherited = || {
        item.get("workspace")?;
        renamed(of_workspace.get("workspace")?.get("dependencies")?.get(name)?)
    };
    renamed(item).or_else(inherited).unwrap_or(name)
}

/// Tells whether a source holds unsafe code. Comments do not count; text in quotation marks does, which nobody needs.
fn holds_unsafe(text: &str) -> bool {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    code.match_indices("unsafe").any(|(at, word)| {
        let begins = !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let after = code[at + word.len()..].trim_start();
        let follows = |next: &str| {
            after.strip_prefix(next).is_some_and(|rest| {
                !next.ends_with(char::is_alphabetic) || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        };
        begins && UNSAFE_CODE.iter().any(|next| follows(next))
    })
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
    if !may && holds_unsafe(text) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_dependencies(manifest: &str, want: &[&str]) {
        let of_workspace =
            "[workspace.dependencies]\nwasmtime = \"1\"\nquiet = { package = \"wasmtime\", version = \"1\" }";
        let mut breaches = Vec::new();
        dependencies("Cargo.toml", &manifest.parse().unwrap(), &of_workspace.parse().unwrap(), &mut breaches);
        let want: Vec<String> = want.iter().map(|breach| format!("Cargo.toml: {breach}")).collect();
        assert_eq!(breaches, want);
    }

    fn of_chain(rest: &str) -> String {
        format!("[package]\nname = \"adit-chain\"\n{rest}")
    }

    #[test]
    fn a_crate_that_nobody_listed_is_refused() {
        check_dependencies(
            "[package]\nname = \"adit-utils\"",
            &["adit-utils is not among the arrows: say there what it may see"],
        );
        check_dependencies("[workspace]\nmembers = []", &[]);
    }

    #[test]
    fn arrows_hold_in_every_table() {
        check_dependencies(&of_chain("[dependencies]\nadit-primitives.workspace = true"), &[]);
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let breach = format!("adit-chain must not see adit-miner ({table})");
            check_dependencies(&of_chain(&format!("[{table}]\nadit-miner.workspace = true")), &[&breach]);
            let target = format!("[target.'cfg(unix)'.{table}]\nadit-miner = {{ path = \"../miner\" }}");
            check_dependencies(&of_chain(&target), &[&breach]);
        }
    }

    #[test]
    fn what_tests_may_see_the_crate_itself_may_not() {
        let host =
            |table| format!("[package]\nname = \"adit-plugin-host\"\n[{table}]\nadit-plugin-bundle.workspace = true");
        check_dependencies(&host("dev-dependencies"), &[]);
        check_dependencies(&host("dependencies"), &["adit-plugin-host must not see adit-plugin-bundle (dependencies)"]);
    }

    #[test]
    fn a_dependency_is_known_under_any_name() {
        let breach = ["wasmtime belongs to adit-plugin-host (dependencies)"];
        check_dependencies(&of_chain("[dependencies]\nwasmtime = \"1\""), &breach);
        check_dependencies(&of_chain("[dependencies]\nrules = { package = \"wasmtime\", version = \"1\" }"), &breach);
        check_dependencies(&of_chain("[dependencies]\nquiet.workspace = true"), &breach);
        check_dependencies(
            &of_chain("[dependencies.other]\npackage = \"adit-miner\"\npath = \"../miner\""),
            &["adit-chain must not see adit-miner (dependencies)"],
        );
    }

    #[test]
    fn unsafe_code_is_found_however_it_is_spelled() {
        for code in [
            "unsafe { x() }",
            "unsafe{ x() }",
            "unsafe\n{ x() }",
            "pub unsafe fn x() {}",
            "unsafe // why\n fn x() {}",
            "unsafe impl Send for X {}",
            "unsafe impl<T> Send for X<T> {}",
            "unsafe extern \"C\" { fn x(); }",
            "unsafe trait X {}",
            "#[unsafe(no_mangle)]",
        ] {
            assert!(holds_unsafe(code), "{code}");
        }
        for harmless in [
            "#![forbid(unsafe_code)]",
            "// unsafe { x() }",
            "let x = 1; // no unsafe fn",
            "script-src 'unsafe-inline'",
            "fn not_unsafe {}",
            "unsafe function",
        ] {
            assert!(!holds_unsafe(harmless), "{harmless}");
        }
    }
}
