//! Files that are no plugins, or not for this host.

use crate::guest::{HashGuest, cached, component_of, load, sandbox, settings};
use adit_plugin_host::{CacheSettings, Kind, LoadError, Origin, PluginSource, Sandbox, Settings};
use adit_primitives::Hash256;
use adit_primitives::engine::{FaultClass, HashEngine};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[track_caller]
fn check(bytes: Vec<u8>, want: &str) {
    let error = load(&sandbox(), bytes).expect_err("a hostile file is not loaded");
    let text = error.to_string();
    assert!(text.contains(want), "{text:?} does not say {want:?}");
}

#[test]
fn a_sound_plugin_says_what_it_is() {
    let bytes = HashGuest::default().component();
    let plugin = load(&sandbox(), bytes.clone()).unwrap();
    let info = plugin.info();
    assert_eq!((info.name.as_str(), info.version.as_str(), info.kind), ("tame", "0.0.1", Kind::Hash));
    assert_eq!((info.digest, info.size), (Hash256(blake3::hash(&bytes).into()), bytes.len()));
    assert!(info.exports.contains(&"adit:plugin/hash@0.1.0".to_owned()), "{:?}", info.exports);
    assert_eq!(plugin.schema(), "{}");
}

/// With `UPDATE_EXPECT` set, the component is written anew.
#[test]
fn the_plugin_that_adit_bench_calls_is_what_its_text_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/src/bench/nothing");
    let text = fs::read_to_string(format!("{path}.wat")).unwrap();
    let component = component_of(&text, "hash-plugin");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(format!("{path}.wasm"), &component).unwrap();
    }
    assert!(fs::read(format!("{path}.wasm")).unwrap() == component, "the component is of another text");
    let plugin = load(&sandbox(), component).unwrap();
    assert_eq!((plugin.info().name.as_str(), plugin.info().version.as_str()), ("nothing", "0.0.1"));
    assert_eq!(plugin.hash("{}").unwrap().digest(&[7; 80]).unwrap(), Hash256::default());
}

#[test]
fn a_file_with_another_digest_than_pinned_is_refused() {
    let source = PluginSource { bytes: HashGuest::default().component(), pinned: Some(Hash256([1; 32])) };
    assert!(matches!(sandbox().load(&source), Err(LoadError::Digest { .. })));
}

#[test]
fn a_file_that_is_not_webassembly_is_refused() {
    check(b"#!/bin/sh\n".to_vec(), "no WebAssembly component");
    check(Vec::new(), "no WebAssembly component");
}

#[test]
fn a_huge_file_is_refused_before_it_is_looked_at() {
    let mut bytes = HashGuest::default().component();
    bytes.resize(Settings::STANDARD.plugin_bytes_max + 1, 0);
    check(bytes, "are allowed");
}

#[test]
fn a_damaged_file_is_refused() {
    let bytes = HashGuest::default().component();
    for length in (8..bytes.len()).step_by(37) {
        assert!(load(&sandbox(), bytes[..length].to_vec()).is_err(), "cut at {length}");
    }
}

#[test]
fn flipped_bytes_never_take_the_host_down() {
    let (bytes, sandbox) = (HashGuest::default().component(), sandbox());
    for place in (0..bytes.len()).step_by(29) {
        let mut bytes = bytes.clone();
        bytes[place] ^= 0x41;
        drop(load(&sandbox, bytes));
    }
}

#[test]
fn a_core_module_is_told_how_to_be_built() {
    check(wat::parse_str("(module)").unwrap(), "adit plugin build");
    check(HashGuest::default().module(), "adit plugin build");
}

#[test]
fn a_plugin_for_another_version_is_told_to_be_rebuilt() {
    let component = r#"(component
        (component $inner)
        (instance $hash (instantiate $inner))
        (export "adit:plugin/hash@0.2.0" (instance $hash)))"#;
    check(wat::parse_str(component).unwrap(), "version 0.2.0 of the plugin contract");
}

#[test]
fn a_component_of_no_kind_is_refused() {
    check(wat::parse_str("(component)").unwrap(), "exactly one of");
}

