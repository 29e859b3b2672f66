//! `adit bench pool`: what a pool bears, seen from its miners.
//!
//! The pool is `adit up` in a process of its own, with its own chain, the real log of shares and the real books on disk; what it takes is
//! read from `/proc`. The miners are threads of this process: they speak Stratum over loopback and send shares that they
//! really hashed. So neither side's cost is counted as the other's, though both share the machine's cores.
//!
//! The limit of shares a second for each worker is lifted. Difficulty is as low as it gets, and miners stay on the first job that they were
//! given for it: this measures the way of a share, not hashing.
//!
//! Reading order: [`run`], then [`process`] for the pool, [`crew`] for the threads of miners, [`miner`] for one of them, [`counts`] for what the
//! pool says of itself.

mod counts;
mod crew;
mod miner;
mod process;

use super::figures::{Figures, Spent};
use super::grouped;
use adit_node::clock::Clock;
use anyhow::{Context, Result, ensure};
use counts::Counts;
use crew::{Crew, Pace, Tally};
use miner::Host;
pub use process::free_port;
use process::{PoolProcess, PoolShape};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Descriptors that either side needs besides one for each connection.
const DESCRIPTORS_BESIDES: u64 = 200;

/// How long the pool rests before its memory is read: what just ended is given back.
const REST: Duration = Duration::from_secs(2);

/// A new job while connections idle, or come and go, at this pace.
const SHORT_JOB: Duration = Duration::from_secs(5);

/// For how long miners work before the first storm, and how many shares of each wait for their answers.
const WORK_TIME: Duration = Duration::from_secs(20);
const WORK_WINDOW: usize = 8;

/// Within which the pool forgets the shares of jobs that were replaced: it knows those for three minutes.
const FORGETTING_TIME: Duration = Duration::from_secs(240);

/// A block takes 16 hashes to one of these powers: none is found, or some a second.
const BLOCK_DIGITS: u8 = 12;
const BLOCK_DIGITS_FEW: u8 = 5;

/// The time after which no job was asked for anew.
const LONG_JOB: Duration = Duration::from_secs(600);

#[derive(clap::Args)]
pub struct PoolBenchArguments {
    /// Miners that send shares.
    #[arg(long, default_value_t = 64, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// How many shares a second they send together, evenly; without it as many as are answered.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    shares_per_second: Option<u32>,
    /// Without a pace, how many shares of each miner wait for their answers.
    #[arg(long, default_value_t = 32, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=4_000))]
    window: u16,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Has the miners find blocks, each of about a million hashes, and tells how soon those are on their way to the node.
    #[arg(long)]
    blocks: bool,
    /// Instead: so many miners that log in and then only listen.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["churn", "shares_per_second", "blocks"], value_parser = clap::value_parser!(u32).range(1..=100_000))]
    idle: Option<u32>,
    /// Instead: so many miners at once that connect, log in, send one share and go, again and again for the time given: a storm, and a rest after it.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["shares_per_second", "blocks"], value_parser = clap::value_parser!(u32).range(1..=100_000))]
    churn: Option<u32>,
    /// How many storms.
    #[arg(long, default_value_t = 2, value_name = "COUNT", requires = "churn", value_parser = clap::value_parser!(u8).range(1..=100))]
    storms: u8,
    /// Threads of miners.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
}

/// Runs the pool and its miners, and prints what was seen.
pub fn run(arguments: &PoolBenchArguments) -> Result<ExitCode> {
    let miners = arguments.idle.or(arguments.churn).unwrap_or(arguments.connections);
    raise_descriptors(u64::from(miners) + DESCRIPTORS_BESIDES)?;
    let job = if arguments.idle.or(arguments.churn).is_some() { SHORT_JOB } else { LONG_JOB };
    let block_digits = if arguments.blocks { BLOCK_DIGITS_FEW } else { BLOCK_DIGITS };
    let pool = PoolProcess::start(&PoolShape { connections: miners, block_digits, job })?;
    let bench = Bench { pool, arguments, clock: crate::run::clock() };
    match (arguments.idle, arguments.churn) {
        (Some(count), _) => bench.idle(count),
        (_, Some(count)) => bench.churn(count),
        _ => bench.shares(),
    }?;
    Ok(ExitCode::SUCCESS)
}

