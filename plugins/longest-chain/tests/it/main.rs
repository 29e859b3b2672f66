//! The plugin as native code, through its trait.

mod config;
mod conformance;
mod headers;
mod native;
mod network;
mod retarget;
