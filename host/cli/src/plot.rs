//! `adit plot`: makes plots, shows what lies in folders, and checks it.

pub mod folders;
mod shown;

use crate::key;
use crate::peers::bytes as said;
use crate::run::{runtime, signal};
use crate::sandbox::random;
use crate::terminal::LogFormat;
use adit_kernels::space::Backend;
use adit_primitives::Hash256;
use adit_primitives::space::{LEAF_BYTES, NONCE_BYTES, SpaceEngine};
use adit_space::collection::Entry;
use adit_space::error::Problem;
use adit_space::hard::name::{GROUP, NONCES_STEP};
use adit_space::{Collection, Plot, PlotError, Progress, Step, hard, plain};
use anyhow::{Context, Result, bail};
use serde_json::json;
use shown::Shown;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(clap::Subcommand)]
pub enum PlotCommand {
    /// Make a plot, or go on with one that was interrupted.
    Create(CreateArguments),
    /// Show the plots of folders, and what is wrong with those that cannot be farmed.
    List(FoldersArguments),
    /// Make plots again, whole or a sample, and compare.
    Check(CheckArguments),
}

#[derive(clap::Args)]
pub struct CreateArguments {
    /// The folder to put it in.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// How large it may be: `10GiB`.
    #[arg(long, value_parser = parse_size, value_name = "SIZE")]
    size: u64,
    /// What it is made of.
    #[arg(long, value_enum, default_value_t = Leaf::Hard)]
    leaf: Leaf,
    /// The key file of its owner. Only its public part goes into the plot.
    #[arg(long, default_value = key::FILE, value_name = "FILE")]
    key: PathBuf,
    /// The public key of its owner in the place of a key file: 64 hexadecimal digits. Such a plot is farmed for a pool whose key it is.
    #[arg(long, value_parser = str::parse::<Hash256>, conflicts_with = "key", value_name = "KEY")]
    owner: Option<Hash256>,
    /// How many threads make it: one for each core unless told otherwise.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// For a hard plot: how much of it is in memory at once. More makes longer writes.
    #[arg(long, value_parser = parse_size, default_value = "1GiB", value_name = "SIZE")]
    memory: u64,
    /// For a hard plot: the number of its first nonce. Drawn unless told otherwise, or that of a plot of this size that was interrupted.
    #[arg(long)]
    start: Option<u64>,
    /// What stays free on the disk.
    #[arg(long, value_parser = parse_size, default_value = "1GiB", value_name = "SIZE")]
    reserve: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Leaf {
    /// PoC2 nonces, in a file that Signum's programs read too: too dear to make between two blocks.
    Hard,
    /// Leaves of one hash each under a Merkle tree: for study.
    Plain,
}

#[derive(clap::Args)]
pub struct FoldersArguments {
    /// A folder with plots; more than one may be named. Without one, those in which `adit plot create` put plots from here.
    #[arg(long = "dir", value_name = "FOLDER")]
    folders: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub struct CheckArguments {
    #[command(flatten)]
    folders: FoldersArguments,
    /// Of a hard plot: how many nonces are made again. Plain plots are made again whole.
    #[arg(long, default_value_t = 64)]
    nonces: u64,
    /// Make all nonces of hard plots again.
    #[arg(long, conflicts_with = "nonces")]
    full: bool,
    /// How many threads: one for each core unless told otherwise.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// How much of a hard plot is made again at once. More makes longer reads.
    #[arg(long, value_parser = parse_size, default_value = "1GiB", value_name = "SIZE")]
    memory: u64,
}

impl FoldersArguments {
    fn folders(&self) -> Result<Vec<PathBuf>> {
        if !self.folders.is_empty() {
            return Ok(self.folders.clone());
        }
        let noted = folders::noted()?;
        anyhow::ensure!(!noted.is_empty(), "no plot was made from here: name a folder with --dir");
        Ok(noted)
    }
}

/// Runs a command on plots.
pub fn run(command: PlotCommand, log: &LogFormat) -> Result<ExitCode> {
    match command {
        PlotCommand::Create(arguments) => create(&arguments, log),
        PlotCommand::List(arguments) => list(&arguments, log.json),
        PlotCommand::Check(arguments) => check(&arguments, log),
    }
}

/// Begins to show work. Without a terminal, and as JSON, the log says how far it is.
fn show(log: &LogFormat, ended: &Arc<AtomicBool>) -> Shown {
    Shown::new(!log.json && io::stderr().is_terminal(), ended)
}

/// Tells whether somebody asked the command to end. Listens from the first call on, once for the whole command.
fn listen() -> Result<Arc<AtomicBool>> {
    let (ended, runtime) = (Arc::new(AtomicBool::new(false)), runtime()?);
    let note = Arc::clone(&ended);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(signal());
        note.store(true, Ordering::Relaxed);
    })?;
    Ok(ended)
}

