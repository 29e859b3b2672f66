//! The plugin as native code, through its traits, with real plots.

mod challenges;
mod config;
mod farm;
mod horizon;
mod proofs;
mod registration;
mod retarget;
mod signature;
mod templates;
