use super::{Until, engine, flip};
use adit_primitives::space::{LEAF_BYTES, SpaceEngine};
use adit_space::disk::READ;
use adit_space::plain::format::{HEADER_BYTES, Header, Layout};
use adit_space::plain::{Order, PlainPlot, make};
use adit_space::tree::{self, SUBTREE};
use adit_space::{Collection, PlotError, Progress, Silent, Step};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const KEY: [u8; 32] = [3; 32];

fn order(folder: &Path, subtrees: u64) -> Order<'_> {
    let bytes = (subtrees * SUBTREE * LEAF_BYTES as u64) + 70 * subtrees + 400 + HEADER_BYTES as u64;
    Order { folder, key: KEY, seed: [5; 32], bytes, threads: 2, reserve: 0 }
}

fn made(folder: &Path, subtrees: u64) -> PathBuf {
    let path = make(&order(folder, subtrees), &engine(), &Silent).unwrap();
    assert_eq!(PlainPlot::finished(&path).unwrap().header().leaves, subtrees * SUBTREE);
    path
}

fn check(path: &Path) -> Result<(), String> {
    let plot = PlainPlot::finished(path).map_err(|error| error.problem.to_string())?;
    plot.check(&engine(), 2, &|_| Ok(())).map_err(|problem| problem.to_string())
}

#[test]
fn a_plot_is_whole_and_every_leaf_has_a_proof() {
    let folder = tempfile::tempdir().unwrap();
    for subtrees in [1, 2, 5, 40] {
        let path = made(folder.path(), subtrees);
        check(&path).unwrap();
        let plot = PlainPlot::finished(&path).unwrap();
        for index in [0, 1, SUBTREE - 1, subtrees * SUBTREE / 2, subtrees * SUBTREE - 1] {
            let proof = plot.prove(&engine(), index).unwrap();
            let mut leaf = [0; LEAF_BYTES];
            engine().leaves(&plot.header().id(), index, &mut leaf);
            assert_eq!((proof.leaf, proof.path.len()), (leaf, tree::height(subtrees * SUBTREE) as usize));
            assert_eq!(tree::root_of(&proof.leaf, index, &proof.path), plot.header().root);
            assert_ne!(tree::root_of(&proof.leaf, index ^ 1, &proof.path), plot.header().root);
        }
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn each_leaf_is_shown_once_by_however_many_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), 140);
    let plot = PlainPlot::finished(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for (threads, leaves) in
        [(1, 0..140 * SUBTREE), (3, 0..140 * SUBTREE), (2, 77..100_001), (9, 5..5), (4, 8..u64::MAX)]
    {
        let shown = Mutex::new(BTreeMap::new());
        let keep = |first: u64, bytes: &[u8]| {
            assert!(bytes.len() <= READ && shown.lock().unwrap().insert(first, bytes.to_vec()).is_none());
            ControlFlow::Continue(())
        };
        plot.show(leaves.clone(), threads, &keep).unwrap();
        let shown: Vec<u8> = shown.into_inner().unwrap().into_values().flatten().collect();
        let at = |leaf: u64| HEADER_BYTES + usize::try_from(leaf).unwrap() * LEAF_BYTES;
        assert!(shown == bytes[at(leaves.start)..at(leaves.end.min(140 * SUBTREE))], "{leaves:?}");
    }
    // Whoever has seen enough sees no more than what was in hand.
    let seen = AtomicUsize::new(0);
    let enough = |_, _: &[u8]| {
        seen.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Break(())
    };
    plot.show(0..140 * SUBTREE, 3, &enough).unwrap();
    assert!((1..=3).contains(&seen.into_inner()));
}

#[test]
fn an_interrupted_plot_is_gone_on_with_and_is_the_same() {
    let whole = tempfile::tempdir().unwrap();
    let want = std::fs::read(made(whole.path(), 300)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut calls = 0;
    let path = loop {
        match make(&order(folder.path(), 300), &engine(), &Until::calls(calls)) {
            Ok(path) => break path,
            Err(error) => assert!(error.to_string().contains("it was interrupted"), "{error}"),
        }
        let parts: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(parts.len(), 1, "{parts:?}");
        assert_eq!(Collection::open(&[folder.path().to_owned()]).plots().count(), 0, "what is not finished is farmed");
        calls += 1;
    };
    assert!(calls > 3, "it was never interrupted");
    assert!(std::fs::read(path).unwrap() == want);
}

/// Hears that a plot is made, and cannot note it.
struct Fails(AtomicUsize);

impl Progress for Fails {
    fn done(&self, _: Step, _: u64, _: u64) -> bool {
        true
    }

    fn made(&self, plot: &Path) -> std::io::Result<()> {
        assert!(PlainPlot::finished(plot).is_ok());
        if self.0.fetch_sub(1, Ordering::Relaxed) == 0 { Ok(()) } else { Err(std::io::Error::other("not noted")) }
    }
}

#[test]
fn whoever_ended_before_he_heard_of_his_plot_gets_no_second_one() {
    let folder = tempfile::tempdir().unwrap();
    // Each command draws a seed of its own.
    let order = |seed: u8| Order { seed: [seed; 32], ..order(folder.path(), 2) };
    let told = Fails(AtomicUsize::new(2));
    for seed in 1..3 {
        let error = make(&order(seed), &engine(), &told).unwrap_err();
        assert!(error.to_string().contains("not noted"), "{error}");
    }
    let other = Order { key: [9; 32], ..order(7) };
    make(&other, &engine(), &Silent).unwrap();
    let path = make(&order(3), &engine(), &told).unwrap();
    assert_eq!(PlainPlot::finished(&path).unwrap().header().seed, [1; 32]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "two plots, and nothing beside them");
    // Who heard of it and asks again wants another.
    make(&order(4), &engine(), &Silent).unwrap();
    assert_eq!(Collection::open(&[folder.path().to_owned()]).plots().count(), 3);
}

#[test]
fn a_plot_that_was_killed_before_it_had_its_room_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    assert!(make(&order(folder.path(), 2), &engine(), &Until::calls(0)).is_err());
    let part = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::OpenOptions::new().write(true).open(&part).unwrap();
    file.set_len(HEADER_BYTES as u64).unwrap();
    let path = make(&Order { seed: [9; 32], ..order(folder.path(), 2) }, &engine(), &Silent).unwrap();
    assert_eq!(PlainPlot::finished(&path).unwrap().header().seed, [5; 32]);
    check(&path).unwrap();
}

