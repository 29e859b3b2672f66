//! Farms over real plots: what they answer, and what they say of plots that fail. Nothing here waits for a time to pass.

mod threads;

use super::{engine, flip};
use adit_kernels::space::Baseline;
use adit_kernels::{NativeEngine, candidates};
use adit_primitives::contract::space::{Challenge, PlotKind, PlotPlace, Registration, scoop_of};
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES, ScoreHash, SpaceEngine, account, leaf, root_of};
use adit_primitives::{Hash256, Height, Target, Timestamp, U256};
use adit_space::error::Problem;
use adit_space::farm::{Answer, Best, Engines, Finished, Question, Scoring, Settings};
use adit_space::hard::Name;
use adit_space::plain::format::HEADER_BYTES;
use adit_space::plain::{Order, PlainPlot, make};
use adit_space::{Farm, Plot, PlotError, Silent};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const KEYS: [[u8; 32]; 2] = [[3; 32], [4; 32]];

/// Longer than any test takes.
const HOUR: Duration = Duration::from_secs(3_600);

struct World {
    folders: Vec<TempDir>,
    farm: Option<Farm>,
    answers: Option<Receiver<Answer>>,
}

impl World {
    fn new(folders: usize) -> Self {
        let folders = (0..folders).map(|_| tempfile::tempdir().unwrap()).collect();
        Self { folders, farm: None, answers: None }
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.path().to_owned()).collect()
    }

    /// Makes a plain plot of so many subtrees.
    fn plain(&self, folder: usize, key: [u8; 32], seed: u8, subtrees: u64) -> PathBuf {
        let bytes = subtrees * (1024 + 3) * 32 + HEADER_BYTES as u64;
        let folder = self.folders[folder].path();
        make(&Order { folder, key, seed: [seed; 32], bytes, threads: 1, reserve: 0 }, &engine(), &Silent).unwrap()
    }

    /// Makes a hard plot of as many nonces as there are lanes.
    fn hard(&self, folder: usize, key: [u8; 32], start: u64) -> PathBuf {
        let name = Name { account: account(&key), start, nonces: engine().lanes() as u64 };
        let mut scoops = vec![0; engine().lanes() * NONCE_BYTES];
        engine().nonces(name.account, start, &mut scoops);
        let path = self.folders[folder].path().join(name.to_string());
        std::fs::write(&path, scoops).unwrap();
        path
    }

    fn settings(&self) -> Settings {
        Settings { folders: self.paths(), concurrent: 2, threads: 2, rescan: HOUR, timeout: None }
    }

    fn start(&mut self, settings: Settings) {
        self.start_with(settings, Arc::new(engine()));
    }

    fn start_with(&mut self, settings: Settings, engine: Arc<dyn SpaceEngine>) {
        let (tell, answers) = channel();
        let engines = Engines { scan: engine, single: Arc::new(Baseline) };
        self.farm = Some(Farm::start(settings, engines, move |answer| _ = tell.send(answer)).unwrap());
        self.answers = Some(answers);
    }

    fn farm(&self) -> &Farm {
        self.farm.as_ref().unwrap()
    }

    fn next(&self) -> Answer {
        self.answers.as_ref().unwrap().recv().unwrap()
    }

    /// Returns the best scores, the problems that were named, and the end.
    fn until_finished(&self) -> (Vec<Best>, Vec<Arc<PlotError>>, Finished) {
        let (mut bests, mut problems) = (Vec::new(), Vec::new());
        loop {
            match self.next() {
                Answer::Best(best) => bests.push(best),
                Answer::Problem(problem) => problems.push(problem),
                Answer::Finished(finished) => return (bests, problems, finished),
                Answer::Plots { .. } | Answer::Share(_) => {}
            }
        }
    }

    fn ask(&self, question: Question) -> (Vec<Best>, Vec<Arc<PlotError>>, Finished) {
        self.farm().ask(question);
        self.until_finished()
    }

    /// Waits until plots joined, and others were missed.
    fn looked(&self, joins: usize, misses: usize) {
        let (mut joins, mut misses) = (joins, misses);
        while joins + misses > 0 {
            if let Answer::Plots { joined, vanished } = self.next() {
                (joins, misses) = (joins - joined.len(), misses - vanished.len());
            }
        }
    }
}

