use super::{Until, engine, flip};
use adit_primitives::space::{BestLeaf, NONCE_BYTES, SCOOP_BYTES, SCOOPS, ScoreHash, SpaceEngine};
use adit_space::error::Problem;
use adit_space::hard::{HardPlot, Name, Order, Sample, Start, account, make};
use adit_space::{Collection, PlotError, Progress, Silent, Step};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

const ACCOUNT: u64 = 7_900_104_405_094_198_526;

fn order(folder: &Path, nonces: u64) -> Order<'_> {
    let bytes = nonces * NONCE_BYTES as u64;
    let (start, memory) = (Start::At(1_337), 64 * NONCE_BYTES as u64);
    Order { folder, account: ACCOUNT, start, bytes, threads: 2, memory, reserve: 0 }
}

fn made(folder: &Path, nonces: u64) -> PathBuf {
    make(&order(folder, nonces), &engine(), &Silent).unwrap()
}

fn check(path: &Path, groups: u64) -> Result<(), String> {
    let plot = HardPlot::open(path).map_err(|error| error.problem.to_string())?;
    // A pass holds 64 nonces, and then another is made while it is compared.
    for memory in [0, 128 * NONCE_BYTES as u64] {
        let sample = Sample { groups, threads: 2, memory };
        plot.check(&engine(), sample, &|_| Ok(())).map_err(|problem| problem.to_string())?;
    }
    Ok(())
}

/// How many nonces of the only plot in the making are made and durable.
fn noted(folder: &Path) -> u64 {
    let collection = Collection::open(&[folder.to_owned()]);
    let [found] = &collection.found[..] else { panic!("{collection:?}") };
    let Err(PlotError { problem: Problem::Unfinished { done, .. }, .. }) = &found.plot else { panic!("{found:?}") };
    done / NONCE_BYTES as u64
}

/// The real engine, watched.
#[derive(Default)]
struct Watched {
    now: AtomicUsize,
    /// The most calls at once.
    most: AtomicUsize,
    /// Nonces that were begun, and who waits for more of them.
    begun: Mutex<u64>,
    more: Condvar,
}

impl SpaceEngine for Watched {
    fn name(&self) -> &'static str {
        engine().name()
    }

    fn lanes(&self) -> usize {
        engine().lanes()
    }

    fn leaves(&self, plot: &[u8; 32], first: u64, leaves: &mut [u8]) {
        engine().leaves(plot, first, leaves);
    }

    fn nodes(&self, pairs: &[u8], nodes: &mut [u8]) {
        engine().nodes(pairs, nodes);
    }

    fn best_leaf(&self, hash: ScoreHash, challenge: &[u8; 32], leaves: &[u8]) -> Option<BestLeaf> {
        engine().best_leaf(hash, challenge, leaves)
    }

    fn nonces(&self, account: u64, first: u64, scoops: &mut [u8]) {
        *self.begun.lock().unwrap() += engine().lanes() as u64;
        self.more.notify_all();
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        engine().nonces(account, first, scoops);
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn qualities(&self, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]) {
        engine().qualities(signature, scoops, qualities);
    }
}

/// Holds whoever writes the first pass until the next is begun.
struct Holds<'a> {
    engine: &'a Watched,
    /// More than this is begun then.
    pass: u64,
    bytes: AtomicU64,
    held: Mutex<bool>,
}

impl Progress for Holds<'_> {
    fn done(&self, _: Step, bytes: u64, _: u64) -> bool {
        self.bytes.fetch_max(bytes, Ordering::SeqCst);
        let is_made = bytes > self.pass * NONCE_BYTES as u64 / 2;
        let mut held = self.held.lock().unwrap();
        if is_made && !*held {
            *held = true;
            drop(held);
            let begun = self.engine.begun.lock().unwrap();
            // Longer than any machine takes to begin.
            let wait = self.engine.more.wait_timeout_while(begun, Duration::from_secs(60), |begun| *begun <= self.pass);
            assert!(!wait.unwrap().1.timed_out(), "nothing was made while nonces were written");
        }
        true
    }
}

