//! `adit bench`: what this machine reaches, in CPU time, against the crates that everybody uses.

use crate::engine::cpu_time;
use crate::sandbox;
use adit_kernels::bench::{Plan, Row, compare};
use adit_kernels::choose::{measure, sample_job};
use adit_kernels::{NativeEngine, algorithm};
use adit_plugin_host::{Kind, PluginSource};
use adit_primitives::engine::HashEngine;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
pub struct BenchArguments {
    /// The hash plugins to measure; all bundled ones unless told otherwise.
    plugins: Vec<String>,
    /// How often everything is measured: the median counts.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    rounds: usize,
    /// About how long one measurement takes, in milliseconds.
    #[arg(long, default_value_t = 200, value_name = "MILLISECONDS")]
    budget: u64,
}

/// Measures the hash plugins, natively and in the sandbox.
pub fn run(arguments: &BenchArguments) -> Result<ExitCode> {
    let sandbox = sandbox::open()?;
    let budget = Duration::from_millis(arguments.budget);
    println!("one core, CPU time, median of {} rounds; a search over headers of 80 bytes\n", arguments.rounds);
    println!("{:<10} {:<28} {:>16} {:>10}", "plugin", "backend", "hashes a second", "ratio");
    for bundled in adit_plugin_bundle::bundled() {
        if !arguments.plugins.is_empty() && !arguments.plugins.iter().any(|name| name == bundled.name) {
            continue;
        }
        let plugin = sandbox.load(&PluginSource { bytes: bundled.bytes.to_vec(), pinned: None })?;
        if plugin.info().kind != Kind::Hash {
            continue;
        }
        let mut baseline = None;
        if let Some(algorithm) = algorithm(bundled.name) {
            let rows = compare(algorithm, Plan { rounds: arguments.rounds, budget, rolled: 16 }, &cpu_time)?;
            rows.iter().for_each(|row| print_row(bundled.name, row));
            baseline = NativeEngine::new(algorithm.baseline).ok();
        }
        // The sandbox beside the baseline, in the same rounds: the machine's slow spells hit both alike.
        let mut hash = plugin.hash("{}")?;
        let mut speeds = Vec::new();
        let mut ratios = Vec::new();
        for _ in 0..arguments.rounds {
            let own = measure(&mut hash as &mut dyn HashEngine, &sample_job(1), budget, &cpu_time)?;
            speeds.push(own);
            if let Some(baseline) = &mut baseline {
                let base = measure(baseline, &sample_job(1), budget, &cpu_time)?;
                ratios.push(own.saturating_mul(100) / base.max(1));
            }
        }
        let row = Row {
            backend: "sandbox".to_owned(),
            inputs: 1,
            hashes_per_second: median(speeds),
            ratio_percent: median(ratios),
        };
        print_row(bundled.name, &row);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_row(plugin: &str, row: &Row) {
    let backend = match row.inputs {
        1 => row.backend.clone(),
        inputs => format!("{} ({inputs} versions)", row.backend),
    };
    let ratio = match row.ratio_percent {
        0 => String::new(),
        percent => format!("{}.{:02}", percent / 100, percent % 100),
    };
    println!("{plugin:<10} {backend:<28} {:>16} {ratio:>10}", grouped(row.hashes_per_second));
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// Writes a number with a comma after every third digit.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
