//! What stands between the WIT contract and an author's plain Rust. Exists in components alone; macros alone may use it.
//!
//! Never holds a rule: it converts values, keeps the configured instance, and passes panics on. Calls before `configure` trap.
//!
//! Reading order: this file is what all kinds share, [`hash`], [`consensus`], [`payout`] and [`shares`] one kind each, [`quorum`] what a
//! share validator may export besides, [`space`] what rules may.

pub mod consensus;
pub mod hash;
pub mod payout;
pub mod quorum;
pub mod shares;
pub mod space;

use crate::ConfigError;
use std::cell::RefCell;
use std::sync::Once;
use std::thread::LocalKey;

/// What every kind imports and exports.
#[allow(unsafe_code, unused_qualifications, clippy::all, missing_docs)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package adit:sdk-every-kind;
            world every-kind {
                import adit:plugin/diagnostics@0.1.0;
                export adit:plugin/plugin@0.1.0;
            }
        ",
        pub_export_macro: true,
        export_macro_name: "export_every_kind",
        generate_all,
    });
}

pub use bindings::adit::plugin::types;

/// A plugin that an export macro has tied to its crate.
pub trait Exported {
    /// The author's type.
    type Plugin: 'static;
    /// What `describe` says, besides the version.
    const KIND: types::Kind;
    const NAME: &'static str;
    const SUMMARY: &'static str;
    /// The version of the author's crate.
    const VERSION: &'static str;

    /// Returns the JSON Schema of the configuration.
    fn schema() -> String;

    /// Makes an instance from its configuration.
    fn create(config: &str) -> Result<Self::Plugin, ConfigError>;

    /// Returns where the configured instance lies.
    fn slot() -> &'static LocalKey<RefCell<Option<Self::Plugin>>>;
}

impl<E: Exported> bindings::exports::adit::plugin::plugin::Guest for E {
    fn describe() -> types::Info {
        pass_panics_on();
        types::Info {
            name: E::NAME.to_owned(),
            version: E::VERSION.to_owned(),
            kind: E::KIND,
            summary: E::SUMMARY.to_owned(),
        }
    }

    fn schema() -> String {
        pass_panics_on();
        E::schema()
    }

    fn configure(config: String) -> Result<(), types::ConfigError> {
        pass_panics_on();
        let plugin = E::create(&config).map_err(|ConfigError { key, detail }| types::ConfigError { key, detail })?;
        E::slot().set(Some(plugin));
        Ok(())
    }
}

/// Calls the configured instance.
fn with<E: Exported, T>(call: impl FnOnce(&mut E::Plugin) -> T) -> T {
    E::slot().with_borrow_mut(|slot| match slot {
        Some(plugin) => call(plugin),
        None => {
            pass_panics_on();
            panic!("called before configure")
        }
    })
}

/// Makes panics reach the host with message, file and line.
fn pass_panics_on() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| bindings::adit::plugin::diagnostics::panicked(&panic.to_string())));
    });
}

fn to_hash(bytes: &[u8; 32]) -> types::Hash256 {
    let (words, _) = bytes.as_chunks::<8>();
    let [w0, w1, w2, w3] = [0, 1, 2, 3].map(|index| u64::from_le_bytes(words[index]));
    types::Hash256 { w0, w1, w2, w3 }
}

fn from_hash(hash: types::Hash256) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip([hash.w0, hash.w1, hash.w2, hash.w3]) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Ties a type to its crate's component. Not for authors: `export_hash!` and its like use it.
#[doc(hidden)]
#[macro_export]
macro_rules! __exported {
    ($plugin:ty, $kind:ident, $trait:ident) => {
        struct Exported;

        impl $crate::glue::Exported for Exported {
            type Plugin = $plugin;
            const KIND: $crate::glue::types::Kind = $crate::glue::types::Kind::$kind;
            const NAME: &'static str = <$plugin as $crate::$trait>::NAME;
            const SUMMARY: &'static str = <$plugin as $crate::$trait>::SUMMARY;
            const VERSION: &'static str = env!("CARGO_PKG_VERSION");

            fn schema() -> String {
                $crate::config::schema::<<$plugin as $crate::$trait>::Config>()
            }

            fn create(config: &str) -> Result<$plugin, $crate::ConfigError> {
                $crate::config::parse(config).and_then(<$plugin as $crate::$trait>::new)
            }

            fn slot() -> &'static ::std::thread::LocalKey<::std::cell::RefCell<Option<$plugin>>> {
                ::std::thread_local! {
                    static SLOT: ::std::cell::RefCell<Option<$plugin>> = const { ::std::cell::RefCell::new(None) };
                }
                &SLOT
            }
        }

        $crate::glue::bindings::export_every_kind!(Exported with_types_in $crate::glue::bindings);
    };
}