#[test]
fn the_next_nonces_are_made_while_others_are_written_and_the_plot_is_the_same() {
    let (whole, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let want = std::fs::read(made(whole.path(), 192)).unwrap();
    let engine = Watched::default();
    let holds = Holds { engine: &engine, pass: 64, bytes: AtomicU64::new(0), held: Mutex::new(false) };
    let order = Order { memory: 2 * 64 * NONCE_BYTES as u64, threads: 1, ..order(folder.path(), 192) };
    let path = make(&order, &engine, &holds).unwrap();
    assert!(std::fs::read(path).unwrap() == want);
    assert_eq!(holds.bytes.into_inner(), order.bytes, "all is told in the end");
}

/// Interrupts the work when so many groups are made.
struct Groups(AtomicU64);

impl Progress for Groups {
    fn done(&self, _: Step, bytes: u64, _: u64) -> bool {
        bytes < self.0.load(Ordering::SeqCst) * 16 * NONCE_BYTES as u64 / 2
    }
}

#[test]
fn an_interruption_keeps_the_groups_that_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let one_pass = Order { memory: 4096 * NONCE_BYTES as u64, threads: 2, ..order(folder.path(), 192) };
    // Each thread ends with the group in its hands: 5 or 6, of which 4 fill whole sectors.
    assert!(make(&one_pass, &engine(), &Groups(AtomicU64::new(5))).is_err());
    assert_eq!(noted(folder.path()), 64);
    // What is gone on with begins behind them.
    assert!(make(&one_pass, &engine(), &Groups(AtomicU64::new(8 + 5))).is_err());
    assert_eq!(noted(folder.path()), 128);
    make(&one_pass, &engine(), &Silent).unwrap();
    let path = folder.path().join(format!("{ACCOUNT}_1337_192"));
    check(&path, u64::MAX).unwrap();
}

#[test]
fn what_cannot_be_written_ends_the_making_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    /// Cuts the name off the file as it is written: it is gone when it is to be read back.
    struct Removes<'a>(&'a Path);
    impl Progress for Removes<'_> {
        fn done(&self, _: Step, bytes: u64, _: u64) -> bool {
            if bytes > 32 * NONCE_BYTES as u64 {
                let _ = std::fs::remove_file(self.0);
            }
            true
        }
    }
    let part = folder.path().join(format!("{ACCOUNT}_1337_192.part"));
    let error = make(&order(folder.path(), 192), &engine(), &Removes(&part)).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn a_plot_is_checked_by_as_many_threads_as_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), 64);
    let plot = HardPlot::open(&path).unwrap();
    for (threads, most) in [(1, 1), (2, 2)] {
        let engine = Watched::default();
        let sample = Sample { groups: u64::MAX, threads, memory: 1 << 30 };
        let bytes = AtomicU64::new(0);
        let told = |done| {
            bytes.fetch_max(done, Ordering::SeqCst);
            Ok(())
        };
        plot.check(&engine, sample, &told).unwrap();
        let seen = engine.most.into_inner();
        assert!(seen <= most && (threads == 1 || seen > 1), "{seen} of {threads}");
        assert_eq!(bytes.into_inner(), plot.name().bytes(), "all is told in the end");
    }
    let ended = plot.check(&engine(), Sample { groups: 9, threads: 2, memory: 0 }, &|_| Err(Problem::Interrupted));
    assert!(matches!(ended, Err(Problem::Interrupted)));
}

#[test]
fn a_start_that_is_named_is_not_taken_for_another() {
    let folder = tempfile::tempdir().unwrap();
    assert!(make(&order(folder.path(), 64), &engine(), &Until::calls(0)).is_err());
    let at = Order { start: Start::At(64), ..order(folder.path(), 64) };
    assert!(make(&at, &engine(), &Silent).unwrap().ends_with(format!("{ACCOUNT}_64_64")));
    let any = Order { start: Start::Any(128), ..order(folder.path(), 64) };
    assert!(make(&any, &engine(), &Silent).unwrap().ends_with(format!("{ACCOUNT}_1337_64")));
    assert!(make(&any, &engine(), &Silent).unwrap().ends_with(format!("{ACCOUNT}_128_64")));
}

/// The scoops that the lanes make, for comparison.
fn lanes() -> Vec<u8> {
    let mut scoops = vec![0; engine().lanes() * NONCE_BYTES];
    engine().nonces(ACCOUNT, 1_337, &mut scoops);
    scoops
}