/// A plot in the making, shown, and noted when it is made.
struct Making<'a> {
    folder: &'a Path,
    shown: Shown,
}

impl Progress for Making<'_> {
    fn done(&self, step: Step, bytes: u64, of: u64) -> bool {
        let what = match step {
            Step::Plotting => "plotting",
            Step::ReadingBack => "reading back",
        };
        self.shown.goes_on(what, bytes, of)
    }

    fn made(&self, plot: &Path) -> io::Result<()> {
        let note = || -> Result<()> {
            Collection::write_metadata(self.folder)?;
            folders::note(self.folder)?;
            let bytes = std::fs::metadata(plot)?.len();
            self.shown.clear();
            println!("{}: {}", plot.display(), said(bytes));
            Ok(())
        };
        note().map_err(|error| io::Error::other(format!("{error:#}")))
    }
}

fn create(arguments: &CreateArguments, log: &LogFormat) -> Result<ExitCode> {
    log.start("info")?;
    let own = || {
        let key = key::read(&arguments.key);
        key.with_context(|| format!("a plot belongs to a key; make one: adit key new {}", arguments.key.display()))
    };
    let owner = arguments.owner.map_or_else(|| own().map(|key| key.public().0), |Hash256(key)| Ok(key))?;
    let engine = Backend::widest();
    let threads = threads(arguments.threads);
    let making = Making { folder: &arguments.dir, shown: show(log, &listen()?) };
    let made = match arguments.leaf {
        Leaf::Plain => {
            let order = plain::Order {
                folder: &arguments.dir,
                key: owner,
                seed: random()?,
                bytes: arguments.size,
                threads,
                reserve: arguments.reserve,
            };
            plain::make(&order, &engine, &making)
        }
        Leaf::Hard => {
            let account = hard::account(&owner);
            let start = match arguments.start {
                Some(start) => hard::Start::At(start),
                None => hard::Start::Any(drawn_start()?),
            };
            let order = hard::Order {
                folder: &arguments.dir,
                account,
                start,
                bytes: arguments.size,
                threads,
                memory: arguments.memory,
                reserve: arguments.reserve,
            };
            hard::make(&order, &engine, &making)
        }
    };
    making.shown.clear();
    made?;
    Ok(ExitCode::SUCCESS)
}

/// Draws where a hard plot begins: so far apart that plots of one account do not meet, on whatever machine they are made.
fn drawn_start() -> Result<u64> {
    let drawn = u64::from_le_bytes(random()?) >> 1;
    Ok(drawn / NONCES_STEP * NONCES_STEP)
}