fn question(plots: PlotKind, challenge: [u8; 32]) -> Question {
    let challenge = Challenge {
        plots,
        challenge: Hash256(challenge),
        target: Target::MAX,
        opens: Timestamp::from_millis(0),
        closes: Timestamp::from_millis(1),
        registered_by: None,
        registrations_max: 0,
    };
    Question {
        challenge,
        shares: None,
        keys: KEYS.map(Hash256).into(),
        scoring: Scoring::Native(ScoreHash::Sha256),
        registered: BTreeMap::new(),
        deadline: Instant::now() + HOUR,
    }
}

/// The best score of a plain plot, by looking at all its bytes.
fn best_plain(path: &Path, hash: ScoreHash, challenge: &[u8; 32]) -> U256 {
    let space = Plot::Plain(PlainPlot::finished(path).unwrap()).space();
    let bytes = std::fs::read(path).unwrap();
    let leaves = &bytes[HEADER_BYTES..][..usize::try_from(space).unwrap()];
    let best = engine().best_leaf(hash, challenge, leaves).unwrap();
    U256::from_le_bytes(best.score)
}

fn best_hard(path: &Path, challenge: &[u8; 32]) -> U256 {
    let bytes = std::fs::read(path).unwrap();
    let each = bytes.len() / NONCE_BYTES * SCOOP_BYTES;
    let scoop = &bytes[scoop_of(&Hash256(*challenge)) as usize * each..][..each];
    let mut qualities = vec![0; each / SCOOP_BYTES];
    engine().qualities(challenge, scoop, &mut qualities);
    U256::from(*qualities.iter().min().unwrap()) << 192
}

/// Follows a claim to the root that it names.
fn check_plain(best: &Best) {
    let Some(PlotPlace::Plain { seed, root, index, path, .. }) = &best.place else { panic!("no proof: {best:?}") };
    let made = leaf(&adit_primitives::space::plot_id(&best.key.0, &seed.0), *index);
    assert_eq!(Hash256(root_of(&made, *index, path.iter().map(|node| &node.0))), *root);
}

fn registration(path: &Path) -> Registration {
    let header = PlainPlot::finished(path).unwrap().header().clone();
    let [key, seed, root] = [header.key, header.seed, header.root].map(Hash256);
    Registration { key, seed, leaves: header.leaves, root }
}

fn names(problems: &[Arc<PlotError>]) -> Vec<(PathBuf, String)> {
    problems.iter().map(|error| (error.path.clone(), error.problem.to_string())).collect()
}

