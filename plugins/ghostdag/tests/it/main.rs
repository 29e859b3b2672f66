//! The plugin as native code, through its trait.

mod conformance;
mod native;
