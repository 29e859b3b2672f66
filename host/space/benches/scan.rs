//! Does a farm keep up with the disk? Against reading the same file and doing nothing with it, in the same round.
//!
//! `ADIT_BENCH_DIR` is the folder (the system's for temporary files unless set), `ADIT_BENCH_BYTES` the plot's size (64 MiB), `ADIT_BENCH_ROUNDS` how
//! often it is measured (5): medians count.

#![allow(clippy::unwrap_used, reason = "a bench may fail by panicking")]

use adit_kernels::space::Backend;
use adit_primitives::contract::space::{Challenge, PlotKind};
use adit_primitives::space::ScoreHash;
use adit_primitives::{Hash256, Target, Timestamp};
use adit_space::disk::{Buffer, READ, Reading};
use adit_space::farm::{Answer, Engines, Question, Scoring, Settings};
use adit_space::plain::{Order, make};
use adit_space::{Farm, Silent};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

fn main() {
    let setting = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let within = std::env::var_os("ADIT_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(within).unwrap();
    let bytes = setting("ADIT_BENCH_BYTES", 64 << 20);
    let order = Order { folder: folder.path(), key: [1; 32], seed: [2; 32], bytes, threads: 2, reserve: 0 };
    let path = make(&order, &Backend::widest(), &Silent).unwrap();
    let (tell, answers) = channel();
    let settings = Settings {
        folders: vec![folder.path().to_owned()],
        concurrent: 1,
        threads: 1,
        rescan: Duration::from_secs(3_600),
        timeout: None,
    };
    let engine = Arc::new(Backend::widest());
    let engines = Engines { scan: engine.clone(), single: engine };
    let farm = Farm::start(settings.clone(), engines, move |answer| _ = tell.send(answer)).unwrap();
    assert!(matches!(answers.recv().unwrap(), Answer::Plots { .. }));
    let cases: Vec<(ScoreHash, usize)> =
        ScoreHash::ALL.into_iter().flat_map(|hash| [1, 2, 4, 8].map(|threads| (hash, threads))).collect();
    let (mut reads, mut scans) = (Vec::new(), vec![Vec::new(); cases.len()]);
    for round in 0..setting("ADIT_BENCH_ROUNDS", 5) {
        for ((hash, threads), scans) in cases.iter().zip(&mut scans) {
            farm.set_settings(Settings { threads: *threads, ..settings.clone() }).unwrap();
            // What else the machine does comes and goes: the disk is read before and after.
            let before = speed(bytes, || read_whole(&path));
            let scan = speed(bytes, || ask(&farm, *hash, round, &answers));
            let read = (before + speed(bytes, || read_whole(&path))) / 2;
            reads.push(read);
            scans.push((scan * 100 / read.max(1), scan));
        }
    }
    println!("read, nothing else: {} MB/s", median(&mut reads));
    for ((hash, threads), scans) in cases.iter().zip(&mut scans) {
        let (share, scan) = median(scans);
        println!("scanned, {hash:<6} by {threads} threads: {scan:>5} MB/s, {share:>3} % of what is read");
    }
}

fn median<T: Ord + Copy>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Megabytes a second.
fn speed(bytes: u64, work: impl FnOnce()) -> u128 {
    let start = Instant::now();
    work();
    u128::from(bytes) / start.elapsed().as_micros().max(1)
}

fn read_whole(path: &Path) {
    let (reading, mut buffer) = (Reading::open(path).unwrap(), Buffer::new(READ));
    let (mut at, all) = (0, reading.length().unwrap());
    while at < all {
        let length = usize::try_from(all - at).unwrap().min(READ);
        reading.read(&mut buffer, at, length).unwrap();
        std::hint::black_box(buffer.bytes());
        at += length as u64;
    }
}

fn ask(farm: &Farm, hash: ScoreHash, round: u64, answers: &Receiver<Answer>) {
    let mut challenge = Hash256::default();
    challenge.0[..8].copy_from_slice(&round.to_le_bytes());
    farm.ask(Question {
        challenge: Challenge {
            plots: PlotKind::Plain,
            challenge,
            target: Target::MAX,
            opens: Timestamp::from_millis(0),
            closes: Timestamp::from_millis(u64::MAX),
            registered_by: None,
            registrations_max: 0,
        },
        shares: None,
        keys: [Hash256([1; 32])].into(),
        scoring: Scoring::Native(hash),
        registered: [].into(),
        deadline: Instant::now() + Duration::from_secs(3_600),
    });
    let finished = answers.iter().find_map(|answer| if let Answer::Finished(it) = answer { Some(it) } else { None });
    assert_eq!(finished.unwrap().coverage_permille, 1_000);
}
