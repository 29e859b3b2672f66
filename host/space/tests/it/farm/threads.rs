use super::*;
use adit_primitives::space::BestLeaf;
use adit_space::disk::READ;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex};

/// The real engine, watched: how many threads score at once, and a gate that they pass when it is open.
struct Watched {
    now: AtomicUsize,
    most: AtomicUsize,
    is_open: Mutex<bool>,
    opened: Condvar,
    came: Mutex<Sender<()>>,
}

impl Watched {
    fn new(is_open: bool) -> (Arc<Self>, Receiver<()>) {
        let (came, comes) = channel();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        (
            Arc::new(Self { now, most, is_open: Mutex::new(is_open), opened: Condvar::new(), came: Mutex::new(came) }),
            comes,
        )
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
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
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        _ = self.came.lock().unwrap().send(());
        drop(self.opened.wait_while(self.is_open.lock().unwrap(), |is_open| !*is_open).unwrap());
        let best = engine().best_leaf(hash, challenge, leaves);
        self.now.fetch_sub(1, Ordering::SeqCst);
        best
    }

    fn nonces(&self, account: u64, first: u64, scoops: &mut [u8]) {
        engine().nonces(account, first, scoops);
    }

    fn qualities(&self, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]) {
        engine().qualities(signature, scoops, qualities);
    }
}

/// A question that nobody wins: its one proof is made when everything is looked at.
fn hopeless(number: u8) -> Question {
    let mut asked = question(PlotKind::Plain, [number; 32]);
    asked.challenge.target = Target(U256::ZERO);
    asked
}

#[test]
fn a_disk_has_one_plot_read_at_a_time_by_no_more_threads_than_allowed() {
    let mut world = World::new(3);
    // Some pieces each.
    (0..6).for_each(|seed| _ = world.plain(usize::from(seed) % 3, KEYS[0], seed, 160));
    let (watched, _comes) = Watched::new(true);
    world.start_with(Settings { concurrent: 8, threads: 3, ..world.settings() }, watched.clone());
    world.looked(6, 0);
    for number in 0..10 {
        assert_eq!(world.ask(hopeless(number)).2.coverage_permille, 1_000);
    }
    assert!((1..=3).contains(&watched.most.load(Ordering::SeqCst)), "{:?}", watched.most);
}

#[test]
fn a_scan_ends_between_two_reads_when_another_question_comes_or_time_is_over() {
    let mut world = World::new(1);
    let path = world.plain(0, KEYS[0], 1, 640);
    let pieces = Plot::Plain(PlainPlot::finished(&path).unwrap()).space().div_ceil(READ as u64);
    let (watched, comes) = Watched::new(false);
    world.start_with(Settings { threads: 2, ..world.settings() }, watched.clone());
    world.looked(1, 0);
    world.farm().ask(hopeless(1));
    comes.recv().unwrap();
    // The disk gives no answer: the end comes nevertheless.
    let soon = Question { deadline: Instant::now() + Duration::from_millis(1), ..hopeless(2) };
    world.farm().ask(soon);
    let ends = [world.until_finished().2, world.until_finished().2];
    assert_eq!(ends.map(|end| end.bytes), [0, 0]);
    world.farm().ask(hopeless(3));
    watched.open();
    let end = world.until_finished().2;
    assert_eq!((end.challenge, end.coverage_permille), (Hash256([3; 32]), 1_000));
    // All pieces for the last question and the leaf of its proof, and for the first question no more than the threads had in hand.
    let looked = 1 + comes.try_iter().count() as u64;
    assert!((pieces + 2..=pieces + 3).contains(&looked), "{looked} for {pieces}");
}

#[test]
fn a_farm_that_is_to_rest_ends_its_question_until_the_next() {
    let mut world = World::new(1);
    world.plain(0, KEYS[0], 1, 64);
    let (watched, comes) = Watched::new(false);
    world.start_with(world.settings(), watched.clone());
    world.looked(1, 0);
    world.farm().ask(hopeless(1));
    comes.recv().unwrap();
    world.farm().rest();
    let end = world.until_finished().2;
    assert_eq!((end.challenge, end.bytes), (Hash256([1; 32]), 0));
    assert_eq!(world.farm().progress(), None);
    watched.open();
    assert_eq!(world.ask(hopeless(2)).2.coverage_permille, 1_000);
}
