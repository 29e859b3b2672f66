//! Reads hard plots: checks nonces against what their account gives, and shows a scoop of all of them.

use super::make::group_of;
use super::name::{GROUP, Name};
use crate::disk;
use crate::error::{PlotError, Problem};
use adit_primitives::space::{SCOOP_BYTES, SCOOPS, SpaceEngine};
use std::io;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A whole plot.
#[derive(Debug)]
pub struct HardPlot {
    path: PathBuf,
    name: Name,
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

    /// Makes some nonces again, spread evenly over the plot, and compares all their scoops. `told` hears how many groups of nonces are done, and may
    /// end it.
    pub fn check(
        &self,
        engine: &dyn SpaceEngine,
        groups: u64,
        told: &dyn Fn(u64) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let file = disk::open(&self.path)?;
        let all = self.name.nonces.div_ceil(GROUP as u64);
        let groups = groups.clamp(1, all);
        for number in 0..groups {
            // The first and the last are among them.
            let group = u128::from(number) * u128::from(all - 1) / u128::from((groups - 1).max(1));
            let first = u64::try_from(group).expect("it is one of the groups") * GROUP as u64;
            let count = usize::try_from((GROUP as u64).min(self.name.nonces - first)).expect("a group");
            let want = group_of(engine, self.name.account, self.name.start + first);
            let mut found = vec![0; count * SCOOP_BYTES];
            for (scoop, want) in (0..SCOOPS as u64).zip(want.chunks(GROUP * SCOOP_BYTES)) {
                let offset = self.name.at(scoop, first);
                file.read_exact_at(&mut found, offset)?;
                if let Some(place) = found.iter().zip(want).position(|(found, want)| found != want) {
                    return Err(Problem::Wrong { what: "scoops", offset: offset + place as u64 });
                }
            }
            told(number + 1)?;
        }
        Ok(())
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