#[test]
fn the_best_of_a_farm_is_the_lowest_of_all_plain_plots_that_count() {
    let mut world = World::new(3);
    let sizes = [1, 2, 5, 40, 70, 3];
    let plots: Vec<PathBuf> = (0..)
        .zip(0..)
        .zip(sizes)
        .map(|((number, seed), size)| world.plain(number % 3, KEYS[number % 2], seed, size))
        .collect();
    world.start(world.settings());
    world.looked(6, 0);
    let kernel = candidates("blake3")[0];
    let plugin = Scoring::Plugin(Arc::new(move || Ok(Box::new(NativeEngine::new(kernel).unwrap()))));
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let cases =
        (any::<[u8; 32]>(), any::<[bool; 2]>(), any::<[u8; 6]>(), 0u8..4, 0u8..3, 1usize..5, any::<U256Words>());
    let law = |(challenge, keys, ages, limit, scoring, threads, target): Case| {
        world.farm().set_settings(Settings { concurrent: threads, threads, ..world.settings() }).unwrap();
        let registered_by = (limit > 0).then_some(Height(u64::from(limit) * 64));
        let registered: BTreeMap<Registration, Height> = plots
            .iter()
            .zip(ages)
            .filter(|(_, age)| *age < 250)
            .map(|(plot, age)| (registration(plot), Height(age.into())))
            .collect();
        let (hash, scoring) = match scoring {
            0 => (ScoreHash::Sha256, Scoring::Native(ScoreHash::Sha256)),
            1 => (ScoreHash::Blake3, Scoring::Native(ScoreHash::Blake3)),
            _ => (ScoreHash::Blake3, plugin.clone()),
        };
        let keys: BTreeSet<Hash256> =
            KEYS.into_iter().zip(keys).filter_map(|(key, has)| has.then_some(Hash256(key))).collect();
        let counts = |plot: &PathBuf| {
            let own = registration(plot);
            keys.contains(&own.key)
                && registered_by.is_none_or(|limit| registered.get(&own).is_some_and(|height| *height <= limit))
        };
        let counted: Vec<&PathBuf> = plots.iter().filter(|plot| counts(plot)).collect();
        let want = counted.iter().map(|plot| best_plain(plot, hash, &challenge)).min();
        let mut asked = question(PlotKind::Plain, challenge);
        // About where the best scores are.
        asked.challenge.target = Target(U256::from_limbs(target) >> 14);
        asked.challenge.registered_by = registered_by;
        let asked = Question { keys: keys.clone(), registered: registered.clone(), scoring, ..asked };
        let (bests, _, finished) = world.ask(asked.clone());
        prop_assert_eq!(finished.plots, counted.len());
        prop_assert_eq!(finished.coverage_permille, if counted.is_empty() { 0 } else { 1_000 });
        prop_assert_eq!(finished.best.as_ref().map(|best| best.score), want);
        prop_assert!(bests.windows(2).all(|two| two[1].score < two[0].score));
        prop_assert_eq!(bests.last().map(|best| best.score), want);
        for best in bests.iter().filter(|best| best.wins).chain(&finished.best) {
            check_plain(best);
            prop_assert_eq!(best.wins, best.score <= asked.challenge.target.0);
            let Some(PlotPlace::Plain { registered: at, .. }) = &best.place else { unreachable!("it was checked") };
            let want = registered_by.map_or(Height(0), |_| registered[&registration(&best.plot)]);
            prop_assert_eq!(*at, want);
        }
        Ok(())
    };
    runner.run(&cases, law).unwrap();
    let figures = world.farm().figures();
    assert_eq!(figures.challenges, 48);
    assert!(figures.proofs >= figures.wins && figures.wins > 0, "{figures:?}");
    assert!(figures.plots.iter().all(|plot| plot.answered > 0 && plot.bytes_per_second.is_some() && plot.failed == 0));
}

/// The places of the leaves or scoops that score so low, by looking at each.
fn up_to(most: U256, scores: impl Iterator<Item = U256>) -> BTreeSet<u64> {
    scores.zip(0..).filter(|(score, _)| *score <= most).map(|(_, place)| place).collect()
}

#[test]
fn every_score_that_a_pool_counts_is_told_once_with_its_proof() {
    let mut world = World::new(2);
    let plots = [world.plain(0, KEYS[0], 1, 5), world.plain(1, KEYS[0], 2, 3)];
    world.start(world.settings());
    for (number, hash) in [(1, ScoreHash::Sha256), (2, ScoreHash::Blake3), (3, ScoreHash::Sha256)] {
        // One leaf of 64, of 512, and none that wins.
        let most = U256::MAX >> (3 * usize::from(number) + 3);
        let mut asked = question(PlotKind::Plain, [number; 32]);
        (asked.shares, asked.scoring) = (Some(Target(most)), Scoring::Native(hash));
        asked.challenge.target = Target(U256::ZERO);
        world.farm().ask(asked.clone());
        let (mut told, mut is_over) = (BTreeMap::<PathBuf, BTreeSet<u64>>::new(), false);
        let want: BTreeMap<PathBuf, BTreeSet<u64>> = plots
            .iter()
            .map(|path| {
                let space = usize::try_from(Plot::Plain(PlainPlot::finished(path).unwrap()).space()).unwrap();
                let bytes = std::fs::read(path).unwrap();
                let (leaves, _) = bytes[HEADER_BYTES..][..space].as_chunks::<32>();
                let score =
                    |leaf: &[u8; 32]| U256::from_le_bytes(engine().best_leaf(hash, &[number; 32], leaf).unwrap().score);
                (path.clone(), up_to(most, leaves.iter().map(score)))
            })
            .filter(|(_, places)| !places.is_empty())
            .collect();
        while !is_over || told.values().map(BTreeSet::len).sum::<usize>() < want.values().map(BTreeSet::len).sum() {
            match world.next() {
                Answer::Share(share) => {
                    assert!(share.score <= most && !share.wins);
                    check_plain(&share);
                    let Some(PlotPlace::Plain { index, .. }) = &share.place else { panic!("{share:?}") };
                    assert!(told.entry(share.plot.clone()).or_default().insert(*index), "told twice");
                }
                Answer::Best(best) => assert!(!best.wins),
                Answer::Finished(_) => is_over = true,
                other => drop(other),
            }
        }
        assert_eq!(told, want);
        assert!(number > 1 || want.values().all(|places| places.len() > 20), "{want:?}");
    }
}

