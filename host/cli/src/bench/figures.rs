//! What the system says that a process takes.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Where the time of threads is counted that are no more.
const ENDED: &str = "threads that ended";

/// What a process has taken so far.
pub struct Figures {
    pub cpu: Duration,
    /// The threads that run, by their numbers.
    threads: BTreeMap<OsString, (String, Duration)>,
    pub memory_bytes: u64,
    /// The most that it had since its start.
    pub memory_peak_bytes: u64,
    pub descriptors: usize,
}

/// The CPU time that a process has taken between two looks.
pub struct Spent {
    pub cpu: Duration,
    /// By the threads' names, those that differ in a number together, and [`ENDED`].
    pub threads: BTreeMap<String, Duration>,
}

impl Figures {
    /// Reads what a process has taken.
    pub fn of(process: u32) -> Result<Self> {
        let process = PathBuf::from(format!("/proc/{process}"));
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(process.join("task")).context("the process has ended, or there is no /proc")? {
            // A thread may end while it is looked at.
            let task = task?;
            let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
            threads.insert(task.file_name(), thread(&stat).context("/proc has an unknown form")?);
        }
        let (_, cpu) = thread(&fs::read_to_string(process.join("stat"))?).context("/proc has an unknown form")?;
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
    pub fn since(&self, before: &Self) -> Spent {
        let cpu = self.cpu.saturating_sub(before.cpu);
        let mut threads: BTreeMap<String, Duration> = BTreeMap::new();
        for (number, (name, now)) in &self.threads {
            // A number may be another thread's by now.
            let then =
                before.threads.get(number).filter(|(known, _)| known == name).map_or(Duration::ZERO, |(_, cpu)| *cpu);
            *threads.entry(name.clone()).or_default() += now.saturating_sub(then);
        }
        let living = threads.values().sum();
        threads.insert(ENDED.to_owned(), cpu.saturating_sub(living));
        Spent { cpu, threads }
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
    use super::{ENDED, Figures, thread};
    use std::time::Duration;

    #[test]
    fn a_thread_that_ends_takes_nothing_from_those_of_its_name() {
        let figures = |cpu, threads: &[(&str, u64)]| {
            let threads = threads
                .iter()
                .map(|(number, cpu)| ((*number).into(), ("worker".to_owned(), Duration::from_secs(*cpu))));
            let (memory_bytes, memory_peak_bytes, descriptors) = (0, 0, 0);
            Figures {
                cpu: Duration::from_secs(cpu),
                threads: threads.collect(),
                memory_bytes,
                memory_peak_bytes,
                descriptors,
            }
        };
        let spent = figures(39, &[("1", 7), ("3", 1)]).since(&figures(35, &[("1", 5), ("2", 30)]));
        let of = |name: &str| spent.threads[name].as_secs();
        assert_eq!((spent.cpu.as_secs(), of("worker"), of(ENDED)), (4, 3, 1));
    }

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