#[test]
fn a_component_that_lacks_a_function_is_refused() {
    let component = r#"(component
        (component $inner)
        (instance $hash (instantiate $inner))
        (export "adit:plugin/hash@0.1.0" (instance $hash)))"#;
    check(wat::parse_str(component).unwrap(), "does not fit the contract");
}

#[test]
fn wasi_imports_are_answered_with_the_right_target() {
    check(
        wat::parse_str(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#).unwrap(),
        "wasm32-unknown-unknown",
    );
    let module = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32))))"#;
    check(wat::parse_str(module).unwrap(), "wasm32-unknown-unknown");
}

#[test]
fn imports_that_the_kind_does_not_get_are_refused() {
    let import = r#"(import "adit:plugin/chain-view@0.1.0" (instance))"#;
    let export =
        r#"(component $inner) (instance $i (instantiate $inner)) (export "adit:plugin/hash@0.1.0" (instance $i))"#;
    check(wat::parse_str(format!("(component {import} {export})")).unwrap(), "which a hash plugin does not get");
    let import = r#"(import "other:host/files" (instance))"#;
    check(wat::parse_str(format!("(component {import} {export})")).unwrap(), "imports other:host/files");
}

#[test]
fn floats_in_a_signature_are_refused() {
    let component = r#"(component
        (core module $m (func (export "f") (result f64) (f64.const nan)))
        (core instance $i (instantiate $m))
        (func $f (result f64) (canon lift (core func $i "f")))
        (instance $hash (export "digest" (func $f)))
        (export "adit:plugin/hash@0.1.0" (instance $hash)))"#;
    check(wat::parse_str(component).unwrap(), "floating-point");
}

#[test]
fn relaxed_vectors_are_refused() {
    let guest = HashGuest {
        more: "(func (result v128) (i32x4.relaxed_laneselect (v128.const i64x2 0 0) (v128.const i64x2 1 1) (v128.const i64x2 2 2)))",
        ..HashGuest::default()
    };
    check(guest.component(), "relaxed");
}

#[test]
fn threads_exceptions_and_wide_memories_are_refused() {
    let mores = [
        "(func (drop (i32.atomic.load (i32.const 0))))",
        "(tag $t) (func (throw $t))",
        "(memory $second 1)",
        "(func $f (return_call $f))",
        "(type $s (struct (field i32))) (func (drop (struct.new_default $s)))",
    ];
    for more in mores {
        let guest = HashGuest { more, ..HashGuest::default() };
        assert!(load(&sandbox(), guest.component()).is_err(), "{more}");
    }
}

#[test]
fn fixed_width_vectors_are_welcome() {
    let more = "(func (result v128) (i32x4.add (v128.const i64x2 0 0) (v128.const i64x2 1 1)))";
    HashGuest { more, ..HashGuest::default() }.load();
}