fn threads(wanted: Option<u16>) -> usize {
    wanted.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

fn list(arguments: &FoldersArguments, as_json: bool) -> Result<ExitCode> {
    let collection = Collection::open(&arguments.folders()?);
    let space: u64 = collection.plots().map(|(_, plot)| plot.space()).sum();
    let problems =
        || collection.missing.iter().chain(collection.found.iter().filter_map(|found| found.plot.as_ref().err()));
    if as_json {
        let plots: Vec<_> =
            collection.plots().map(|(path, plot)| json!({ "path": path, "plot": Entry::of(path, plot) })).collect();
        let problems: Vec<_> =
            problems().map(|error| json!({ "path": error.path, "problem": error.problem.to_string() })).collect();
        println!("{}", json!({ "plots": plots, "space_bytes": space, "problems": problems }));
        return Ok(ExitCode::SUCCESS);
    }
    println!("{:<6} {:>10}  {:<20}  file", "leaf", "size", "owner");
    for (path, plot) in collection.plots() {
        let owner = match plot {
            Plot::Plain(plot) => plot.header().key[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            Plot::Hard(plot) => plot.name().account.to_string(),
        };
        println!("{:<6} {:>10}  {owner:<20}  {}", leaf_of(plot), said(plot.space()), path.display());
    }
    problems().for_each(|error| println!("not farmed: {error}"));
    println!("{} plots, {}", collection.plots().count(), said(space));
    Ok(ExitCode::SUCCESS)
}

fn leaf_of(plot: &Plot) -> &'static str {
    match plot {
        Plot::Plain(_) => "plain",
        Plot::Hard(_) => "hard",
    }
}

fn check(arguments: &CheckArguments, log: &LogFormat) -> Result<ExitCode> {
    log.start("info")?;
    let collection = Collection::open(&arguments.folders.folders()?);
    let (engine, ended) = (Backend::widest(), listen()?);
    let mut wrong = 0;
    for error in &collection.missing {
        println!("WRONG  {error}");
        wrong += 1;
    }
    for found in &collection.found {
        let checked = match &found.plot {
            Ok(plot) => check_one(plot, &found.path, arguments, &engine, &show(log, &ended))?,
            // Nothing is wrong with a plot that is still being made, or has another name too.
            Err(PlotError { problem: problem @ (Problem::Unfinished { .. } | Problem::Twice { .. }), path }) => {
                println!("left   {}: {problem}", path.display());
                continue;
            }
            Err(error) => Err(error.problem.to_string()),
        };
        match checked {
            Ok(what) => println!("right  {}: {what}", found.path.display()),
            Err(problem) => {
                println!("WRONG  {}: {problem}", found.path.display());
                wrong += 1;
            }
        }
    }
    if collection.found.is_empty() && wrong == 0 {
        bail!("there are no plots in {}", folders(&arguments.folders.folders));
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn folders(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Checks a plot. The outer error ends the command: somebody interrupted it.
fn check_one(
    plot: &Plot,
    path: &Path,
    arguments: &CheckArguments,
    engine: &dyn SpaceEngine,
    shown: &Shown,
) -> Result<Result<String, String>> {
    let goes_on =
        |done: u64, of: u64| if shown.goes_on("checking", done, of) { Ok(()) } else { Err(Problem::Interrupted) };
    let threads = threads(arguments.threads);
    let (checked, what) = match plot {
        Plot::Plain(plot) => {
            let leaves = plot.header().leaves;
            let checked = plot.check(engine, threads, &|done| goes_on(done, leaves * LEAF_BYTES as u64));
            (checked, format!("{leaves} leaves and the nodes over them"))
        }
        Plot::Hard(plot) => {
            let all = plot.name().nonces;
            let nonces = if arguments.full { all } else { arguments.nonces.min(all) };
            let groups = nonces.div_ceil(GROUP as u64).max(1);
            let sample = hard::Sample { groups, threads, memory: arguments.memory };
            let bytes = groups * (GROUP * NONCE_BYTES) as u64;
            let checked = plot.check(engine, sample, &|done| goes_on(done, bytes));
            (checked, format!("{} of {all} nonces", (groups * GROUP as u64).min(all)))
        }
    };
    shown.clear();
    match checked {
        Ok(()) => Ok(Ok(what)),
        Err(Problem::Interrupted) => bail!("{}: the check was interrupted", path.display()),
        Err(problem) => Ok(Err(problem.to_string())),
    }
}

/// Reads a size: a number of bytes, or one with `KiB`, `MiB`, `GiB` or `TiB` behind it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let (number, shift) =
        units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift))).unwrap_or((text, 0));
    let number: u64 =
        number.trim().parse().map_err(|_| "a size is a number with KiB, MiB, GiB or TiB behind it".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than 64 bits hold".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_size("10GiB"), Ok(10 << 30));
        assert_eq!(parse_size("5 MiB"), Ok(5 << 20));
        assert_eq!(parse_size("4096"), Ok(4096));
        for wrong in ["", "GiB", "1.5GiB", "-1", "10GB", "99999999999TiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
