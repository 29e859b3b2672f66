//! What threads and the process use, where the system tells it in files: Linux. Elsewhere the answers are `None`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A thread whose processor time can be read by others.
#[derive(Debug, Clone)]
pub struct ThreadUsage(PathBuf);

impl ThreadUsage {
    /// Returns the calling thread.
    pub fn of_this_thread() -> Option<Self> {
        // The link names this thread by number, so that the path means the same to every reader.
        let thread = fs::read_link("/proc/thread-self").ok()?;
        Some(Self(PathBuf::from("/proc").join(thread).join("schedstat")))
    }

    /// Returns how long the thread has run on a processor.
    pub fn processor_time(&self) -> Option<Duration> {
        let text = fs::read_to_string(&self.0).ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
}

/// Returns how much memory the process holds, in bytes.
pub fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
