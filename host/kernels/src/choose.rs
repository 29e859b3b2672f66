//! The fastest backend on this machine, by measurement: a CPU feature says that a backend runs, not that it is fast.

use crate::NativeEngine;
use adit_primitives::contract::SearchJob;
use adit_primitives::engine::{Fault, HashEngine};
use adit_primitives::kernel::KernelTable;
use adit_primitives::{Target, U256};
use std::time::Duration;

/// A clock handed in: time since any fixed moment. CPU time of the thread where the system has it.
pub type Clock<'a> = &'a dyn Fn() -> Duration;

/// A measurement ends with this many nonces, even where the clock stands still.
const NONCES_MAX: u64 = 1 << 26;

/// Returns a job that finds nothing: headers of 80 bytes with the nonce at 76, `inputs` of them, as rolled versions would differ.
pub fn sample_job(inputs: u8) -> SearchJob {
    let header = |version| {
        let mut bytes: Vec<u8> = (0..80).collect();
        bytes[1] = version;
        bytes
    };
    SearchJob {
        inputs: (0..inputs).map(header).collect(),
        nonce_offset: 76,
        nonce_bytes: 4,
        target: Target(U256::ZERO),
    }
}

/// Measures how many hashes a second an engine searches, within about twice `budget`.
pub fn measure(engine: &mut dyn HashEngine, job: &SearchJob, budget: Duration, clock: Clock<'_>) -> Result<u64, Fault> {
    let mut count = 64;
    loop {
        let start = clock();
        let scanned = engine.search(job, 0, count)?.scanned;
        let elapsed = clock().saturating_sub(start);
        if elapsed >= budget / 2 || count >= NONCES_MAX {
            let hashes = u128::from(scanned) * job.inputs.len() as u128;
            let per_second = hashes * 1_000_000_000 / elapsed.as_nanos().max(1);
            return Ok(u64::try_from(per_second).unwrap_or(u64::MAX));
        }
        count *= 2;
    }
}

/// Returns the kernel that searches fastest, given about `budget` of time for each; `None` where none works.
pub fn fastest(tables: &[&'static KernelTable], budget: Duration, clock: Clock<'_>) -> Option<&'static KernelTable> {
    let job = sample_job(1);
    let speed = |table| {
        let mut engine = NativeEngine::new(table).ok()?;
        // The better of two: what else ran on the core in one of them does not decide.
        let runs = [(); 2].map(|()| measure(&mut engine, &job, budget / 4, clock).ok());
        runs.into_iter().flatten().max()
    };
    let speeds = tables.iter().filter_map(|table| Some((speed(table)?, *table)));
    speeds.max_by_key(|(speed, _)| *speed).map(|(_, table)| table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidates;
    use std::cell::Cell;

    #[test]
    fn the_fastest_is_one_of_the_candidates() {
        let ticks = Cell::new(Duration::ZERO);
        let clock = || ticks.replace(ticks.get() + Duration::from_millis(1));
        let tables = candidates("sha256d");
        let chosen = fastest(&tables, Duration::from_millis(1), &clock).unwrap();
        assert!(tables.iter().any(|table| table.backend == chosen.backend));
    }

    #[test]
    fn nothing_is_chosen_from_nothing() {
        assert!(fastest(&[], Duration::from_millis(1), &|| Duration::ZERO).is_none());
    }
}