#[test]
fn a_plot_that_would_fill_the_disk_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let error = make(&Order { reserve: u64::MAX, ..order(folder.path(), 2) }, &engine(), &Silent).unwrap_err();
    assert!(error.to_string().contains("bytes left and the plot takes"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let error = make(&Order { bytes: 100, ..order(folder.path(), 2) }, &engine(), &Silent).unwrap_err();
    assert!(error.to_string().contains("are too few"), "{error}");
}

#[test]
fn a_plot_that_another_process_makes_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    assert!(make(&order(folder.path(), 2), &engine(), &Until::calls(0)).is_err());
    let part = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let held = std::fs::File::open(&part).unwrap();
    held.try_lock().unwrap();
    // Its name is taken, and it is not touched.
    let error: PlotError = make(&order(folder.path(), 2), &engine(), &Silent).unwrap_err();
    assert!(error.to_string().contains("exists"), "{error}");
    assert!(part.exists());
    drop(held);
    make(&order(folder.path(), 2), &engine(), &Silent).unwrap();
}

#[test]
fn the_layout_fills_what_it_is_given() {
    for bytes in [40_000u64, 1 << 20, 10 << 30, (10 << 30) + 12_345, 1 << 50] {
        let layout = Layout::within(bytes).unwrap();
        let room = bytes - layout.bytes();
        assert!(room <= (SUBTREE + 64) * LEAF_BYTES as u64, "{room} of {bytes} bytes are left");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_turned_bit_anywhere_is_found(part in 0u8..4, place: u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path(), 3);
        let layout = Layout::within(order(folder.path(), 3).bytes).unwrap();
        let ends = [0, HEADER_BYTES as u64, layout.node(10, 0), layout.bytes()];
        let (from, to) = if part == 0 { (0, layout.bytes()) } else { (ends[part as usize - 1], ends[part as usize]) };
        flip(&path, from + place % (to - from));
        let found = check(&path).unwrap_err();
        prop_assert!(
            ["checksum", "no plot", "version", "leaves at byte", "nodes at byte"].iter().any(|word| found.contains(word)),
            "{found}"
        );
    }

    #[test]
    fn any_header_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES), magic: bool) {
        let mut bytes: [u8; HEADER_BYTES] = bytes.try_into().unwrap();
        if magic {
            bytes[..12].copy_from_slice(b"ADITPLOT\x01\0\0\0");
        }
        prop_assert!(Header::from_bytes(&bytes).is_err());
    }

    #[test]
    fn a_header_says_the_same_after_it_was_written(key: [u8; 32], subtrees in 1u64..1 << 41, made in 0u64..1 << 41, root: [u8; 32]) {
        let header = Header { key, seed: [1; 32], leaves: subtrees * SUBTREE, made: made.min(subtrees) * SUBTREE, root };
        prop_assert_eq!(Header::from_bytes(&header.to_bytes().try_into().unwrap()).unwrap(), header);
    }
}

#[test]
fn a_file_cut_short_or_grown_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), 2);
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 100, HEADER_BYTES, whole.len() - 1, whole.len() + 1] {
        let mut bytes = whole.clone();
        bytes.resize(length, 0);
        std::fs::write(&path, bytes).unwrap();
        let found = check(&path).unwrap_err();
        assert!(found.contains("no plot") || found.contains("bytes and must have"), "{found}");
    }
}

#[test]
fn a_plot_that_shrinks_under_a_scan_ends_it_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), 100);
    let plot = PlainPlot::finished(&path).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2_000_000).unwrap();
    assert!(plot.show(0..100 * SUBTREE, 2, &|_, _| ControlFlow::Continue(())).is_err());
    assert!(plot.prove(&engine(), 90 * SUBTREE).is_err());
    std::fs::remove_file(&path).unwrap();
    assert!(plot.show(0..100 * SUBTREE, 2, &|_, _| ControlFlow::Continue(())).is_err());
}
