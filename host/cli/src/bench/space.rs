//! Proof of space: how fast plots are made and scanned, against the crates that everybody uses, and what an attacker without plots would need.

mod attack;
mod scoops;
mod verify;

use super::{grouped, median};
use crate::engine::{cpu_time, monotonic};
use crate::plot::parse_size;
use adit_kernels::space::{Backend, Baseline};
use adit_primitives::contract::space::{Challenge, PlotKind};
use adit_primitives::space::{LEAF_BYTES, NONCE_BYTES, SCOOP_BYTES, ScoreHash, SpaceEngine};
use adit_primitives::{Hash256, Target, Timestamp, U256};
use adit_space::disk::{Buffer, Reading};
use adit_space::farm::{Answer, Engines, Question, Scoring, Settings, THREADS};
use adit_space::plain::{self, PlainPlot};
use adit_space::{Collection, Farm, Silent, hard};
use anyhow::{Context, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct SpaceBenchArguments {
    /// How often everything is measured: the median counts.
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// The folder for plots that are made and removed again.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    dir: PathBuf,
    /// How large the plain plot is that is scanned from the disk.
    #[arg(long, value_parser = parse_size, default_value = "256MiB", value_name = "SIZE")]
    size: u64,
    /// Measure the cheapest attacker instead: one who makes what a challenge asks for when it is asked.
    #[arg(long)]
    attack: bool,
    /// For the attacker: how long a block takes.
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    block_time: u32,
    /// For the attacker: how long a challenge stands. What he makes once answers all of a block.
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    challenge_time: u32,
}

impl SpaceBenchArguments {
    /// Challenges between two blocks: one at least.
    fn rounds_of_a_block(&self) -> u32 {
        (self.block_time / self.challenge_time).max(1)
    }
}

/// Leaves and scoops that are scanned in memory at once: what the caches hold.
const SCANNED: usize = 1 << 20;

/// Plots that are opened at once.
const PLOTS: usize = 1_000;

/// Nonces of a hard plot that are proved as shares: as few as a plot holds.
const SHARES: u32 = 64;

/// Measures.
pub fn run(arguments: &SpaceBenchArguments) -> Result<ExitCode> {
    println!("one core, CPU time, median of {} rounds; ratios within each round", arguments.rounds);
    if arguments.attack {
        attack::run(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    in_memory(arguments.rounds);
    on_disk(arguments)?;
    verify::print(arguments.rounds, &crate::sandbox::open()?)?;
    Ok(ExitCode::SUCCESS)
}

/// What is measured of one engine: units a second in each round.
struct Row {
    name: &'static str,
    speeds: Vec<u64>,
}

/// Measures `work`, which does `count` units, with every engine in each round, and prints a row for each.
fn compare(what: &str, unit: &str, rounds: u16, count: u64, work: impl Fn(&dyn SpaceEngine)) {
    let backends = Backend::all();
    let engines: Vec<&dyn SpaceEngine> =
        std::iter::once(&Baseline as &dyn SpaceEngine).chain(backends.iter().map(|backend| backend as _)).collect();
    let mut rows: Vec<Row> = engines.iter().map(|engine| Row { name: engine.name(), speeds: Vec::new() }).collect();
    for _ in 0..rounds {
        for (row, engine) in rows.iter_mut().zip(&engines) {
            let start = cpu_time();
            work(*engine);
            row.speeds.push(per_second(count * engine_units(*engine, what), cpu_time().saturating_sub(start)));
        }
    }
    let base = rows[0].speeds.clone();
    println!("\n{what}");
    for row in rows {
        let ratios = row.speeds.iter().zip(&base).map(|(own, base)| own.saturating_mul(100) / base.max(&1)).collect();
        let ratio = median(ratios);
        let speed = grouped(median(row.speeds));
        println!("  {:<12} {speed:>14} {unit} {:>5}.{:02}", row.name, ratio / 100, ratio % 100);
    }
}

/// Nonces are made as many at a time as an engine has lanes; everything else is counted by the caller.
fn engine_units(engine: &dyn SpaceEngine, what: &str) -> u64 {
    if what == NONCES { engine.lanes() as u64 } else { 1 }
}

const NONCES: &str = "PoC2 nonces made";

fn per_second(count: u64, time: Duration) -> u64 {
    let per_second = u128::from(count) * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(per_second).unwrap_or(u64::MAX)
}

fn in_memory(rounds: u16) {
    let count = SCANNED / LEAF_BYTES;
    let mut leaves = vec![0; SCANNED];
    Backend::widest().leaves(&[1; 32], 0, &mut leaves);
    compare("plain leaves made", "leaves/s", rounds, count as u64, |engine| {
        let mut leaves = vec![0; SCANNED];
        engine.leaves(&[1; 32], 0, &mut leaves);
        std::hint::black_box(leaves);
    });
    for (hash, what) in ScoreHash::ALL.into_iter().zip(["scores by SHA-256", "scores by BLAKE3"]) {
        compare(what, "leaves/s", rounds, count as u64, |engine| {
            std::hint::black_box(engine.best_leaf(hash, &[2; 32], &leaves));
        });
    }
    compare(NONCES, "nonces/s", rounds, 1, |engine| {
        let mut scoops = vec![0; engine.lanes() * NONCE_BYTES];
        engine.nonces(1, 0, &mut scoops);
        std::hint::black_box(scoops);
    });
    compare("PoC2 scoops scanned", "bytes/s", rounds, SCANNED as u64, |engine| {
        let mut qualities = vec![0; SCANNED / SCOOP_BYTES];
        engine.qualities(&[2; 32], &leaves, &mut qualities);
        std::hint::black_box(qualities);
    });
}

/// A folder that is removed with what lies in it.
struct Folder(PathBuf);

impl Folder {
    fn make(within: &Path) -> Result<Self> {
        let path = within.join(format!("adit-bench-space-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("failed to make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever interrupts the bench finds it by its name.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn on_disk(arguments: &SpaceBenchArguments) -> Result<()> {
    let folder = Folder::make(&arguments.dir)?;
    let engine = Backend::widest();
    let made = |name: &str, seed: [u8; 32], bytes: u64| make_plain(&folder.0.join(name), &engine, seed, bytes);
    let start = monotonic();
    let path = made("one", [0; 32], arguments.size)?;
    let (plot, took) = (PlainPlot::finished(&path)?, monotonic().saturating_sub(start));
    println!("\na plain plot of {} bytes on the disk (wall time)", grouped(arguments.size));
    println!("  made by one thread, synced and read back in {} ms", took.as_millis());
    let (farm, answers) = farm(&folder.0.join("one"), engine)?;
    let (mut reads, mut proofs) = (Vec::new(), Vec::new());
    let mut scans = ScoreHash::ALL.map(|hash| (hash, Vec::new(), Vec::new()));
    for round in 0..arguments.rounds {
        let challenge = [u8::try_from(round % 256)?; 32];
        for (hash, scans, shares) in &mut scans {
            // What else the machine does comes and goes: the disk is read before and after.
            let before = timed(|| read_whole(&path))?;
            let scan = per_second(arguments.size, timed(|| ask(&farm, &answers, *hash, challenge))?);
            let read = per_second(2 * arguments.size, before + timed(|| read_whole(&path))?);
            reads.push(read);
            scans.push(scan);
            shares.push(scan.saturating_mul(100) / read.max(1));
        }
        let index = u64::from(round) * 7_919 % plot.header().leaves;
        proofs.push(timed(|| {
            plot.prove(&engine, index)?;
            Ok(())
        })?);
    }
    println!("  {:<34} {:>16} bytes/s", "read, nothing else", grouped(median(reads)));
    for (hash, scans, shares) in scans {
        let what = format!("asked of a farm, scores by {hash}");
        println!("  {what:<34} {:>16} bytes/s, {} % of that", grouped(median(scans)), median(shares));
    }
    println!("  {:<34} {:>13} µs", "a proof for a leaf of it", median(proofs).as_micros());
    let many = folder.0.join("many");
    for number in 0..PLOTS {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        made("many", seed, 40_000)?;
    }
    let opened = timed(|| {
        let found = Collection::open(std::slice::from_ref(&many)).plots().count();
        anyhow::ensure!(found == PLOTS, "{found} of {PLOTS} plots were found");
        Ok(())
    })?;
    println!("  {PLOTS} plots found and opened in {} ms", opened.as_millis());
    scoops::print(&folder.0.join("scoops"), &engine, arguments.rounds, arguments.size)?;
    let proved = shares_of_nonces(&folder.0.join("hard"), engine)?;
    println!("  {:<34} {:>13} ms each, all cores", "shares of a hard plot proved", proved.as_millis());
    Ok(())
}

fn make_plain(folder: &Path, engine: &dyn SpaceEngine, seed: [u8; 32], bytes: u64) -> Result<PathBuf> {
    let order = plain::Order { folder, key: [1; 32], seed, bytes, threads: 1, reserve: 1 << 30 };
    Ok(plain::make(&order, engine, &Silent)?)
}

/// Returns how long a farm takes for each nonce of a small hard plot, where a pool counts all of them.
fn shares_of_nonces(folder: &Path, engine: Backend) -> Result<Duration> {
    let order = hard::Order {
        folder,
        account: hard::account(&[1; 32]),
        start: hard::Start::At(0),
        bytes: u64::from(SHARES) * NONCE_BYTES as u64,
        threads: 1,
        memory: u64::from(SHARES) * NONCE_BYTES as u64,
        reserve: 1 << 30,
    };
    hard::make(&order, &engine, &Silent)?;
    let (farm, answers) = farm(folder, engine)?;
    let everything = Some(Target::MAX);
    let asked = question(PlotKind::Hard, Target(U256::ZERO), everything, Scoring::Native(ScoreHash::Sha256), [3; 32]);
    let took = timed(|| {
        farm.ask(asked);
        let shares = answers.iter().filter(|answer| matches!(answer, Answer::Share(_)));
        anyhow::ensure!(shares.take(SHARES as usize).count() == SHARES as usize, "the farm ended");
        Ok(())
    })?;
    Ok(took / SHARES)
}

/// Starts a farm of one folder, and waits until it has looked there.
fn farm(folder: &Path, engine: Backend) -> Result<(Farm, Receiver<Answer>)> {
    let (tell, answers) = channel();
    let settings = Settings {
        folders: vec![folder.to_owned()],
        concurrent: 1,
        threads: THREADS,
        rescan: Duration::from_secs(3_600),
        timeout: None,
    };
    // Whoever listens no more has what he wanted.
    let engines = Engines { scan: Arc::new(engine), single: Arc::new(Baseline) };
    let farm = Farm::start(settings, engines, move |answer| _ = tell.send(answer))?;
    answers.recv()?;
    Ok((farm, answers))
}

/// Asks a farm for its best leaf, and waits for it.
fn ask(farm: &Farm, answers: &Receiver<Answer>, hash: ScoreHash, challenge: [u8; 32]) -> Result<()> {
    farm.ask(question(PlotKind::Plain, Target::MAX, None, Scoring::Native(hash), challenge));
    let finished = answers.iter().find_map(|answer| if let Answer::Finished(it) = answer { Some(it) } else { None });
    let finished = finished.context("the farm ended")?;
    anyhow::ensure!(finished.coverage_permille == 1_000, "a part of the plot was not scanned: {:?}", finished.failed);
    Ok(())
}

/// Asks plots of one key, all of them at once.
fn question(
    plots: PlotKind,
    target: Target,
    shares: Option<Target>,
    scoring: Scoring,
    challenge: [u8; 32],
) -> Question {
    Question {
        challenge: Challenge {
            plots,
            challenge: Hash256(challenge),
            target,
            opens: Timestamp::from_millis(0),
            closes: Timestamp::from_millis(u64::MAX),
            registered_by: None,
            registrations_max: 0,
        },
        shares,
        keys: [Hash256([1; 32])].into(),
        scoring,
        registered: [].into(),
        deadline: Instant::now() + Duration::from_secs(3_600),
    }
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = monotonic();
    work()?;
    Ok(monotonic().saturating_sub(start))
}

fn read_whole(path: &Path) -> Result<()> {
    read_part(path, 0..Reading::open(path)?.length()?)
}

/// Reads a part that begins at a sector, one piece after the other.
fn read_part(path: &Path, part: Range<u64>) -> Result<()> {
    let (reading, mut buffer) = (Reading::open(path)?, Buffer::new(SCANNED));
    let mut at = part.start;
    while at < part.end {
        let length = usize::try_from((part.end - at).min(SCANNED as u64))?;
        reading.read(&mut buffer, at, length)?;
        std::hint::black_box(buffer.bytes());
        at += length as u64;
    }
    Ok(())
}
