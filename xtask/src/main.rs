//! Chores of the repository. `cargo xtask` lists them.
//!
//! Nothing here is part of the product, and nothing of the product is decided here: a chore runs cargo, or reads files.
//! `tidy` holds the text checks that no lint makes.

mod tidy;

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const WASM_TARGET: &str = "wasm32-unknown-unknown";

const HELP: &str = "\
cargo xtask <chore>

  up [chain.toml]   build and run node and miner in one process (default: examples/chaincore/chain.toml)
  test [filter]     set up what is missing and run all tests
  ci                everything a change must pass: form, lints, tests, documentation
  setup             add the WebAssembly target and make where they are missing
  tidy              check the repository's own rules of form
  write             write docs/chain-toml.md and the examples' pins anew, from the sources
  bench [crate]     run the criterion benches (of one crate)";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let chore = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    std::env::set_current_dir(root())?;
    match chore.as_str() {
        "up" => up(&rest),
        "test" => test(&rest),
        "ci" => ci(),
        "setup" => setup(),
        "tidy" => tidy::check(&root()),
        "write" => write(),
        "bench" => bench(&rest),
        _ => {
            eprintln!("{HELP}");
            bail!("no chore is called {chore:?}");
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository's root").to_path_buf()
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    run_with(Command::new(program).args(arguments))
}

fn run_with(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    println!("+ {shown}");
    let status = command.status().with_context(|| format!("failed to start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

fn is_installed(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Adds what every build needs: `make`, which builds the allocator beside the C compiler that Rust links with, and the target of plugins. A toolchain
/// that did not come through rustup must bring that along.
fn setup() -> Result<()> {
    if !is_installed("make", &["--version"]) {
        println!("make is missing: installing it");
        ensure!(installs(&["make"]), "make cannot be installed here: install it by hand");
    }
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().context("failed to start rustc")?;
    let sysroot = String::from_utf8(sysroot.stdout)?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(WASM_TARGET).is_dir() {
        return Ok(());
    }
    println!("the target {WASM_TARGET} is missing: adding it");
    run("rustup", &["target", "add", WASM_TARGET])
        .with_context(|| format!("plugins are built for {WASM_TARGET}; install it for your toolchain"))
}

fn up(rest: &[String]) -> Result<()> {
    setup()?;
    let chain = rest.first().map_or("examples/chaincore/chain.toml", String::as_str);
    let more: Vec<&str> = rest.iter().skip(1).map(String::as_str).collect();
    run("cargo", &[&["run", "--release", "--package", "adit-cli", "--", "up", chain], &more[..]].concat())
}

/// Installs the servers that tests run the pool before, and what their miner is written in, where Debian's packages may be installed. Where not,
/// those tests say that they did not run.
fn servers() {
    let wanted = ["litecoind", "litecoin-cli", "python3"];
    if wanted.iter().all(|program| is_installed(program, &["--version"])) {
        return;
    }
    println!("litecoind or python3 is missing: installing them");
    if !installs(&["litecoind", "python3"]) {
        println!("they cannot be installed here: the tests that need them say so");
    }
}

/// Installs Debian's packages where that is possible.
fn installs(packages: &[&str]) -> bool {
    const INSTALL: [&str; 5] = ["-o", "DPkg::Lock::Timeout=500", "install", "--yes", "--no-install-recommends"];
    // Whoever is root may have no sudo.
    [&["apt-get"][..], &["sudo", "-n", "apt-get"]].iter().any(|apt| {
        let (program, before) = (apt[0], &apt[1..]);
        is_installed(program, &[before, &["update"]].concat())
            && is_installed(program, &[before, &INSTALL[..], packages].concat())
    })
}

fn test(rest: &[String]) -> Result<()> {
    setup()?;
    servers();
    let filter: Vec<&str> = rest.iter().map(String::as_str).collect();
    if is_installed("cargo", &["nextest", "--version"]) {
        run("cargo", &[&["nextest", "run", "--workspace", "--no-fail-fast"], &filter[..]].concat())?;
        run("cargo", &[&["test", "--workspace", "--doc", "--quiet"], &filter[..]].concat())
    } else {
        run("cargo", &[&["test", "--workspace", "--no-fail-fast"], &filter[..]].concat())
    }
}

fn ci() -> Result<()> {
    run("cargo", &["fmt", "--all", "--check"])?;
    tidy::check(&root())?;
    setup()?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    test(&[])?;
    run_with(
        Command::new("cargo")
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

/// Writes what is written from the sources: the reference of `chain.toml`, and the pins of the examples. Tests check both.
fn write() -> Result<()> {
    let adit = |arguments: &[&str]| -> Result<Vec<u8>> {
        let mut command = Command::new("cargo");
        command.args(["run", "--quiet", "--package", "adit-cli", "--"]).args(arguments);
        let output = command.stderr(std::process::Stdio::inherit()).output().context("failed to start cargo")?;
        if !output.status.success() {
            bail!("adit {} failed", arguments.join(" "));
        }
        Ok(output.stdout)
    };
    std::fs::write("docs/chain-toml.md", adit(&["chain", "reference"])?)?;
    for folder in std::fs::read_dir("examples")? {
        for file in std::fs::read_dir(folder?.path())? {
            let file = file?.path();
            let is_toml = file.extension().is_some_and(|extension| extension == "toml");
            if is_toml && std::fs::read_to_string(&file)?.contains("\ndigest = ") {
                adit(&["chain", "pin", &file.to_string_lossy()])?;
            }
        }
    }
    Ok(())
}

fn bench(rest: &[String]) -> Result<()> {
    setup()?;
    match rest.first() {
        Some(package) => run("cargo", &["bench", "--package", package]),
        None => run("cargo", &["bench", "--workspace"]),
    }
}