#[test]
fn a_plot_has_the_name_and_the_order_of_signums() {
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), 64);
    assert_eq!(path.file_name().unwrap().to_str().unwrap(), "7900104405094198526_1337_64");
    let (bytes, lanes) = (std::fs::read(&path).unwrap(), lanes());
    assert_eq!(bytes.len(), 64 * NONCE_BYTES);
    let each = engine().lanes() * SCOOP_BYTES;
    for scoop in 0..SCOOPS {
        assert!(bytes[scoop * 64 * SCOOP_BYTES..][..each] == lanes[scoop * each..][..each], "scoop {scoop}");
    }
    check(&path, 4).unwrap();
    flip(&path, (77 * 64 + 20) * SCOOP_BYTES as u64 + 5);
    assert_eq!(check(&path, 4).unwrap_err(), "its scoops at byte 316677 are not what its key and seed give");
}

#[test]
fn an_interrupted_plot_is_gone_on_with_and_is_the_same() {
    let (whole, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let want = std::fs::read(made(whole.path(), 128)).unwrap();
    // In the first pass, while it is written, and in the second.
    for calls in [2, 6, 2] {
        let error = make(&order(folder.path(), 128), &engine(), &Until::calls(calls)).unwrap_err();
        assert!(error.to_string().contains("it was interrupted"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    assert!(std::fs::read(made(folder.path(), 128)).unwrap() == want);
}

#[test]
fn what_a_kill_leaves_before_the_first_note_and_after_the_last_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), 64);
    let want = std::fs::read(&path).unwrap();
    let part = path.with_extension("part");
    let leave = |bytes: &[u8]| {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&part, bytes).unwrap();
    };
    let noteless = vec![0; want.len() + 4_096];
    for left in [&b""[..], &want[..1_000], &noteless, &want] {
        leave(left);
        assert_eq!(made(folder.path(), 64), path);
        assert!(std::fs::read(&path).unwrap() == want && !part.exists(), "{} bytes were left", left.len());
        // Also by a command that would begin elsewhere: no second plot lies beside it.
        leave(left);
        let elsewhere = Order { start: Start::Any(9_999), ..order(folder.path(), 64) };
        assert_eq!(make(&elsewhere, &engine(), &Silent).unwrap(), path);
        assert!(std::fs::read(&path).unwrap() == want && std::fs::read_dir(folder.path()).unwrap().count() == 1);
    }
    // A note that was changed is somebody's plot: it is named, and stays.
    let mut changed = noteless;
    changed[want.len()] = 1;
    leave(&changed);
    let error = make(&order(folder.path(), 64), &engine(), &Silent).unwrap_err();
    assert!(error.to_string().contains("exists"), "{error}");
    assert!(std::fs::read(&part).unwrap() == changed);
}

#[test]
fn plots_of_others_are_read_wherever_their_scoops_begin() {
    let folder = tempfile::tempdir().unwrap();
    let nonces = engine().lanes();
    // As many nonces as there are lanes: no multiple of a sector.
    let name = Name { account: ACCOUNT, start: 1_337, nonces: nonces as u64 };
    let path = folder.path().join(name.to_string());
    std::fs::write(&path, lanes()).unwrap();
    let plot = HardPlot::open(&path).unwrap();
    for scoop in [0, 1, 2, SCOOPS - 1] {
        let each = nonces * SCOOP_BYTES;
        let shown = |first: u64, scoops: &[u8]| {
            assert!(first == 0 && scoops == &lanes()[scoop * each..][..each], "scoop {scoop}");
            ControlFlow::Continue(())
        };
        plot.show(scoop as u64, 0..name.nonces, 2, &shown).unwrap();
    }
    check(&path, 1).unwrap();
}

#[test]
fn names_that_are_none_are_refused() {
    for name in [
        "",
        "1",
        "1_2",
        "1_2_3_4",
        "1_2_0",
        "a_2_3",
        "01_2_3",
        "1_00_3",
        "+1_2_3",
        "1_-2_3",
        "1_18446744073709551615_1",
        "99999999999999999999_1_1",
    ] {
        assert!(name.parse::<Name>().is_err(), "{name}");
    }
    assert_eq!("1_2_64".parse(), Ok(Name { account: 1, start: 2, nonces: 64 }));
    assert_eq!(account(&[0; 32]), u64::from_le_bytes([0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77]));
}
