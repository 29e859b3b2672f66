//! Reads hard plots: checks nonces against what their account gives, and shows a scoop of all of them.

use super::name::{GROUP, Name};
use super::pass::Makers;
use crate::disk::{self, Reading};
use crate::error::{PlotError, Problem};
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES, SpaceEngine};
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A whole plot.
#[derive(Debug)]
pub struct HardPlot {
    path: PathBuf,
    name: Name,
}

/// How a plot is checked.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// How many groups of [`GROUP`] nonces are made again: at least one, and no more than there are.
    pub groups: u64,
    /// How many threads make them; one at least.
    pub threads: usize,
    /// How much memory they may take at once.
    pub memory: u64,
}

impl HardPlot {
    /// Opens a plot by its name. Reads nothing of it.
    ///
    /// # Errors
    /// Where the name is none of a hard plot, or the length another than it says.
    pub fn open(path: &Path) -> Result<Self, PlotError> {
        let open = || {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<Name>().ok());
            let name = name.ok_or(Problem::Foreign)?;
            let (found, expected) = (disk::open(path)?.metadata()?.len(), name.bytes());
            if found != expected {
                return Err(Problem::Length { found, expected });
            }
            Ok(Self { path: path.to_owned(), name })
        };
        open().map_err(|problem: Problem| problem.at(path))
    }

    /// Returns which nonces it holds.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Makes some nonces again, spread evenly over the plot, and compares all their scoops, a pass over memory at a time. `told` hears how many bytes of
    /// nonces are done, and may end it.
    pub fn check(
        &self,
        engine: &dyn SpaceEngine,
        sample: Sample,
        told: &(dyn Fn(u64) -> Result<(), Problem> + Sync),
    ) -> Result<(), Problem> {
        let Sample { groups, threads, memory } = sample;
        let all = self.name.nonces.div_ceil(GROUP as u64);
        let groups = groups.clamp(1, all);
        let mut firsts = (0..groups).map(|number| {
            // The first and the last are among them.
            let group = u128::from(number) * u128::from(all - 1) / u128::from((groups - 1).max(1));
            u64::try_from(group).expect("it is one of the groups") * GROUP as u64
        });
        let makers = Makers { engine, name: self.name, threads, memory };
        let reading = Reading::open(&self.path)?;
        // A half when it is made, the other when it is compared.
        let halves = AtomicU64::new(0);
        let told = |more: u64| told(halves.fetch_add(more, Ordering::Relaxed).saturating_add(more) / 2);
        let made = |groups: u64| told(groups * (GROUP * NONCE_BYTES) as u64).is_ok();
        makers.run(&mut firsts, &made, |pass| {
            pass.compare(&reading, self.name, &|_| told(pass.nonces() * SCOOP_BYTES as u64))
        })
    }

    /// Shows a scoop of some nonces to `visit`, some at a time with the number of the first, on so many threads: see [`disk::stream`]. Nonces are
    /// counted from the plot's first.
    pub fn show(
        &self,
        scoop: u64,
        nonces: Range<u64>,
        threads: usize,
        visit: &(dyn Fn(u64, &[u8]) -> ControlFlow<()> + Sync),
    ) -> io::Result<()> {
        let from = self.name.at(scoop, 0);
        let part = self.name.at(scoop, nonces.start)..self.name.at(scoop, nonces.end.min(self.name.nonces));
        disk::stream(&self.path, part, SCOOP_BYTES, threads, &|at, scoops| {
            visit((at - from) / SCOOP_BYTES as u64, scoops)
        })
    }
}
