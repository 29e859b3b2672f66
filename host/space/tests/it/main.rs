//! Plots as files: made, interrupted, checked, damaged, scanned and proved.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod collection;
mod farm;
mod hard;
mod plain;
mod python;

use adit_kernels::space::Backend;
use adit_space::{Progress, Step};
use std::sync::atomic::{AtomicU64, Ordering};

/// What makes and scans.
fn engine() -> Backend {
    Backend::widest()
}

/// Interrupts the work at the so-manieth call.
struct Until(AtomicU64);

impl Until {
    fn calls(count: u64) -> Self {
        Self(AtomicU64::new(count))
    }
}

impl Progress for Until {
    fn done(&self, _: Step, done: u64, of: u64) -> bool {
        assert!(done <= of, "{done} of {of}");
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// Turns a bit of a file.
fn flip(path: &std::path::Path, offset: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
}