struct Bench<'a> {
    pool: PoolProcess,
    arguments: &'a PoolBenchArguments,
    clock: Clock,
}

impl Bench<'_> {
    fn shares(&self) -> Result<()> {
        let mut crews = self.crews(self.arguments.connections)?;
        let pace = match self.arguments.shares_per_second {
            Some(rate) => Pace::PerSecond(f64::from(rate) / f64::from(self.arguments.threads)),
            None => Pace::Window(self.arguments.window.into()),
        };
        let run = self.measure(&mut crews, pace)?;
        let accepted = run.tally.latencies_us.len();
        let seconds = run.wall.as_secs_f64();
        println!("miners                      {:>12}", grouped(self.arguments.connections.into()));
        println!("shares accepted and logged  {:>12}", grouped(accepted as u64));
        println!("  a second                  {:>12}", rate(accepted, seconds));
        println!("  a CPU second of the pool  {:>12}", rate(accepted, run.spent.cpu.as_secs_f64()));
        run.tally.print_answers();
        Counts::read(&self.pool.metrics()?).print(self.arguments.blocks);
        run.print_costs();
        Ok(())
    }

    fn idle(&self, count: u32) -> Result<()> {
        std::thread::sleep(REST);
        let before = self.pool.figures()?;
        let start = Instant::now();
        let mut crews = self.crews(count)?;
        let took = start.elapsed();
        // They hear while the pool rests: what waited in their sockets would count as a job that came to all at once.
        self.measure_for(&mut crews, Pace::Listen, REST)?;
        let after = self.pool.figures()?;
        let grown = after.memory_bytes.saturating_sub(before.memory_bytes);
        println!("idle miners                 {:>12}", grouped(count.into()));
        println!("  logged in within          {:>12.2?}", took);
        println!("  bytes for each            {:>12}", grouped(grown / u64::from(count)));
        println!("  pool's memory, MB         {:>12}", grouped(after.memory_bytes / 1_000_000));
        let run = self.measure(&mut crews, Pace::Listen)?;
        let (heard, span) = run.tally.widest_job();
        println!("a new job reached           {:>12}", grouped(heard as u64));
        println!("  from the first to the last{:>12.2?}", span);
        run.print_costs();
        Ok(())
    }

    /// What any work leaves, names that are known and full buffers of the log, is there before the storms: what those add is what is looked for.
    fn churn(&self, count: u32) -> Result<()> {
        let time = Duration::from_secs(self.arguments.seconds.into());
        println!("miners at once              {:>12}", grouped(count.into()));
        println!("pool as it starts           {:>12}", self.rested()?.held());
        let work = self.measure_for(&mut self.crews(count)?, Pace::Window(WORK_WINDOW), WORK_TIME)?;
        println!("all at work: shares         {:>12}", grouped(work.tally.latencies_us.len() as u64));
        println!("pool at rest                {:>12}", self.rested()?.held());
        let mut all = Tally::default();
        for storm in 1..=self.arguments.storms {
            let run = self.visits(count, time)?;
            println!("storm {storm}: came, sent and went {:>12}", grouped(run.tally.visits));
            println!("  a second                  {:>12}", rate(run.tally.visits, run.wall.as_secs_f64()));
            println!("  broken off                {:>12}", grouped(run.tally.broken));
            run.print_costs();
            println!("pool at rest                {:>12}", self.rested()?.held());
            all = all.and(run.tally);
        }
        println!("all visits                  {:>12}", grouped(all.visits));
        all.print_answers();
        Ok(())
    }

    /// Reads what the pool has taken when it has nothing left of what it keeps of shares for a time.
    fn rested(&self) -> Result<Figures> {
        std::thread::sleep(REST);
        let start = Instant::now();
        while Counts::read(&self.pool.metrics()?).shares_remembered > 0 {
            ensure!(start.elapsed() < FORGETTING_TIME, "shares are remembered after {FORGETTING_TIME:?}");
            std::thread::sleep(REST);
        }
        self.pool.figures()
    }

    fn visits(&self, count: u32, time: Duration) -> Result<Run> {
        let mut crews = self.parted(count, Crew::visitors)?;
        self.measure_for(&mut crews, Pace::Visit, time)
    }

    fn crews(&self, count: u32) -> Result<Vec<Crew>> {
        self.parted(count, Crew::log_in)
    }

    /// Makes a crew on each thread.
    fn parted(&self, count: u32, make: impl Fn(Arc<Host>, u32, u32) -> Result<Crew> + Sync) -> Result<Vec<Crew>> {
        let host = Arc::new(self.pool.host(Arc::clone(&self.clock))?);
        let threads = u32::from(self.arguments.threads);
        let make = &make;
        std::thread::scope(|scope| {
            let part = |number: u32| {
                let (first, end) = (count * number / threads, count * (number + 1) / threads);
                let host = Arc::clone(&host);
                scope.spawn(move || make(host, first, end - first))
            };
            let parts: Vec<_> = (0..threads).map(part).collect();
            parts.into_iter().map(|part| part.join().expect("a crew does not panic")).collect()
        })
    }

    fn measure(&self, crews: &mut [Crew], pace: Pace) -> Result<Run> {
        self.measure_for(crews, pace, Duration::from_secs(self.arguments.seconds.into()))
    }

    fn measure_for(&self, crews: &mut [Crew], pace: Pace, time: Duration) -> Result<Run> {
        let (before, start) = (self.pool.figures()?, Instant::now());
        let tallies: Result<Vec<Tally>> = std::thread::scope(|scope| {
            let parts: Vec<_> = crews.iter_mut().map(|crew| scope.spawn(move || crew.run(pace, time))).collect();
            parts.into_iter().map(|part| part.join().expect("a crew does not panic")).collect()
        });
        let (wall, after) = (start.elapsed(), self.pool.figures()?);
        let tally = tallies?.into_iter().fold(Tally::default(), Tally::and);
        Ok(Run { tally, wall, spent: after.since(&before), memory_bytes: after.memory_bytes })
    }
}

