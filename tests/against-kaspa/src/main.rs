//! Adit's placing of blocks beside rusty-kaspa's: the same DAGs, one thread, one run.
//!
//! Prints CPU time for each block, medians of several rounds taken in turn, and how many times faster Adit is. First every selected parent
//! and blue score that rusty-kaspa gives is compared with those recorded, and Adit's merge sets and answers with rusty-kaspa's: nothing that is wrong is timed.
//! It measures; it never judges whether a ratio is good enough.
//!
//! Reading order: [`dag`] what is placed, [`kaspa`] how rusty-kaspa places it, [`adit`] how we do.

mod adit;
mod dag;
mod kaspa;

use dag::Dag;
use rustix::time::{ClockId, clock_gettime};

/// Rounds of each measurement; the median is printed.
const ROUNDS: usize = 7;

/// A measured way to do something with a whole DAG, whose placement by rusty-kaspa is known.
struct Contender {
    name: &'static str,
    run: fn(&Dag, &[kaspa::Placed]),
}

/// Compared with each other: rusty-kaspa's first. Arguments name those to run alone, for a profiler. To measure another way of placing, add it here.
const REACHABILITY: &[Contender] = &[
    Contender { name: "rusty-kaspa", run: |dag, placed| drop(kaspa::reachability(dag, placed)) },
    Contender { name: "adit", run: |dag, placed| drop(adit::reachability(dag, placed)) },
];
const PLACEMENT: &[Contender] = &[
    Contender { name: "rusty-kaspa", run: |dag, _| drop(kaspa::place(dag)) },
    Contender { name: "adit", run: |dag, _| drop(adit::sandboxed(dag)) },
    Contender { name: "adit, native", run: |dag, _| drop(adit::native(dag)) },
];

fn main() {
    let recorded = [("noattack-4091-blocks", 4), ("wide-4091-blocks", 18)];
    let recorded = recorded.into_iter().filter_map(|(name, k)| Dag::recorded(name, k));
    let generated = (12..=16).map(|bits| Dag::generated(1 << bits, 10, 18));
    for dag in recorded.chain(generated) {
        let placed = kaspa::place(&dag);
        dag.check(&placed);
        adit::check(&dag, &placed);
        adit::check_placement(&dag, &placed);
        let merged: usize = placed.iter().map(|block| block.merged.len()).sum();
        println!("{}: {} blocks, k = {}, {merged} merged", dag.name, dag.parents.len(), dag.k);
        compare("reachability", REACHABILITY, &dag, &placed);
        compare("placement", PLACEMENT, &dag, &placed);
    }
}

fn compare(what: &str, contenders: &[Contender], dag: &Dag, placed: &[kaspa::Placed]) {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let contenders: Vec<&Contender> =
        contenders.iter().filter(|contender| only.is_empty() || only.iter().any(|name| name == contender.name)).collect();
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let start = cpu_nanos();
            (contender.run)(dag, placed);
            times.push(cpu_nanos() - start);
        }
    }
    let mut first = None;
    for (contender, times) in contenders.iter().zip(&mut times) {
        times.sort_unstable();
        let nanos = times[ROUNDS / 2] as f64 / dag.parents.len() as f64;
        let ratio = *first.get_or_insert(nanos) / nanos;
        println!("  {what:<12} {:<12} {nanos:>8.0} ns a block, {ratio:>5.2} x", contender.name);
    }
}

/// Returns the CPU time that this thread has used.
fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).expect("not negative") * 1_000_000_000
        + u64::try_from(time.tv_nsec).expect("not negative")
}
