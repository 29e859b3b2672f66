//! Backends against the crates that everybody uses, in one run: what `adit bench` prints.

use crate::NativeEngine;
use crate::bundled::Algorithm;
use crate::choose::{Clock, measure, sample_job};
use adit_primitives::engine::Fault;
use std::time::Duration;

/// The speed of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub backend: String,
    /// How many inputs were searched together: rolled versions share work in some backends.
    pub inputs: u8,
    /// The median over the rounds.
    pub hashes_per_second: u64,
    /// Times the baseline of the same round, in hundredths, the median over the rounds.
    pub ratio_percent: u64,
}

/// How to compare.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Each round measures every backend once, so that a slow spell of the machine hits all alike.
    pub rounds: usize,
    /// About how long one measurement takes.
    pub budget: Duration,
    /// The number of rolled versions in the second measurement of each backend; 1 leaves it out.
    pub rolled: u8,
}

/// Measures the baseline, which is the first row, and every kernel of an algorithm that runs here.
pub fn compare(algorithm: &Algorithm, plan: Plan, clock: Clock<'_>) -> Result<Vec<Row>, Fault> {
    let mut runs = Vec::new();
    let counts = if plan.rolled > 1 { &[1, plan.rolled][..] } else { &[1] };
    let kernels = algorithm.kernels.iter().flat_map(|table| counts.iter().map(move |inputs| (*table, *inputs)));
    for (table, inputs) in std::iter::once((algorithm.baseline, 1)).chain(kernels) {
        // What this machine cannot run has no row.
        if let Ok(engine) = NativeEngine::new(table) {
            runs.push((inputs, engine, Vec::new()));
        }
    }
    for _ in 0..plan.rounds {
        for (inputs, engine, speeds) in &mut runs {
            speeds.push(measure(engine, &sample_job(*inputs), plan.budget, clock)?);
        }
    }
    let baseline = runs.first().map_or_else(Vec::new, |(.., speeds)| speeds.clone());
    let row = |(inputs, engine, speeds): (u8, NativeEngine, Vec<u64>)| {
        let ratios = speeds.iter().zip(&baseline).map(|(own, base)| own.saturating_mul(100) / base.max(&1));
        let ratio_percent = median(ratios.collect());
        Row { backend: engine.backend(), inputs, hashes_per_second: median(speeds), ratio_percent }
    };
    Ok(runs.into_iter().map(row).collect())
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}
