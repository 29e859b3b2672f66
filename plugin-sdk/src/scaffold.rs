//! Writes the folder of a new plugin: a working example, its tests, and the SDK's own sources, so that nothing but cargo is needed.
//!
//! Never overwrites: the folder must be new. [`manifest`] frees the SDK's manifests from this workspace.

mod manifest;

use std::path::{Path, PathBuf};

/// What kind of plugin to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Hash,
    Consensus,
    Payout,
    Shares,
}

/// Why no folder was written.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    #[error(
        "{name:?} is no name for a plugin: lower-case words of letters and digits joined by dashes, a letter first"
    )]
    Name { name: String },
    #[error("{} is there already", dir.display())]
    Taken { dir: PathBuf },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

/// Files, each by its path from the folder that they go to.
type Files = &'static [(&'static str, &'static str)];

macro_rules! files {
    ($from:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!($from, $path)))),*]
    };
}

const HASH: Files = files!("../templates/hash/": "README.md", "src/lib.rs", "tests/vectors.rs", "vectors.json");
const CONSENSUS: Files = files!("../templates/consensus/": "README.md", "src/lib.rs", "tests/chain.rs");
const PAYOUT: Files = files!("../templates/payout/": "README.md", "src/lib.rs", "tests/vectors.rs", "vectors.json");
const SHARES: Files = files!("../templates/shares/": "README.md", "src/lib.rs", "tests/vectors.rs", "vectors.json");
const MANIFEST: &str = include_str!("../templates/every-kind/manifest.toml");
const IGNORE: &str = include_str!("../templates/every-kind/gitignore");

const SDK: Files = files!("../":
    "src/common.rs", "src/common/difficulty.rs", "src/common/fixed.rs", "src/common/hex.rs", "src/common/pace.rs",
    "src/common/share_rules.rs", "src/common/split.rs", "src/common/subsidy.rs", "src/config.rs", "src/consensus.rs", "src/glue.rs",
    "src/glue/consensus.rs", "src/glue/hash.rs", "src/glue/payout.rs", "src/glue/quorum.rs", "src/glue/shares.rs", "src/glue/space.rs", "src/hash.rs", "src/judge.rs", "src/lib.rs",
    "src/payout.rs", "src/shares.rs", "src/simd.rs", "src/simd/arrays.rs", "src/simd/wasm.rs", "src/simd/x86.rs", "src/testing.rs", "src/testing/chain.rs", "src/testing/native.rs", "src/testing/pool_vectors.rs",
    "src/testing/quorum_vectors.rs", "src/testing/vectors.rs",
);
const PRIMITIVES: Files = files!("../../host/primitives/":
    "src/accounts.rs", "src/accounts/memory.rs", "src/accounts/posting.rs", "src/accounts/rows.rs", "src/bytes.rs", "src/contract.rs", "src/contract/payout.rs",
    "src/contract/quorum.rs", "src/contract/shares.rs", "src/contract/space.rs", "src/engine.rs", "src/hash.rs", "src/identity.rs", "src/kernel.rs", "src/lib.rs", "src/number.rs",
    "src/space.rs", "src/storage.rs",
);
const WIT: Files = files!("../../wit/": "README.md", "consensus.wit", "diagnostics.wit", "hash.wit", "payout.wit", "shares.wit", "space.wit", "types.wit");
const LICENCES: Files = files!("../../": "LICENSE-APACHE", "LICENSE-MIT");

/// Writes a new plugin called `name` into the new folder `dir`.
pub fn scaffold(kind: Kind, name: &str, dir: &Path) -> Result<(), ScaffoldError> {
    if !is_name(name) {
        return Err(ScaffoldError::Name { name: name.to_owned() });
    }
    if dir.exists() {
        return Err(ScaffoldError::Taken { dir: dir.to_owned() });
    }
    let example = match kind {
        Kind::Hash => HASH,
        Kind::Consensus => CONSENSUS,
        Kind::Payout => PAYOUT,
        Kind::Shares => SHARES,
    };
    write(dir, "Cargo.toml", &named(MANIFEST, name))?;
    write(dir, ".gitignore", IGNORE)?;
    example.iter().try_for_each(|(path, text)| write(dir, path, &named(text, name)))?;

    let sdk = dir.join("sdk");
    write_all(&sdk, LICENCES)?;
    write_all(&sdk.join("wit"), WIT)?;
    write_all(&sdk.join("primitives"), PRIMITIVES)?;
    write(&sdk, "primitives/Cargo.toml", &manifest::primitives())?;
    write_all(&sdk.join("plugin-sdk"), SDK)?;
    write(&sdk, "plugin-sdk/Cargo.toml", &manifest::plugin_sdk())
}

fn is_name(name: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= 32 && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('-').all(is_word)
}

/// Puts a plugin's name into a template, in the three ways in which Rust writes it.
fn named(template: &str, name: &str) -> String {
    let capitalised = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    let type_name: String = name.split('-').map(capitalised).collect();
    template.replace("__NAME__", name).replace("__TYPE__", &type_name).replace("__CRATE__", &name.replace('-', "_"))
}

fn write_all(dir: &Path, files: Files) -> Result<(), ScaffoldError> {
    files.iter().try_for_each(|(path, text)| write(dir, path, text))
}

fn write(dir: &Path, path: &str, text: &str) -> Result<(), ScaffoldError> {
    let path = dir.join(path);
    let parent = path.parent().unwrap_or(dir);
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|source| ScaffoldError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_name(name: &str, want: bool) {
        assert_eq!(is_name(name), want, "{name:?}");
    }

    #[test]
    fn words_joined_by_dashes_are_a_name() {
        check_name("my-hash", true);
        check_name("sha3", true);
        check_name("My-hash", false);
        check_name("my--hash", false);
        check_name("3-hash", false);
        check_name("../hash", false);
        check_name("", false);
    }

    #[test]
    fn a_name_is_written_in_three_ways() {
        assert_eq!(named("__NAME__ __TYPE__ __CRATE__", "my-hash-3"), "my-hash-3 MyHash3 my_hash_3");
    }

    #[test]
    fn a_folder_that_is_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(scaffold(Kind::Hash, "my-hash", dir.path()), Err(ScaffoldError::Taken { .. })));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    /// Sources of the workspace that a plugin's folder does without.
    const LEFT_OUT: [&str; 5] = [
        "src/build.rs",
        "src/common/pace/tests.rs",
        "src/judge/tests.rs",
        "src/scaffold.rs",
        "src/scaffold/manifest.rs",
    ];

    #[test]
    fn no_source_of_the_sdk_is_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (dir, inside, files) in
            [(root, "src", SDK), (&root.join("../host/primitives"), "src", PRIMITIVES), (&root.join("../wit"), "", WIT)]
        {
            let mut found = Vec::new();
            list(dir, &dir.join(inside), &mut found);
            found.retain(|path| !LEFT_OUT.contains(&path.as_str()));
            found.sort();
            let listed: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
            assert_eq!(found, listed, "in {}", dir.display());
        }
    }

    fn list(root: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => list(root, &path, found),
                false => found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
}
