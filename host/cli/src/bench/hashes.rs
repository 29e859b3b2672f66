//! How fast each hash plugin searches: native kernels, the sandbox, and the crate that everybody uses, in the same rounds.

use super::{BenchArguments, grouped, median};
use crate::engine::cpu_time;
use adit_kernels::bench::{Plan, Row, compare};
use adit_kernels::choose::{measure, sample_job};
use adit_kernels::{NativeEngine, algorithm};
use adit_plugin_host::{Kind, PluginSource, Sandbox};
use adit_primitives::engine::HashEngine;
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;

/// Prints a row for each backend of each hash plugin, the sandbox last.
pub fn print(arguments: &BenchArguments, sandbox: &Arc<Sandbox>) -> Result<()> {
    let budget = Duration::from_millis(arguments.budget);
    println!("\nsearch over headers of 80 bytes");
    println!("{:<10} {:<28} {:>16} {:>10}", "plugin", "backend", "hashes a second", "ratio");
    for bundled in adit_plugin_bundle::bundled() {
        let plugin = sandbox.load(&PluginSource { bytes: bundled.bytes.to_vec(), pinned: None })?;
        if plugin.info().kind != Kind::Hash {
            continue;
        }
        let mut baseline = None;
        if let Some(algorithm) = algorithm(bundled.name) {
            let rows = compare(algorithm, Plan { rounds: arguments.rounds.into(), budget, rolled: 16 }, &cpu_time)?;
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
    Ok(())
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
