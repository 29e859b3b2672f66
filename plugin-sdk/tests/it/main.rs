//! Plugins built to components, by cargo itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod reproducible;
mod scaffolded;

use adit_plugin_sdk::build::{BuildError, Component, Options, build_component};
use std::path::{Path, PathBuf};

/// Returns a target folder that outlives the test, so that dependencies are built once.
fn target_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[track_caller]
fn build(dir: &Path, target: &str) -> Component {
    let options = Options { target_dir: target_dir(target), show_progress: false };
    build_component(dir, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(dir: &Path) -> BuildError {
    let options = Options { target_dir: target_dir("refused"), show_progress: false };
    build_component(dir, &options).expect_err("the crate is no plugin")
}
