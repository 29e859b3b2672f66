//! Engines beside each other, in one run: what `adit bench` prints.

use crate::NativeEngine;
use crate::bundled::Algorithm;
use crate::choose::{Clock, measure, sample_job};
use adit_primitives::engine::{Fault, HashEngine};
use std::time::Duration;

/// What is measured: an engine, with how many inputs it searches.
pub struct Contender {
    pub backend: String,
    /// Rolled versions share work in some backends.
    pub inputs: u8,
    pub engine: Box<dyn HashEngine>,
}

/// The speed of one contender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub backend: String,
    pub inputs: u8,
    /// Hashes a second, in each round.
    speeds: Vec<u64>,
}

/// How to compare.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Each round measures every contender once, so that a slow spell of the machine hits all alike.
    pub rounds: usize,
    /// About how long one measurement takes.
    pub budget: Duration,
}

/// Returns the baseline of an algorithm and every kernel of it that runs here, each kernel once more with `rolled` versions where these
/// are more than one.
pub fn contenders(algorithm: &Algorithm, rolled: u8) -> Vec<Contender> {
    let counts = if rolled > 1 { &[1, rolled][..] } else { &[1] };
    let kernels = algorithm.kernels.iter().flat_map(|table| counts.iter().map(move |inputs| (*table, *inputs)));
    let all = std::iter::once((algorithm.baseline, 1)).chain(kernels);
    // What this machine cannot run is left out.
    let running = all.filter_map(|(table, inputs)| Some((NativeEngine::new(table).ok()?, inputs)));
    running.map(|(engine, inputs)| Contender { backend: engine.backend(), inputs, engine: Box::new(engine) }).collect()
}

/// Measures contenders in turns. A row for each, in their order.
pub fn compare(contenders: Vec<Contender>, plan: Plan, clock: Clock<'_>) -> Result<Vec<Row>, Fault> {
    let mut runs: Vec<_> = contenders.into_iter().map(|contender| (contender, Vec::new())).collect();
    for _ in 0..plan.rounds {
        for (contender, speeds) in &mut runs {
            speeds.push(measure(&mut *contender.engine, &sample_job(contender.inputs), plan.budget, clock)?);
        }
    }
    let row = |(contender, speeds): (Contender, _)| {
        let Contender { backend, inputs, .. } = contender;
        Row { backend, inputs, speeds }
    };
    Ok(runs.into_iter().map(row).collect())
}

impl Row {
    /// Returns the median over the rounds.
    pub fn hashes_per_second(&self) -> u64 {
        median(self.speeds.clone())
    }

    /// Returns how many times the speed of `other` in the same round this is, in hundredths, the median over the rounds.
    pub fn percent_of(&self, other: &Self) -> u64 {
        let rounds = self.speeds.iter().zip(&other.speeds);
        median(rounds.map(|(own, base)| own.saturating_mul(100) / base.max(&1)).collect())
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm;
    use std::cell::Cell;

    #[test]
    fn every_contender_is_measured_in_every_round() {
        let ticks = Cell::new(Duration::ZERO);
        let clock = || ticks.replace(ticks.get() + Duration::from_millis(1));
        let contenders = contenders(algorithm("sha256d").unwrap(), 4);
        let names: Vec<_> = contenders.iter().map(|contender| (contender.backend.clone(), contender.inputs)).collect();
        let rows = compare(contenders, Plan { rounds: 3, budget: Duration::from_millis(1) }, &clock).unwrap();
        assert_eq!(rows.iter().map(|row| (row.backend.clone(), row.inputs)).collect::<Vec<_>>(), names);
        // The clock counts calls: every measurement of 64 nonces takes a millisecond.
        assert!(rows.iter().all(|row| row.speeds == [64_000 * u64::from(row.inputs); 3]));
    }

    #[test]
    fn a_ratio_is_that_of_the_middle_round() {
        let row = |speeds| Row { backend: String::new(), inputs: 1, speeds };
        let (own, base) = (row(vec![10, 300, 90]), row(vec![10, 100, 100]));
        assert_eq!((own.hashes_per_second(), own.percent_of(&base), base.percent_of(&own)), (90, 100, 100));
    }
}
