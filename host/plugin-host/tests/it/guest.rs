//! Plugins written by hand in WebAssembly's text, so that they can do what no compiler would let them.

use adit_plugin_host::{CacheSettings, Fuel, Limits, LoadError, Plugin, PluginSource, Sandbox, Settings};
use std::sync::Arc;
use std::time::Duration;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A hash plugin, function by function: each field is the body of the function that it names, in WebAssembly's text.
///
/// Answers lie in memory: `$digest` (32 bytes) and `$list` (pointer and length) are there to be pointed at; `$fill` writes a byte
/// string of `length` zeros and gives the pointer to its pair.
#[derive(Clone)]
pub struct HashGuest {
    pub name: &'static str,
    pub kind: u32,
    pub schema: &'static str,
    pub describe: &'static str,
    pub configure: &'static str,
    pub prepare: &'static str,
    pub digest: &'static str,
    pub digest_many: &'static str,
    pub search: &'static str,
    /// More fields of the module: functions, a start function.
    pub more: &'static str,
    pub memory: &'static str,
}

impl Default for HashGuest {
    fn default() -> Self {
        Self {
            name: "tame",
            kind: 0,
            schema: "{}",
            describe: "(i32.const 1024)",
            configure: "(i32.const 1100)",
            prepare: "",
            digest: "(i32.const 1200)",
            digest_many: "(call $fill (i32.mul (i32.div_u (local.get 1) (local.get 2)) (i32.const 32)))",
            search: "(call $scan (local.get 3))",
            more: "",
            memory: "(memory (export \"memory\") 2)",
        }
    }
}

impl HashGuest {
    fn text(&self) -> String {
        let Self { name, kind, schema, describe, configure, prepare, digest, digest_many, search, more, memory } = self;
        let words = |numbers: &[u32]| {
            numbers.iter().flat_map(|n| n.to_le_bytes()).map(|b| format!("\\{b:02x}")).collect::<String>()
        };
        let length = |text: &str| u32::try_from(text.len()).unwrap();
        let info = words(&[2048, length(name), 2100, 5, *kind, 2110, 4]);
        let schema_pair = words(&[2200, length(schema)]);
        let schema = schema.replace('"', "\\22");
        format!(
            r#"(module
            (import "adit:plugin/diagnostics@0.1.0" "panicked" (func $panicked (param i32 i32)))
            {memory}
            (data (i32.const 1024) "{info}")
            (data (i32.const 1080) "{schema_pair}")
            (data (i32.const 2048) "{name}")
            (data (i32.const 2100) "0.0.1")
            (data (i32.const 2110) "test")
            (data (i32.const 2200) "{schema}")
            (data (i32.const 2300) "told at guest.rs:1:1")
            (global $heap (mut i32) (i32.const 8192))
            (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
                (global.set $heap (i32.add (local.get $at) (local.get 3)))
                (block $fits
                    (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
                    (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1)))))
                (local.get $at))
            ;; (pointer, length) of `length` zeros
            (func $fill (param $length i32) (result i32)
                (local $at i32)
                (local.set $at (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $length)))
                (memory.fill (local.get $at) (i32.const 0) (local.get $length))
                (i32.store (i32.const 1300) (local.get $at))
                (i32.store (i32.const 1304) (local.get $length))
                (global.set $heap (i32.const 8192))
                (i32.const 1300))
            ;; a scan that found nothing among `count`
            (func $scan (param $count i64) (result i32)
                (i64.store (i32.const 1400) (local.get $count))
                (i32.store (i32.const 1408) (i32.const 0))
                (i32.store (i32.const 1300) (i32.const 1400))
                (i32.store (i32.const 1304) (i32.const 12))
                (global.set $heap (i32.const 8192))
                (i32.const 1300))
            {more}
            (func (export "adit:plugin/plugin@0.1.0#describe") (result i32) {describe})
            (func (export "adit:plugin/plugin@0.1.0#schema") (result i32) (i32.const 1080))
            (func (export "adit:plugin/plugin@0.1.0#configure") (param i32 i32) (result i32) {configure})
            (func (export "adit:plugin/hash@0.1.0#prepare") (param i64 i64 i64 i64 i64) {prepare})
            (func (export "adit:plugin/hash@0.1.0#digest") (param i32 i32) (result i32) {digest})
            (func (export "adit:plugin/hash@0.1.0#digest-many") (param i32 i32 i32) (result i32) {digest_many})
            (func (export "adit:plugin/hash@0.1.0#search") (param i32 i32 i64 i64) (result i32) {search}))"#
        )
    }

    /// The core module, with the contract's types in it.
    pub fn module(&self) -> Vec<u8> {
        with_world(&self.text(), "hash-plugin")
    }

    pub fn component(&self) -> Vec<u8> {
        component_of(&self.text(), "hash-plugin")
    }

    #[track_caller]
    pub fn load(&self) -> Plugin {
        self.load_in(&sandbox())
    }

    #[track_caller]
    pub fn load_in(&self, sandbox: &Arc<Sandbox>) -> Plugin {
        load(sandbox, self.component()).unwrap()
    }
}

/// Gives a module in text the types of one of the contract's worlds.
fn with_world(text: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

/// Makes a component of a module in text, with the types of one of the contract's worlds.
pub fn component_of(text: &str, world: &str) -> Vec<u8> {
    ComponentEncoder::default().module(&with_world(text, world)).unwrap().encode().unwrap()
}

/// Settings under which hostile plugins fail fast.
pub fn settings() -> Settings {
    Settings {
        rules: Limits { fuel: Some(Fuel { per_call: 100_000_000, per_row: 0 }), ..Limits::RULES },
        services: Limits {
            // A second: a tame call on a crowded machine must not run into it.
            ticks_per_call: 200,
            memory_bytes_max: 16 << 20,
            answer_bytes_max: 1 << 20,
            ..Limits::SERVICES
        },
        tick: Duration::from_millis(5),
        ..Settings::STANDARD
    }
}

pub fn sandbox() -> Arc<Sandbox> {
    Sandbox::new(settings()).unwrap()
}

pub fn cached(directory: &std::path::Path) -> Arc<Sandbox> {
    let cache = Some(CacheSettings { directory: directory.to_owned(), new_key: [7; 32] });
    Sandbox::new(Settings { cache, ..settings() }).unwrap()
}

pub fn load(sandbox: &Arc<Sandbox>, bytes: Vec<u8>) -> Result<Plugin, LoadError> {
    sandbox.load(&PluginSource { bytes, pinned: None })
}