#[test]
fn shares_of_hard_plots_are_made_again_too() {
    let mut world = World::new(1);
    let plot = world.hard(0, KEYS[0], 7);
    world.start(world.settings());
    let mut asked = question(PlotKind::Hard, [9; 32]);
    asked.shares = Some(Target(best_hard(&plot, &[9; 32])));
    world.farm().ask(asked);
    let share = loop {
        if let Answer::Share(share) = world.next() {
            break share;
        }
    };
    let Some(PlotPlace::Hard { nonce }) = share.place else { panic!("{share:?}") };
    assert!((7..7 + engine().lanes() as u64).contains(&nonce) && share.wins, "the target lets everything win");
}

#[test]
fn shares_of_hard_plots_that_wait_together_are_each_told_once() {
    let mut world = World::new(2);
    let starts = [7, 1_000];
    let plots = [0, 1].map(|folder| world.hard(folder, KEYS[0], starts[folder]));
    // Some scoops of one file rot: what was scored there is not what its account gives.
    let challenge = [9; 32];
    let name: Name = plots[1].file_name().unwrap().to_str().unwrap().parse().unwrap();
    flip(&plots[1], name.at(scoop_of(&Hash256(challenge)).into(), 3));
    world.start(world.settings());
    let mut asked = question(PlotKind::Hard, challenge);
    (asked.shares, asked.challenge.target) = (Some(Target::MAX), Target(U256::ZERO));
    world.farm().ask(asked);
    let lanes = engine().lanes() as u64;
    let want: BTreeSet<u64> =
        starts.iter().flat_map(|start| *start..start + lanes).filter(|nonce| *nonce != 1_003).collect();
    let (mut told, mut wrong) = (BTreeSet::new(), 0);
    while told.len() < want.len() || wrong == 0 {
        match world.next() {
            Answer::Share(share) => {
                let Some(PlotPlace::Hard { nonce }) = share.place else { panic!("{share:?}") };
                assert!(told.insert(nonce), "{nonce} is told twice");
            }
            Answer::Problem(problem) => {
                assert!(matches!(problem.problem, Problem::Wrong { what: "scoops", .. }), "{problem}");
                wrong += 1;
            }
            _ => {}
        }
    }
    assert_eq!((told, wrong), (want, 1));
}

/// The words of a number, the lowest first.
type U256Words = [u64; 4];

/// A challenge, which keys are here, how old the plots are, which are old enough, who scores, threads, and a target.
type Case = ([u8; 32], [bool; 2], [u8; 6], u8, u8, usize, U256Words);

