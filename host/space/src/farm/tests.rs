//! Folders that give no answer.

use super::*;
use crate::Silent;
use crate::plain::{Order, make};
use adit_kernels::space::{Backend, Baseline};
use adit_primitives::contract::space::{Challenge, PlotKind};
use adit_primitives::space::{BestLeaf, ScoreHash, SpaceEngine};
use adit_primitives::{Hash256, Target, Timestamp};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex};

/// A door that whoever looks into one of the folders waits at.
#[derive(Default)]
struct Door {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Door {
    fn wait(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_while(is_open, |is_open| !*is_open).unwrap());
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

struct World {
    folders: [tempfile::TempDir; 2],
    plots: [PathBuf; 2],
    door: Arc<Door>,
    farm: Farm,
    answers: Receiver<Answer>,
}

impl World {
    /// A farm of two folders, of which the first gives no answer.
    fn new() -> Self {
        let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let plots = [0, 1].map(|number| {
            let folder = folders[number].path();
            let order = Order { folder, key: [3; 32], seed: [5; 32], bytes: 100_000, threads: 1, reserve: 0 };
            make(&order, &Backend::widest(), &Silent).unwrap()
        });
        let door = Arc::new(Door::default());
        let (waits, hanging) = (Arc::clone(&door), folders[0].path().to_owned());
        let look = move |folder: &Path| {
            if folder == hanging {
                waits.wait();
            }
            Finding::look(folder)
        };
        let (tell, answers) = channel();
        let engines = Engines { scan: Arc::new(Backend::widest()), single: Arc::new(Baseline) };
        let settings = settings([&folders[0], &folders[1]]);
        let farm = Farm::start_with(settings, engines, move |answer| _ = tell.send(answer), Box::new(look)).unwrap();
        Self { folders, plots, door, farm, answers }
    }

    #[track_caller]
    fn changes(&self, joins: &[usize], vanishes: &[usize]) {
        let paths = |numbers: &[usize]| numbers.iter().map(|number| self.plots[*number].clone()).collect::<Vec<_>>();
        let told = self.answers.iter().find_map(|answer| match answer {
            Answer::Plots { joined, vanished } => Some((joined, vanished)),
            _ => None,
        });
        assert_eq!(told.unwrap(), (paths(joins), paths(vanishes)));
    }
}

fn settings<const COUNT: usize>(folders: [&tempfile::TempDir; COUNT]) -> Settings {
    let folders = folders.map(|folder| folder.path().to_owned()).to_vec();
    Settings { folders, concurrent: 2, threads: 1, rescan: Duration::from_secs(3_600), timeout: None }
}

fn question() -> Question {
    let challenge = Challenge {
        plots: PlotKind::Plain,
        challenge: Hash256([1; 32]),
        target: Target::MAX,
        opens: Timestamp::from_millis(0),
        closes: Timestamp::from_millis(1),
        registered_by: None,
        registrations_max: 0,
    };
    Question {
        challenge,
        shares: None,
        keys: [Hash256([3; 32])].into(),
        scoring: Scoring::Native(ScoreHash::Sha256),
        registered: [].into(),
        deadline: Instant::now() + Duration::from_secs(3_600),
    }
}

#[test]
fn a_folder_that_gives_no_answer_keeps_no_other_plots_waiting() {
    let world = World::new();
    world.changes(&[1], &[]);
    world.farm.ask(question());
    let best = world.answers.iter().find_map(|answer| if let Answer::Best(best) = answer { Some(best) } else { None });
    assert_eq!(best.unwrap().plot, world.plots[1]);
    // Other folders come and go meanwhile.
    world.farm.set_settings(settings([&world.folders[0]])).unwrap();
    world.changes(&[], &[1]);
    world.farm.set_settings(settings([&world.folders[0], &world.folders[1]])).unwrap();
    world.changes(&[1], &[]);
    world.door.open();
    world.changes(&[0], &[]);
}

#[test]
fn an_answer_that_comes_when_nobody_wants_it_changes_nothing() {
    let world = World::new();
    world.changes(&[1], &[]);
    world.farm.set_settings(settings([&world.folders[1]])).unwrap();
    world.door.open();
    while world.farm.shared.lock().scouts.len() > 1 {
        std::thread::yield_now();
    }
    assert_eq!(world.farm.figures().plots.len(), 1);
}

/// The real engine, whose first proof of a leaf waits at a door as it would before a disk that hangs.
struct Hangs {
    door: Arc<Door>,
    met: AtomicBool,
}

impl SpaceEngine for Hangs {
    fn name(&self) -> &'static str {
        Baseline.name()
    }

    fn lanes(&self) -> usize {
        Baseline.lanes()
    }

    fn leaves(&self, plot: &[u8; 32], first: u64, leaves: &mut [u8]) {
        Baseline.leaves(plot, first, leaves);
    }

    fn nodes(&self, pairs: &[u8], nodes: &mut [u8]) {
        // Leaves are scored without nodes: only proofs need them.
        if !self.met.swap(true, Ordering::SeqCst) {
            self.door.wait();
        }
        Baseline.nodes(pairs, nodes);
    }

    fn best_leaf(&self, hash: ScoreHash, challenge: &[u8; 32], leaves: &[u8]) -> Option<BestLeaf> {
        Baseline.best_leaf(hash, challenge, leaves)
    }

    fn nonces(&self, account: u64, first: u64, scoops: &mut [u8]) {
        Baseline.nonces(account, first, scoops);
    }

    fn qualities(&self, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]) {
        Baseline.qualities(signature, scoops, qualities);
    }
}

#[test]
fn a_proof_that_a_disk_keeps_back_is_given_up_and_another_plot_proves() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let plots = folders.each_ref().map(|folder| {
        let order =
            Order { folder: folder.path(), key: [3; 32], seed: [5; 32], bytes: 100_000, threads: 1, reserve: 0 };
        make(&order, &Backend::widest(), &Silent).unwrap()
    });
    let (door, (tell, answers)) = (Arc::new(Door::default()), channel());
    let scan = Hangs { door: Arc::clone(&door), met: false.into() };
    let engines = Engines { scan: Arc::new(scan), single: Arc::new(Baseline) };
    let settings = settings([&folders[0], &folders[1]]);
    let farm = Farm::start(settings, engines, move |answer| _ = tell.send(answer)).unwrap();
    let joined = answers.iter().scan(0, |joined, answer| {
        *joined += if let Answer::Plots { joined, .. } = answer { joined.len() } else { 0 };
        Some(*joined)
    });
    assert!(joined.into_iter().any(|joined| joined == 2));
    farm.ask(question());
    let hung = answers.iter().find_map(|answer| if let Answer::Problem(error) = answer { Some(error) } else { None });
    let hung = hung.unwrap();
    assert!(matches!(hung.problem, crate::error::Problem::Silent), "{hung}");
    let proven = answers.iter().find_map(|answer| match answer {
        Answer::Best(best) if best.place.is_some() => Some(best.plot),
        Answer::Finished(finished) => panic!("it ended with {finished:?}"),
        _ => None,
    });
    assert!(plots.contains(&hung.path) && proven.as_ref() != Some(&hung.path), "{proven:?}");
    door.open();
}
