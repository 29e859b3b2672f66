//! The plugin as native code, through its trait.

mod config;
mod conformance;
mod dag;
mod headers;
mod native;
mod windows;