#[test]
fn the_best_of_hard_plots_is_made_again_before_it_is_told() {
    let mut world = World::new(2);
    let plots = [world.hard(0, KEYS[0], 7), world.hard(1, KEYS[0], 1 << 40), world.hard(1, KEYS[1], 99)];
    world.plain(0, KEYS[0], 1, 1);
    world.start(world.settings());
    for number in 0..6 {
        let challenge = [number * 41; 32];
        let (bests, problems, finished) = world.ask(question(PlotKind::Hard, challenge));
        let best = finished.best.unwrap();
        assert_eq!(best.score, plots.iter().map(|plot| best_hard(plot, &challenge)).min().unwrap());
        assert_eq!(bests.last(), Some(&best));
        let Some(PlotPlace::Hard { nonce }) = best.place else { panic!("{best:?}") };
        let name: Name = best.plot.file_name().unwrap().to_str().unwrap().parse().unwrap();
        assert!((name.start..name.start + name.nonces).contains(&nonce) && name.account == account(&best.key.0));
        // The plain plot is named once.
        assert_eq!(problems.len(), usize::from(number == 0), "{problems:?}");
        assert_eq!(finished.bytes, 3 * (engine().lanes() * SCOOP_BYTES) as u64);
    }
    // A file under another's name answers with what is not its own.
    let name = Name { account: account(&KEYS[1]), start: 7, nonces: engine().lanes() as u64 };
    std::fs::rename(&plots[0], plots[0].with_file_name(name.to_string())).unwrap();
    world.farm().set_settings(world.settings()).unwrap();
    world.looked(1, 1);
    let wrong = (0..64).find_map(|number| {
        let (_, problems, finished) = world.ask(question(PlotKind::Hard, [number; 32]));
        assert!(finished.best.unwrap().plot != plots[0]);
        problems.into_iter().find(|error| matches!(error.problem, Problem::Wrong { .. }))
    });
    assert_eq!(wrong.unwrap().path.file_name().unwrap().to_str().unwrap(), name.to_string());
}

#[test]
fn plots_that_fail_are_named_once_and_the_others_answer() {
    let mut world = World::new(2);
    let [gone, short, grown, changed, rotten, denied, looped, well] =
        [0, 1, 2, 3, 4, 5, 6, 7].map(|seed| world.plain(usize::from(seed) % 2, KEYS[0], seed, 3));
    world.start(world.settings());
    world.looked(8, 0);
    assert_eq!(world.ask(question(PlotKind::Plain, [1; 32])).2.failed.len(), 0);
    std::fs::remove_file(&gone).unwrap();
    // Whoever may read everything cannot open this one either.
    std::fs::remove_file(&looped).unwrap();
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    let file = |path: &Path| std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file(&short).set_len(9_000).unwrap();
    file(&grown).set_len(1 << 20).unwrap();
    std::fs::copy(&well, &changed).unwrap();
    (0..3 * 1024).for_each(|leaf| flip(&rotten, HEADER_BYTES as u64 + leaf * 32 + 7));
    let denied_is_denied = deny(&denied);
    let (bests, problems, finished) = world.ask(question(PlotKind::Plain, [2; 32]));
    let named: BTreeMap<PathBuf, String> = names(&problems).into_iter().collect();
    assert!(named[&gone].contains("No such file"), "{named:?}");
    assert!(named[&short].contains("it has 9000 bytes"), "{named:?}");
    assert!(named[&grown].contains("it has 1048576 bytes"), "{named:?}");
    assert_eq!(named[&changed], "it is another plot than before");
    assert!(named[&rotten].contains("are not what its key and seed give"), "{named:?}");
    assert!(named[&looped].contains("symbolic links"), "{named:?}");
    assert_eq!(named.contains_key(&denied), denied_is_denied);
    assert_eq!(finished.failed.len(), named.len());
    let counted = [&well].into_iter().chain((!denied_is_denied).then_some(&denied));
    let want = counted.map(|plot| best_plain(plot, ScoreHash::Sha256, &[2; 32])).min();
    assert_eq!(finished.best.as_ref().map(|best| best.score), want);
    assert!(bests.iter().all(|best| best.plot == well || best.plot == denied));
    // The same again is not said again.
    let (_, problems, finished) = world.ask(question(PlotKind::Plain, [3; 32]));
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(finished.failed.len(), named.len());
    // Another problem is.
    file(&grown).set_len(100).unwrap();
    let (_, problems, _) = world.ask(question(PlotKind::Plain, [4; 32]));
    assert_eq!(names(&problems), [(grown, "it is no plot".to_owned())]);
    let figures = world.farm().figures();
    let of = |path: &Path| figures.plots.iter().find(|plot| plot.path == path).unwrap().clone();
    assert_eq!((of(&rotten).answered, of(&rotten).failed), (1, 3));
    assert_eq!((of(&well).answered, of(&well).failed), (4, 0));
    assert!(of(&rotten).problem.is_some() && of(&well).problem.is_none());
}

/// Takes everybody's right to read a file. Returns whether it helped: some users may read whatever they want.
fn deny(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).unwrap();
    std::fs::File::open(path).is_err()
}

