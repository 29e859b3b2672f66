//! How fast each hash plugin searches: native kernels, the plugin's own source built natively, the sandbox, and the crate that everybody
//! uses, in the same rounds.

use super::{BenchArguments, grouped};
use crate::engine::cpu_time;
use adit_kernels::algorithm;
use adit_kernels::bench::{Contender, Plan, Row, compare, contenders};
use adit_plugin_host::{Kind, PluginSource, Sandbox};
use adit_plugin_sdk::testing::NativeHash;
use adit_plugin_sdk::{HashAlgorithm, NoConfig};
use adit_primitives::engine::HashEngine;
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;

/// How many versions a kernel searches at once in its second row.
const ROLLED: u8 = 16;

const SOURCE: &str = "source, native at 128 bits";
const SANDBOX: &str = "sandbox";

/// Prints a row for each backend of each hash plugin, the sandbox last.
pub fn print(arguments: &BenchArguments, sandbox: &Arc<Sandbox>) -> Result<()> {
    let plan = Plan { rounds: arguments.rounds.into(), budget: Duration::from_millis(arguments.budget) };
    println!("\nsearch over headers of 80 bytes");
    println!("{:<10} {:<28} {:>16} {:>10} {:>12}", "plugin", "backend", "hashes a second", "of crate", "of source");
    for bundled in adit_plugin_bundle::bundled() {
        let plugin = sandbox.load(&PluginSource { bytes: bundled.bytes.to_vec(), pinned: None })?;
        if plugin.info().kind != Kind::Hash {
            continue;
        }
        let mut all = algorithm(bundled.name).map_or_else(Vec::new, |algorithm| contenders(algorithm, ROLLED));
        all.extend(source(bundled.name).map(|engine| contender(SOURCE, engine)));
        all.push(contender(SANDBOX, Box::new(plugin.hash("{}")?)));
        let rows = compare(all, plan, &cpu_time)?;
        let baseline = algorithm(bundled.name).and(rows.first());
        let source = rows.iter().find(|row| row.backend == SOURCE);
        for row in &rows {
            print_row(bundled.name, row, baseline, source.filter(|_| row.backend == SANDBOX));
        }
    }
    Ok(())
}

/// Returns the source of a bundled plugin, compiled with this program: the same vectors of 128 bits as its component has.
fn source(name: &str) -> Option<Box<dyn HashEngine>> {
    match name {
        "blake3" => native::<adit_plugin_blake3::Blake3>(),
        "kheavyhash" => native::<adit_plugin_kheavyhash::KHeavyHash>(),
        "scrypt" => native::<adit_plugin_scrypt::Scrypt>(),
        "sha256d" => native::<adit_plugin_sha256d::Sha256d>(),
        _ => None,
    }
}

fn native<H: HashAlgorithm<Config = NoConfig> + Send + 'static>() -> Option<Box<dyn HashEngine>> {
    Some(Box::new(NativeHash(H::new(NoConfig {}).ok()?)))
}

fn contender(backend: &str, engine: Box<dyn HashEngine>) -> Contender {
    Contender { backend: backend.to_owned(), inputs: 1, engine }
}

fn print_row(plugin: &str, row: &Row, baseline: Option<&Row>, source: Option<&Row>) {
    let backend = match row.inputs {
        1 => row.backend.clone(),
        inputs => format!("{} ({inputs} versions)", row.backend),
    };
    let [of_crate, of_source] = [baseline, source].map(|base| {
        let percent = base.map(|base| row.percent_of(base));
        percent.map_or_else(String::new, |percent| format!("{}.{:02}", percent / 100, percent % 100))
    });
    println!("{plugin:<10} {backend:<28} {:>16} {of_crate:>10} {of_source:>12}", grouped(row.hashes_per_second()));
}
