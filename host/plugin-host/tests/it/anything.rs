//! Whatever is given to the loader: it is refused or loaded, within a bounded time, and never more than it is.
//!
//! Cheap inputs in large numbers; one file for each kind of damage stands in `loading`.

use crate::guest::{HashGuest, cached, load, sandbox};
use adit_plugin_bundle::bundled;
use adit_plugin_host::{Origin, PluginSource, Sandbox};
use adit_primitives::Hash256;
use adit_primitives::engine::HashEngine;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// What loading may take: many times what a component of this size takes to compile.
const TIME_MAX: Duration = Duration::from_secs(60);

static SANDBOX: LazyLock<Arc<Sandbox>> = LazyLock::new(sandbox);

/// A change of some bytes.
#[derive(Debug, Clone)]
enum Damage {
    /// A byte becomes another.
    Byte {
        at: Index,
        to: u8,
    },
    /// A part is left out.
    Cut {
        from: Index,
        bytes: usize,
    },
    /// A part stands twice.
    Twice {
        from: Index,
        bytes: usize,
    },
    /// A number that LEB128 readers follow far.
    Huge {
        at: Index,
    },
    End {
        at: Index,
    },
}

fn damage() -> impl Strategy<Value = Damage> {
    let (at, bytes) = (any::<Index>, 1..200usize);
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, to)| Damage::Byte { at, to }),
        2 => (at(), bytes.clone()).prop_map(|(from, bytes)| Damage::Cut { from, bytes }),
        2 => (at(), bytes).prop_map(|(from, bytes)| Damage::Twice { from, bytes }),
        1 => at().prop_map(|at| Damage::Huge { at }),
        1 => at().prop_map(|at| Damage::End { at }),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let part = |from: &Index, count: usize| {
            let from = from.index(bytes.len());
            from..(from + count).min(bytes.len())
        };
        match self {
            Self::Byte { at, to } => {
                let at = at.index(bytes.len());
                bytes[at] = *to;
            }
            Self::Cut { from, bytes: count } => drop(bytes.drain(part(from, *count))),
            Self::Twice { from, bytes: count } => {
                let range = part(from, *count);
                let (end, copy) = (range.end, bytes[range].to_vec());
                bytes.splice(end..end, copy);
            }
            Self::Huge { at } => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f]);
            }
            Self::End { at } => bytes.truncate(at.index(bytes.len())),
        }
    }
}

/// Loads a file, and asks what was loaded: a plugin that was damaged may answer, and may fail.
fn check(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let (started, digest) = (Instant::now(), Hash256(blake3::hash(&bytes).into()));
    if let Ok(plugin) = load(&SANDBOX, bytes) {
        prop_assert_eq!(plugin.info().digest, digest);
        if let Ok(mut hash) = plugin.hash("{}") {
            drop(hash.digest(&[7; 80]));
        }
    }
    prop_assert!(started.elapsed() < TIME_MAX, "loading took {:?}", started.elapsed());
    Ok(())
}

/// The bytes of the smallest bundled plugin: a component as rustc makes them.
fn compiled() -> &'static [u8] {
    bundled().iter().map(|plugin| plugin.bytes).min_by_key(|bytes| bytes.len()).expect("plugins are bundled")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), head in 0..3usize) {
        // A module's, a component's, or none.
        let heads: [&[u8]; 3] = [b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0", b""];
        bytes.splice(0..0, heads[head].iter().copied());
        prop_assert!(load(&SANDBOX, bytes).is_err());
    }

    #[test]
    fn a_damaged_component_is_refused_or_works(damages in proptest::collection::vec(damage(), 1..4)) {
        let mut bytes = HashGuest::default().component();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        check(bytes)?;
    }

    #[test]
    fn a_damaged_module_is_refused_or_works(damages in proptest::collection::vec(damage(), 1..4)) {
        let mut bytes = HashGuest::default().module();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        check(bytes)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_plugin_of_rustc_is_refused_or_works(damages in proptest::collection::vec(damage(), 1..4)) {
        let mut bytes = compiled().to_vec();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        check(bytes)?;
    }

    #[test]
    fn a_damaged_entry_of_the_cache_is_never_run(damages in proptest::collection::vec(damage(), 1..4)) {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let source = PluginSource { bytes: HashGuest::default().component(), pinned: None };
        let load = || cached(directory.path()).load(&source).expect("the plugin itself is sound");
        load();
        let path = crate::loading::entry(directory.path());
        let whole = std::fs::read(&path).expect("the entry was written");
        let mut bytes = whole.clone();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        std::fs::write(&path, &bytes).expect("there is room for temporary files");
        let origin = if bytes == whole { Origin::Cached } else { Origin::Compiled };
        let [first, second] = [load(), load()];
        prop_assert_eq!(first.origin(), &origin);
        prop_assert_eq!(second.origin(), &Origin::Cached);
    }
}