#[test]
fn a_proof_that_does_not_hold_is_not_told_and_the_next_best_is() {
    let mut world = World::new(1);
    let [one, other] = [1, 2].map(|seed| world.plain(0, KEYS[0], seed, 2));
    world.start(world.settings());
    world.looked(2, 0);
    let mut plots = [one, other].map(|path| (best_plain(&path, ScoreHash::Sha256, &[9; 32]), path));
    plots.sort();
    let [(_, better), worse] = plots;
    // Its leaves stay, and so its scores; the node beside the two halves does not.
    let layout = PlainPlot::finished(&better).unwrap().header().layout();
    flip(&better, layout.node(10, 0));
    flip(&better, layout.node(10, 1));
    let (bests, problems, finished) = world.ask(question(PlotKind::Plain, [9; 32]));
    assert_eq!(finished.best.as_ref().map(|best| (best.score, best.plot.clone())), Some(worse));
    assert!(bests.iter().all(|best| best.plot != better));
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].path, better);
}

#[test]
fn a_question_ends_the_one_before() {
    let mut world = World::new(1);
    world.plain(0, KEYS[0], 1, 64);
    world.start(world.settings());
    world.looked(1, 0);
    let first = |number: u8| question(PlotKind::Plain, [number; 32]);
    (0..100).for_each(|number| world.farm().ask(first(number)));
    let ends: Vec<Finished> = (0..100).map(|_| world.until_finished().2).collect();
    assert!(ends.iter().zip(0..).all(|(end, number)| end.challenge == Hash256([number; 32])), "each ends, in order");
    let last = ends.last().unwrap();
    assert_eq!(last.coverage_permille, 1_000);
    assert_eq!(last.best.as_ref().unwrap().challenge, Hash256([99; 32]));
    assert_eq!(world.farm().progress(), None);
}

#[test]
fn a_question_without_time_ends_with_nothing() {
    let mut world = World::new(1);
    world.plain(0, KEYS[0], 1, 1);
    world.start(world.settings());
    world.looked(1, 0);
    let (bests, _, finished) = world.ask(Question { deadline: Instant::now(), ..question(PlotKind::Plain, [1; 32]) });
    assert_eq!((bests.len(), finished.bytes, finished.coverage_permille, finished.plots), (0, 0, 0, 1));
    // Nor where the settings leave none.
    world.farm().set_settings(Settings { timeout: Some(Duration::ZERO), ..world.settings() }).unwrap();
    assert_eq!(world.ask(question(PlotKind::Plain, [1; 32])).2.bytes, 0);
}

#[test]
fn plots_join_and_vanish_while_it_runs() {
    let mut world = World::new(2);
    let old = world.plain(0, KEYS[0], 1, 1);
    let one = Settings { folders: world.paths()[..1].to_vec(), ..world.settings() };
    world.start(one);
    let Answer::Plots { joined, vanished } = world.next() else { panic!("the folder was not looked at first") };
    assert_eq!((joined, vanished), (vec![old.clone()], vec![]));
    let new = world.plain(1, KEYS[0], 2, 9);
    std::fs::remove_file(&old).unwrap();
    world.farm().set_settings(world.settings()).unwrap();
    let mut changes = [0, 1].map(|_| {
        let Answer::Plots { joined, vanished } = world.next() else { panic!("the folders were not looked at") };
        (joined, vanished)
    });
    changes.sort();
    assert_eq!(changes, [(vec![], vec![old]), (vec![new.clone()], vec![])]);
    let finished = world.ask(question(PlotKind::Plain, [1; 32])).2;
    assert_eq!((finished.plots, finished.best.unwrap().plot), (1, new.clone()));
    assert_eq!(world.farm().registrations(), [registration(&new)]);
    // A folder that is not there is named, once.
    let missing = Settings { folders: vec!["/nowhere/at/all".into()], ..world.settings() };
    world.farm().set_settings(missing).unwrap();
    assert!(matches!(world.next(), Answer::Plots { vanished, .. } if vanished == [new]));
    assert!(matches!(world.next(), Answer::Problem(error) if error.path == Path::new("/nowhere/at/all")));
}