#[test]
fn a_start_function_that_never_ends_is_stopped() {
    let more = "(func $start (loop $again (br $again))) (start $start)";
    let bytes = HashGuest { more, ..HashGuest::default() }.component();
    match load(&sandbox(), bytes) {
        Err(LoadError::Fault(fault)) => {
            assert_eq!((fault.class, fault.function.as_str()), (FaultClass::Environment, "start"))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_memory_that_starts_too_large_is_refused() {
    let memory = "(memory (export \"memory\") 1000)";
    check(HashGuest { memory, ..HashGuest::default() }.component(), "bytes of memory");
}

#[test]
fn a_description_that_traps_is_a_fault_with_a_name() {
    let bytes = HashGuest { describe: "unreachable", ..HashGuest::default() }.component();
    check(bytes, "describe");
}

#[test]
fn a_description_that_lies_is_refused() {
    check(HashGuest { kind: 1, ..HashGuest::default() }.component(), "calls itself a consensus plugin");
    check(HashGuest { kind: 9, ..HashGuest::default() }.component(), "describe");
    check(HashGuest { name: "Loud Name", ..HashGuest::default() }.component(), "lower-case words");
    check(HashGuest { schema: "[]", ..HashGuest::default() }.component(), "not a JSON object");
    check(HashGuest { schema: "{", ..HashGuest::default() }.component(), "not JSON");
}

#[test]
fn precompiled_code_given_as_a_plugin_is_refused() {
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_component(&HashGuest::default().component()).unwrap();
    check(code, "precompiled machine code");
    let code = engine.precompile_module(&HashGuest::default().module()).unwrap();
    check(code, "precompiled machine code");
}

#[test]
fn a_second_start_takes_the_code_from_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let guest = HashGuest::default();
    assert_eq!(guest.load_in(&cached(directory.path())).origin(), &Origin::Compiled);
    let plugin = guest.load_in(&cached(directory.path()));
    assert_eq!(plugin.origin(), &Origin::Cached);
    assert!(plugin.info().exports.contains(&"adit:plugin/hash@0.1.0".to_owned()));
}

#[test]
fn the_cache_and_its_key_are_the_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("compiled");
    HashGuest::default().load_in(&cached(&inside));
    assert_eq!(fs::metadata(&inside).unwrap().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&inside).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
}

pub fn entry(directory: &std::path::Path) -> std::path::PathBuf {
    let is_entry = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "aot");
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).find(is_entry).unwrap()
}

#[test]
fn an_entry_with_any_byte_changed_is_compiled_anew() {
    let directory = tempfile::tempdir().unwrap();
    let guest = HashGuest::default();
    guest.load_in(&cached(directory.path()));
    let path = entry(directory.path());
    let whole = fs::read(&path).unwrap();
    let last = whole.len() - 1;
    for place in [0, 8, 39, 40, 60, whole.len() / 2, last] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(guest.load_in(&cached(directory.path())).origin(), &Origin::Compiled, "byte {place}");
        assert_eq!(fs::read(&path).unwrap().len(), whole.len());
    }
    for length in [0, 7, 8, 39, 40, whole.len() / 2, last] {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(guest.load_in(&cached(directory.path())).origin(), &Origin::Compiled, "cut at {length}");
    }
}

#[test]
fn an_entry_of_another_installation_is_compiled_anew() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let guest = HashGuest::default();
    guest.load_in(&cached(ours.path()));
    let cache = Some(CacheSettings { directory: theirs.path().to_owned(), new_key: [8; 32] });
    guest.load_in(&Sandbox::new(Settings { cache, ..settings() }).unwrap());
    fs::copy(entry(theirs.path()), entry(ours.path())).unwrap();
    assert_eq!(guest.load_in(&cached(ours.path())).origin(), &Origin::Compiled);
}

#[test]
fn an_entry_under_another_plugins_name_is_compiled_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (HashGuest::default(), HashGuest { name: "other", ..HashGuest::default() });
    one.load_in(&cached(directory.path()));
    let of_one = entry(directory.path());
    let aside = directory.path().join("aside");
    fs::rename(&of_one, &aside).unwrap();
    other.load_in(&cached(directory.path()));
    fs::rename(&aside, entry(directory.path())).unwrap();
    let plugin = other.load_in(&cached(directory.path()));
    assert_eq!((plugin.info().name.as_str(), plugin.origin()), ("other", &Origin::Compiled));
}

#[test]
fn a_key_that_others_could_read_makes_every_entry_void() {
    let directory = tempfile::tempdir().unwrap();
    let guest = HashGuest::default();
    guest.load_in(&cached(directory.path()));
    fs::set_permissions(directory.path().join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    let cache = Some(CacheSettings { directory: directory.path().to_owned(), new_key: [9; 32] });
    let sandbox = Sandbox::new(Settings { cache, ..settings() }).unwrap();
    assert_eq!(guest.load_in(&sandbox).origin(), &Origin::Compiled);
}

#[test]
fn a_cache_that_takes_nothing_does_not_stop_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let sandbox = cached(directory.path());
    fs::remove_dir_all(directory.path()).unwrap();
    assert!(matches!(HashGuest::default().load_in(&sandbox).origin(), Origin::NotKept { .. }));
}