/// What one measurement brought.
struct Run {
    tally: Tally,
    wall: Duration,
    spent: Spent,
    memory_bytes: u64,
}

impl Run {
    fn print_costs(&self) {
        let share = |cpu: Duration| cpu.as_secs_f64() / self.wall.as_secs_f64();
        println!("cores taken by the pool     {:>12.2}", share(self.spent.cpu));
        for (name, cpu) in self.spent.threads.iter().filter(|(_, cpu)| share(**cpu) >= 0.005) {
            println!("  {name:<26}{:>12.2}", share(*cpu));
        }
        println!("cores taken by the miners   {:>12.2}", share(self.tally.cpu));
        println!("pool's memory, MB           {:>12}", grouped(self.memory_bytes / 1_000_000));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a figure to be shown")]
fn rate(count: impl TryInto<u64>, seconds: f64) -> String {
    let count = count.try_into().unwrap_or_default() as f64;
    grouped((count / seconds.max(0.001)) as u64)
}

/// Raises how many descriptors this process and the pool may hold: each has one end of every connection.
fn raise_descriptors(wanted: u64) -> Result<()> {
    let most = crate::pool::raise_descriptors().context("the limit of descriptors stays as it is")?;
    ensure!(
        wanted <= most,
        "{wanted} descriptors are needed, this system allows {most}: fewer miners, or `ulimit -Hn {wanted}` as root"
    );
    Ok(())
}