#[test]
fn a_file_by_several_names_is_one_plot() {
    let mut world = World::new(2);
    let first = world.plain(0, KEYS[0], 1, 2);
    let names = ["0.plot", "soft.plot"].map(|name| world.folders[1].path().join(name));
    std::fs::hard_link(&first, &names[0]).unwrap();
    std::os::unix::fs::symlink(&first, &names[1]).unwrap();
    let link = world.folders[1].path().join("link");
    std::os::unix::fs::symlink(world.folders[0].path(), &link).unwrap();
    let folders = [world.paths(), vec![link.clone(), world.folders[0].path().join(".")]].concat();
    world.start(Settings { folders, ..world.settings() });
    let (_, problems, finished) = world.ask(question(PlotKind::Plain, [1; 32]));
    assert_eq!(finished.plots, 1);
    assert!(problems.iter().all(|error| matches!(error.problem, Problem::Twice { .. })), "{problems:?}");
    // Each name but one is told of.
    let known: BTreeSet<PathBuf> = problems.iter().map(|error| error.path.clone()).collect();
    let [farmed] = &world.farm().figures().plots[..] else { panic!("more than one is farmed") };
    assert!(known.len() == 3 && !known.contains(&farmed.path), "{known:?}");
    // Another of its names takes its place when that goes.
    std::fs::remove_file(&farmed.path).unwrap();
    world.farm().set_settings(world.settings()).unwrap();
    world.looked(1, 1);
}

#[test]
fn what_is_no_plot_harms_nobody() {
    let mut world = World::new(1);
    let well = world.plain(0, KEYS[0], 1, 2);
    let at = |name: &str| world.folders[0].path().join(name);
    // A name that speaks of an exbibyte, and a header that does.
    std::fs::write(at("1_2_4398046511104"), b"short").unwrap();
    let header =
        adit_space::plain::Header { key: KEYS[0], seed: [8; 32], leaves: 1 << 51, made: 1 << 51, root: [1; 32] };
    std::fs::write(at("huge.plot"), header.to_bytes()).unwrap();
    std::fs::write(at("rubbish.plot"), [7; 9_000]).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("zero.plot")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("lost.plot")).unwrap();
    std::fs::create_dir(at("folder.plot")).unwrap();
    let pipe = |name: &str| rustix::fs::mkfifoat(rustix::fs::CWD, at(name), rustix::fs::Mode::RUSR).unwrap();
    ["pipe.plot", "pipe.plot.part", "1_2_64", "1_2_64.part"].into_iter().for_each(pipe);
    let stranger = world.plain(0, [77; 32], 5, 1);
    world.start(world.settings());
    let (_, problems, finished) = world.ask(question(PlotKind::Plain, [1; 32]));
    let named: BTreeMap<PathBuf, String> = names(&problems).into_iter().collect();
    assert_eq!(named.len(), 11, "{named:?}");
    assert_eq!(named[&stranger], "it belongs to a key that nobody signs with here");
    assert_eq!((finished.plots, finished.failed.len(), finished.best.unwrap().plot), (1, 0, well));
    assert_eq!(world.farm().figures().problems.len(), 11);
}

#[test]
fn holes_show_in_a_plots_quality() {
    let mut world = World::new(1);
    let [well, holed] = [1, 2].map(|seed| world.plain(0, KEYS[0], seed, 8));
    // What a disk gives that lost something: the same bytes again and again, here of a leaf that is right.
    let mut bytes = std::fs::read(&holed).unwrap();
    let first: [u8; 32] = *bytes[HEADER_BYTES..].first_chunk().unwrap();
    (1..7 * 1024).for_each(|leaf| bytes[HEADER_BYTES + leaf * 32..][..32].copy_from_slice(&first));
    std::fs::write(&holed, bytes).unwrap();
    world.start(world.settings());
    for number in 0..200u8 {
        world.ask(question(PlotKind::Plain, [number; 32]));
    }
    let figures = world.farm().figures();
    let quality = |path: &Path| figures.plots.iter().find(|plot| plot.path == path).unwrap().quality_permille.unwrap();
    assert!((800..1_250).contains(&quality(&well)), "{}", quality(&well));
    assert!(quality(&holed) < 250, "{}", quality(&holed));
}
