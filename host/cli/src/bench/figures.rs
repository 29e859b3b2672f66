//! What the system says that a process takes.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Where the time of threads is counted that are no more.
const ENDED: &str = "threads that ended";

/// What a process has taken so far, or between two looks.
pub struct Figures {
    pub cpu: Duration,
    /// By the threads' names, those that differ in a number together, and [`ENDED`].
    pub threads: BTreeMap<String, Duration>,
    pub memory_bytes: u64,
    /// The most that it had since its start.
    pub memory_peak_bytes: u64,
    pub descriptors: usize,
}

impl Figures {
    /// Reads what a process has taken.
    pub fn of(process: u32) -> Result<Self> {
        let process = PathBuf::from(format!("/proc/{process}"));
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(process.join("task")).context("the process has ended, or there is no /proc")? {
            // A thread may end while it is looked at.
            let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
            let (name, cpu) = thread(&stat).context("/proc has an unknown form")?;
            *threads.entry(name).or_default() += cpu;
        }
        let (_, cpu) = thread(&fs::read_to_string(process.join("stat"))?).context("/proc has an unknown form")?;
        let living = threads.values().sum();
        threads.insert(ENDED.to_owned(), cpu.saturating_sub(living));
        let status = fs::read_to_string(process.join("status"))?;
        let bytes = |name| {
            let text = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = text.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
            Ok::<_, anyhow::Error>(kilobytes.context("/proc tells no memory")? * 1024)
        };
        Ok(Self {
            cpu,
            threads,
            memory_bytes: bytes("VmRSS:")?,
            memory_peak_bytes: bytes("VmHWM:")?,
            descriptors: fs::read_dir(process.join("fd"))?.count(),
        })
    }

    /// Says what the process holds.
    pub fn held(&self) -> String {
        format!("{} MB, {} descriptors", self.memory_bytes / 1_000_000, self.descriptors)
    }

    /// Returns the CPU time that was spent since.
    pub fn since(&self, before: &Self) -> Self {
        let spent = |(name, cpu): (&String, &Duration)| {
            let then = before.threads.get(name).copied().unwrap_or_default();
            (name.clone(), cpu.saturating_sub(then))
        };
        let threads: BTreeMap<_, _> = self.threads.iter().map(spent).collect();
        Self { cpu: self.cpu.saturating_sub(before.cpu), threads, ..*self }
    }
}

/// Reads a line of `/proc/…/stat`, of a process or of a thread: its name, and what it ran as a program and in the kernel. See proc_pid_stat(5).
fn thread(stat: &str) -> Option<(String, Duration)> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let name = head.split_once('(')?.1.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
    // The state is the third field; user and system time are the fourteenth and the fifteenth.
    let ticks: u64 = tail.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or_default()).sum();
    let a_second = rustix::param::clock_ticks_per_second().max(1);
    Some((name.to_owned(), Duration::from_millis(ticks * 1000 / a_second)))
}

#[cfg(test)]
mod tests {
    use super::thread;
    use std::time::Duration;

    #[test]
    fn a_threads_name_loses_its_number_and_its_times_are_summed() {
        let stat = "7 (adit-check-12) S 1 7 7 0 -1 64 1 0 0 0 300 200 0 0 20 0 9 0 100";
        let a_second = rustix::param::clock_ticks_per_second();
        assert_eq!(thread(stat), Some(("adit-check".to_owned(), Duration::from_millis(500_000 / a_second))));
    }

    #[test]
    fn a_name_with_brackets_is_read_to_its_end() {
        let stat = "7 (a) (b) S 1 7 7 0 -1 64 1 0 0 0 0 0 0 0 20 0 9 0 100";
        assert_eq!(thread(stat), Some(("a) (b".to_owned(), Duration::ZERO)));
    }
}
