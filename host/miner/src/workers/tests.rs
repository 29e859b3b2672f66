//! Workers, one by hand and many on threads. Time-outs here only turn a hang into a failure.

use super::shared::{Assignment, Counters, Shared};
use super::worker::{Search, Turn};
use super::*;
use crate::events::Find;
use crate::job::JobId;
use crate::proven::{ProvenEngine, Sampling, Trust};
use crate::testing::{Sha256d, Wrong, WrongEngine, fault, mining_job};
use crate::work::{Held, Pace};
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::{Hash256, Target, U256, sha256d};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc::channel;

const GUARD: Duration = Duration::from_secs(600);
const ROLL_MASK: u32 = 0x0000_e000;

pub fn config(workers: usize) -> Config {
    Config {
        workers,
        pin: false,
        versions_max: 4,
        slice: Duration::from_millis(2),
        range: Duration::from_millis(6),
        backoff_first: Duration::ZERO,
        backoff_max: Duration::ZERO,
        events_max: 1_000_000,
        rate_window: Duration::from_secs(60),
    }
}

/// A clock that goes on by 1 ms at each look: slices stay small.
fn ticking() -> Clock {
    let looks = AtomicU64::new(0);
    Arc::new(move || Duration::from_millis(looks.fetch_add(1, Ordering::Relaxed)))
}

/// The clock of the threads. What is claimed below does not depend on it.
fn clock() -> Clock {
    let begin = std::time::Instant::now();
    Arc::new(move || begin.elapsed())
}

fn one_in(digests: u64) -> Target {
    Target(U256::MAX / U256::from(digests))
}

fn sha256d_factory() -> EngineFactory {
    Arc::new(|_| Ok(Box::new(Sha256d::default())))
}

/// Every (nonce, rolled field) that solves a job with a nonce of two bytes.
fn solutions(job: &MiningJob) -> BTreeSet<(u64, u32)> {
    let job = job.clone().check().unwrap();
    let mut search = job.search(0, job.versions());
    let mut solutions = BTreeSet::new();
    for mut input in std::mem::take(&mut search.inputs) {
        for nonce in 0..u64::try_from(job.nonces()).unwrap() {
            search.write_nonce(&mut input, nonce);
            if search.target.is_met_by(&sha256d(&input)) {
                solutions.insert((nonce, job.rolled(&input)));
            }
        }
    }
    solutions
}

/// An engine that does something before each search.
struct Watched<F>(F, Sha256d);

impl<F: FnMut(&SearchJob, u64, u64) -> Result<(), Fault> + Send> HashEngine for Watched<F> {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        self.1.digest_many(inputs, each, digests)
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        (self.0)(job, first, count)?;
        self.1.search(job, first, count)
    }
}

fn watched<F>(before: F) -> Box<dyn HashEngine>
where
    F: FnMut(&SearchJob, u64, u64) -> Result<(), Fault> + Send + 'static,
{
    Box::new(Watched(before, Sha256d::default()))
}

fn by_hand(engine: impl FnOnce(&Arc<Shared>, &Arc<AtomicBool>) -> Box<dyn HashEngine>) -> (Search, Receiver<Event>) {
    let (events, receiver) = sync_channel(1_000_000);
    let (config, stop) = (config(1), Arc::new(AtomicBool::new(false)));
    let pace = Pace::new(config.slice, config.range);
    let shared = Arc::new(Shared::new(config, ticking(), events));
    let engine = engine(&shared, &stop);
    (Search { id: WorkerId(0), engine, pace, shared, stop, counters: Arc::new(Counters::default()) }, receiver)
}

/// A pace at which so many hashes are fetched at once.
fn pace(hashes: u64) -> Pace {
    let mut pace = Pace::new(Duration::from_millis(1), Duration::from_millis(1));
    while pace.hashes_per_range() != hashes {
        let ahead = hashes.saturating_mul(2).saturating_sub(pace.hashes_per_slice()).max(1);
        pace.measured(ahead, Duration::from_millis(1));
    }
    pace
}

fn assign(shared: &Shared, id: u64, random: u64) {
    shared.assign(Some((mining_job(id, 2, ROLL_MASK, one_in(1_000)).check().unwrap(), random)));
}

#[test]
fn a_worker_finds_every_solution_once_and_says_when_all_is_searched() {
    let (mut search, events) = by_hand(|_, _| Box::new(Sha256d::stopping_after(1_000)));
    assign(&search.shared, 7, 0xfedc_ba98_7654_3210);
    while search.turn().unwrap() == Turn::Worked {}
    let mut found = BTreeSet::new();
    let mut last = None;
    for event in events.try_iter() {
        match event {
            Event::Found(Find { job: JobId(7), nonce, rolled, worker: WorkerId(0) }) => {
                assert!(found.insert((nonce, rolled)))
            }
            other => assert!(last.replace(other).is_none()),
        }
    }
    assert_eq!(last, Some(Event::Exhausted { job: JobId(7) }));
    assert_eq!(found, solutions(&mining_job(7, 2, ROLL_MASK, one_in(1_000))));
    assert_eq!(search.counters.hashes.load(Ordering::Relaxed), 65_536 * 8);
    assert_eq!(search.counters.found.load(Ordering::Relaxed), found.len() as u64);
}

#[test]
fn a_job_that_is_replaced_gets_no_further_call() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, mut calls) = (seen.clone(), 0);
    let (mut search, _events) = by_hand(|shared, _| {
        let shared = shared.clone();
        watched(move |job, _, _| {
            log.lock().unwrap().push(job.nonce_offset);
            calls += 1;
            if calls == 3 {
                let mut other = mining_job(2, 2, 0, Target::MAX);
                other.pow.nonce_offset = 70;
                shared.assign(Some((other.check().unwrap(), 1)));
            }
            Ok(())
        })
    });
    assign(&search.shared, 1, 1);
    for _ in 0..12 {
        search.turn().unwrap();
    }
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 3);
    assert!(seen.iter().enumerate().all(|(call, offset)| *offset == if call < 3 { 76 } else { 70 }), "{seen:?}");
}

#[test]
fn a_job_that_is_taken_back_leaves_the_worker_idle() {
    let (mut search, _events) = by_hand(|shared, _| {
        let shared = shared.clone();
        watched(move |_, _, _| {
            shared.assign(None);
            Ok(())
        })
    });
    assign(&search.shared, 1, 1);
    assert_eq!(search.turn(), Ok(Turn::Worked));
    assert_eq!(search.turn(), Ok(Turn::Idle));
}

#[test]
fn a_worker_that_is_told_to_end_does_no_further_slice() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let (mut search, _events) = by_hand(|_, stop| {
        let stop = stop.clone();
        watched(move |_, _, _| {
            count.fetch_add(1, Ordering::Relaxed);
            stop.store(true, Ordering::Release);
            Ok(())
        })
    });
    assign(&search.shared, 1, 1);
    search.turn().unwrap();
    assert!(search.is_over());
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn an_engine_that_tries_nothing_or_too_much_is_a_fault() {
    for wrong in [Wrong::ScansNothing, Wrong::ScansTooMuch] {
        let (mut search, _events) = by_hand(|_, _| Box::new(WrongEngine::new(wrong)));
        assign(&search.shared, 1, 1);
        assert!(search.turn().is_err());
    }
}

/// Searches a job with an engine that fails at its thirtieth call until `failures` are used up, each time with a new one. Returns what it
/// found, and how often a nonce was tried.
fn searched_with_failures(failures: usize, fail: fn() -> Result<(), Fault>) -> (BTreeSet<(u64, u32)>, u64) {
    let left = Arc::new(AtomicUsize::new(failures));
    let engine = move || {
        let (left, mut calls) = (left.clone(), 0);
        watched(move |_, _, _| {
            calls += 1;
            let fails = calls % 30 == 0
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
            if fails { fail() } else { Ok(()) }
        })
    };
    let (mut search, events) = by_hand(|_, _| engine());
    assign(&search.shared, 7, 0xfedc_ba98_7654_3210);
    loop {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| search.turn())) {
            Ok(Ok(Turn::Worked)) => (),
            Ok(Ok(Turn::Idle)) => break,
            Ok(Err(_)) | Err(_) => search.engine = engine(),
        }
    }
    let found = events.try_iter().filter_map(|event| match event {
        Event::Found(find) => Some((find.nonce, find.rolled)),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    let once: BTreeSet<_> = found.iter().copied().collect();
    assert_eq!(once.len(), found.len(), "a find is reported once");
    (once, search.counters.hashes.load(Ordering::Relaxed))
}

#[test]
fn a_range_whose_engine_fails_or_panics_is_searched_by_the_next_engine() {
    let all = solutions(&mining_job(7, 2, ROLL_MASK, one_in(1_000)));
    for fail in [|| Err(fault()), || panic!("index out of bounds")] {
        let (found, hashes) = searched_with_failures(5, fail);
        assert_eq!((hashes, found.len()), (65_536 * 8, all.len()));
        assert!(found == all);
    }
}

#[test]
fn a_range_on_which_every_engine_fails_is_dropped_after_its_second_time() {
    let bad = |_: &SearchJob, first: u64, count: u64| {
        if 500u64.wrapping_sub(first) & 0xffff < count { Err(fault()) } else { Ok(()) }
    };
    let (mut search, _events) = by_hand(|_, _| watched(bad));
    assign(&search.shared, 7, 0);
    let mut failures = 0;
    loop {
        match search.turn() {
            Ok(Turn::Worked) => (),
            Ok(Turn::Idle) => break,
            Err(_) => {
                failures += 1;
                assert!(failures <= 4, "a bad range comes again and again");
            }
        }
    }
    // Each of the job's two rounds goes through every nonce.
    assert_eq!(failures, 2 * 2);
}

#[test]
fn what_a_worker_has_not_searched_when_it_is_told_to_end_is_left_to_the_others() {
    let (mut search, events) = by_hand(|_, stop| {
        let stop = stop.clone();
        watched(move |_, _, _| {
            stop.store(true, Ordering::Release);
            Ok(())
        })
    });
    assign(&search.shared, 7, 1);
    search.turn().unwrap();
    assert!(search.is_over());
    let mut other = Search { engine: Box::new(Sha256d::default()), stop: Arc::default(), ..search };
    while other.turn().unwrap() == Turn::Worked {}
    assert_eq!(other.counters.hashes.load(Ordering::Relaxed), 65_536 * 8);
    let found = events.try_iter().filter(is_found).count();
    assert_eq!(found, solutions(&mining_job(7, 2, ROLL_MASK, one_in(1_000))).len());
}

#[test]
fn a_worker_without_a_range_steals_from_the_one_with_the_most_left() {
    let (mut slow, events) = by_hand(|_, _| Box::new(Sha256d::default()));
    assign(&slow.shared, 7, 0xfedc_ba98_7654_3210);
    // All of the job's two rounds are in the hands of two workers, one of which never comes to anything.
    let whole = |search: &Search| match search.shared.take(&pace(u64::MAX / 4)) {
        Assignment::Work(range, _) => Arc::new(Held::new(range)),
        _ => panic!("there is work"),
    };
    let stuck = [whole(&slow), whole(&slow)];
    let generation = slow.shared.generation();
    stuck.iter().for_each(|held| slow.shared.hold(held, generation));
    assert!(matches!(slow.shared.take(&pace(100)), Assignment::Exhausted(JobId(7))));
    let begun: u64 = stuck.iter().map(|held| held.slice(0, 8).unwrap().count).sum();
    while slow.turn().unwrap() == Turn::Worked {}
    let left: u64 = stuck.iter().map(|held| held.give_up(0).unwrap().count).sum();
    assert!((begun..begun + 2).contains(&left), "{left} nonces were left to workers that are stuck");
    assert_eq!(slow.counters.hashes.load(Ordering::Relaxed), (2 * 65_536 - left) * 4);
    let found: Vec<_> = events.try_iter().filter(is_found).collect();
    assert!(found.len() > solutions(&mining_job(7, 2, ROLL_MASK, one_in(1_000))).len() * 9 / 10);
}

#[test]
fn what_was_stolen_is_searched_once() {
    let (tried, thief) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None::<Search>)));
    let log = |tried: &Arc<Mutex<Vec<(u64, u64)>>>| {
        let tried = tried.clone();
        move |first: u64, count: u64| {
            tried.lock().unwrap().extend((0..count).map(|step| (first.wrapping_add(step) & 0xffff, 0)))
        }
    };
    let (write, helper) = (log(&tried), thief.clone());
    let mut calls = 0;
    let (mut victim, _events) = by_hand(|_, _| {
        watched(move |_, first, count| {
            write(first, count);
            calls += 1;
            // In the middle of a slice of the last range, a worker without any comes for work.
            if calls == 3 {
                let mut thief = helper.lock().unwrap().take().unwrap();
                while thief.turn().unwrap() == Turn::Worked {}
                assert!(thief.counters.hashes.load(Ordering::Relaxed) > 0, "it stole something");
            }
            Ok(())
        })
    });
    let write = log(&tried);
    *thief.lock().unwrap() = Some(Search {
        id: WorkerId(1),
        engine: watched(move |_, first, count| {
            write(first, count);
            Ok(())
        }),
        pace: pace(500),
        shared: victim.shared.clone(),
        stop: Arc::default(),
        counters: Arc::default(),
    });
    victim.shared.assign(Some((mining_job(7, 2, 0, one_in(1_000)).check().unwrap(), 5)));
    while victim.turn().unwrap() == Turn::Worked {}
    let mut tried = tried.lock().unwrap().clone();
    tried.sort_unstable();
    let count = tried.len();
    tried.dedup();
    assert_eq!((count, tried.len()), (65_536, 65_536));
}

#[test]
fn what_is_given_back_after_the_last_range_wakes_the_workers() {
    let (search, _events) = by_hand(|_, _| Box::new(Sha256d::default()));
    assign(&search.shared, 1, 1);
    let Assignment::Work(range, generation) = search.shared.take(&pace(100)) else { panic!("there is work") };
    while !matches!(search.shared.take(&pace(1_000_000)), Assignment::Exhausted(_)) {}
    search.shared.give_back(range.rest(10), generation);
    search.shared.wait_for_work(&|| panic!("there is work"));
    let Assignment::Work(rest, _) = search.shared.take(&pace(100)) else { panic!("there is work") };
    assert_eq!((rest.first, rest.count), (range.first + 10, range.count - 10));
}

#[test]
fn what_is_given_back_for_a_job_that_was_replaced_is_dropped() {
    let (search, _events) = by_hand(|_, _| Box::new(Sha256d::default()));
    assign(&search.shared, 1, 1);
    let Assignment::Work(range, generation) = search.shared.take(&pace(100)) else { panic!("there is work") };
    assign(&search.shared, 2, 1);
    search.shared.give_back(range, generation);
    let Assignment::Work(range, _) = search.shared.take(&pace(100)) else { panic!("there is work") };
    assert_eq!(range.job.id(), JobId(2));
}

#[test]
fn many_workers_try_everything_once() {
    let tried = Arc::new(Mutex::new(BTreeSet::new()));
    let log = tried.clone();
    let factory: EngineFactory = Arc::new(move |_| {
        let log = log.clone();
        Ok(watched(move |job, first, count| {
            let mut tried = log.lock().unwrap();
            for input in &job.inputs {
                let rolled = u32::from_le_bytes(input[..4].try_into().unwrap());
                for nonce in (0..count).map(|step| first.wrapping_add(step) & 0xffff) {
                    assert!(tried.insert((nonce, rolled)), "tried twice");
                }
            }
            Ok(())
        }))
    });
    let (miner, events) = Miner::start(config(4), factory, clock()).unwrap();
    let job = mining_job(3, 2, ROLL_MASK, one_in(5_000));
    miner.set_job(job.clone(), 99).unwrap();
    wait(&events, |event| *event == Event::Exhausted { job: JobId(3) });
    // The others may still be on the last ranges.
    while miner.statistics().hashes < 65_536 * 8 {
        std::thread::yield_now();
    }
    assert_eq!(miner.shutdown(), Shutdown { abandoned: Vec::new() });
    assert_eq!(tried.lock().unwrap().len(), 65_536 * 8);
}

/// Waits for the first event that `wanted` accepts.
fn wait(events: &Receiver<Event>, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.recv_timeout(GUARD).expect("the event comes");
        if wanted(&event) {
            return event;
        }
    }
}

fn is_found(event: &Event) -> bool {
    matches!(event, Event::Found(_))
}

#[test]
fn a_worker_that_panics_is_reported_replaced_and_finds_again() {
    let engines = Arc::new(AtomicUsize::new(0));
    let factory: EngineFactory = Arc::new(move |_| {
        let broken = engines.fetch_add(1, Ordering::Relaxed) < 2;
        Ok(watched(move |_, _, _| if broken { panic!("index out of bounds") } else { Ok(()) }))
    });
    let (miner, events) = Miner::start(config(1), factory, clock()).unwrap();
    miner.set_job(mining_job(1, 4, 0, one_in(100)), 5).unwrap();
    let failed = Event::WorkerFailed { worker: WorkerId(0), reason: "panicked: index out of bounds".to_owned() };
    assert_eq!(events.recv_timeout(GUARD), Ok(failed.clone()));
    assert_eq!(events.recv_timeout(GUARD), Ok(Event::WorkerReplaced { worker: WorkerId(0), attempt: 1 }));
    assert_eq!(events.recv_timeout(GUARD), Ok(failed));
    assert_eq!(events.recv_timeout(GUARD), Ok(Event::WorkerReplaced { worker: WorkerId(0), attempt: 2 }));
    assert!(is_found(&events.recv_timeout(GUARD).unwrap()));
    assert_eq!(miner.statistics().workers[0].failures, 2);
}

#[test]
fn an_engine_that_faults_or_cannot_be_made_is_reported_with_its_words() {
    let engines = Arc::new(AtomicUsize::new(0));
    let factory: EngineFactory = Arc::new(move |_| match engines.fetch_add(1, Ordering::Relaxed) {
        0 => Err(fault()),
        1 => Ok(Box::new(WrongEngine::new(Wrong::Faults))),
        _ => Ok(Box::new(Sha256d::default())),
    });
    let (miner, events) = Miner::start(config(1), factory, clock()).unwrap();
    miner.set_job(mining_job(1, 4, 0, one_in(100)), 5).unwrap();
    let failed = Event::WorkerFailed { worker: WorkerId(0), reason: fault().to_string() };
    assert_eq!(events.recv_timeout(GUARD), Ok(failed.clone()));
    wait(&events, |event| *event == failed);
    wait(&events, is_found);
}

#[test]
fn the_other_workers_go_on_while_one_fails_forever() {
    let factory: EngineFactory = Arc::new(|reporter: &Reporter| match reporter.worker() {
        WorkerId(0) => Err(fault()),
        _ => Ok(Box::new(Sha256d::default())),
    });
    let config = Config { backoff_first: GUARD, backoff_max: GUARD, ..config(2) };
    let (miner, events) = Miner::start(config, factory, clock()).unwrap();
    miner.set_job(mining_job(1, 4, 0, one_in(100)), 5).unwrap();
    wait(&events, is_found);
    assert_eq!(miner.shutdown(), Shutdown { abandoned: Vec::new() }, "a pause does not hold up the end");
}

#[test]
fn a_wrong_kernel_is_dropped_and_told_once_and_mining_goes_on_rightly() {
    let trust = Arc::new(Trust::default());
    let factory: EngineFactory = Arc::new(move |reporter: &Reporter| {
        let (to, sampling) = (reporter.clone(), Sampling { one_in: 2, seed: reporter.worker().0.into() });
        let native = WrongEngine::new(Wrong::MissesInLane(3));
        let on_drop = Box::new(move |difference| to.kernel_dropped(difference));
        Ok(Box::new(ProvenEngine::new(native, Sha256d::default(), trust.clone(), sampling, on_drop)))
    });
    let (miner, events) = Miner::start(config(3), factory, clock()).unwrap();
    let job = mining_job(3, 2, ROLL_MASK, one_in(3_000));
    let (mut id, mut drops) = (0, 0);
    // Until the kernel is dropped some finds may get lost, so jobs follow each other until one ran without it throughout.
    let found = loop {
        id += 1;
        let dropped_before = drops;
        miner.set_job(MiningJob { id: JobId(id), ..job.clone() }, id).unwrap();
        let mut found = BTreeSet::new();
        loop {
            match events.recv_timeout(GUARD).unwrap() {
                Event::Found(find) if find.job == JobId(id) => assert!(found.insert((find.nonce, find.rolled))),
                Event::KernelDropped { .. } => drops += 1,
                Event::Exhausted { .. } => break,
                Event::Found(_) => (),
                other => panic!("{other:?}"),
            }
        }
        if dropped_before == 1 {
            // Other workers may still be on the job's last ranges.
            assert_eq!(miner.shutdown(), Shutdown { abandoned: Vec::new() });
            found.extend(events.try_iter().filter_map(|event| match event {
                Event::Found(find) => Some((find.nonce, find.rolled)),
                _ => None,
            }));
            break found;
        }
    };
    assert_eq!(drops, 1);
    assert!(found.is_subset(&solutions(&job)) && !found.is_empty());
}

#[test]
fn workers_can_be_added_and_taken_away_while_mining() {
    let (miner, events) = Miner::start(config(0), sha256d_factory(), clock()).unwrap();
    miner.set_job(mining_job(1, 8, 0, one_in(100)), 5).unwrap();
    for count in [3, 1, 2, 0, 1] {
        miner.set_workers(count).unwrap();
        let statistics = miner.statistics();
        assert_eq!(statistics.workers.len(), count);
        if count > 0 {
            wait(&events, is_found);
        }
    }
    assert!(matches!(miner.set_workers(WORKERS_MAX + 1), Err(StartError::TooMany { .. })));
    assert_eq!(miner.shutdown(), Shutdown { abandoned: Vec::new() });
}

#[test]
fn events_that_nobody_takes_neither_fill_memory_nor_hold_up_the_next_job() {
    let config = Config { events_max: 1, ..config(2) };
    let (miner, events) = Miner::start(config, sha256d_factory(), clock()).unwrap();
    for id in 1..20 {
        miner.set_job(mining_job(id, 8, 0, Target::MAX), id).unwrap();
        wait(&events, |event| matches!(event, Event::Found(find) if find.job == JobId(id)));
    }
    assert_eq!(miner.shutdown(), Shutdown { abandoned: Vec::new() });
}

#[test]
fn a_caller_that_has_gone_does_not_hold_up_the_workers() {
    let (miner, events) = Miner::start(config(2), sha256d_factory(), clock()).unwrap();
    drop(events);
    miner.set_job(mining_job(1, 2, 0, Target::MAX), 5).unwrap();
    while miner.statistics().hashes < 65_536 {
        std::thread::yield_now();
    }
    assert_eq!(miner.shutdown(), Shutdown { abandoned: Vec::new() });
}

#[test]
fn an_engine_that_never_returns_is_left_behind() {
    let (begun, has_begun) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(Some(released));
    let factory: EngineFactory = Arc::new(move |_| {
        let (begun, released) = (begun.clone(), released.lock().unwrap().take());
        Ok(watched(move |_, _, _| {
            begun.send(()).unwrap();
            let _ = released.as_ref().map(Receiver::recv);
            Ok(())
        }))
    });
    let (miner, _events) = Miner::start(config(1), factory, clock()).unwrap();
    miner.set_job(mining_job(1, 4, 0, one_in(100)), 5).unwrap();
    has_begun.recv_timeout(GUARD).unwrap();
    assert_eq!(miner.shutdown_within(Duration::ZERO), Shutdown { abandoned: vec![WorkerId(0)] });
    drop(release);
}

#[test]
fn statistics_count_hashes_finds_and_verdicts() {
    let (miner, events) = Miner::start(config(2), sha256d_factory(), clock()).unwrap();
    let job = mining_job(3, 2, 0, one_in(1_000));
    miner.set_job(job.clone(), 1).unwrap();
    let hashes = || miner.statistics().hashes;
    while hashes() < 65_536 {
        std::thread::yield_now();
    }
    miner.set_workers(0).unwrap();
    let found = solutions(&job).len();
    (0..found).for_each(|_| drop(wait(&events, is_found)));
    for verdict in [Verdict::Accepted, Verdict::Accepted, Verdict::Rejected, Verdict::Stale] {
        miner.record_submission(verdict, Duration::from_millis(3));
    }
    miner.record_template(Duration::from_millis(8));
    let statistics = miner.statistics();
    assert_eq!((statistics.hashes, statistics.found), (65_536, found as u64));
    assert_eq!(statistics.hashes_per_solution, Some(65_536.0 / found as f64));
    assert_eq!((statistics.accepted, statistics.rejected, statistics.stale), (2, 1, 1));
    assert_eq!((statistics.submission_latency.mean_us, statistics.template_latency.last_us), (3_000, 8_000));
    assert!(statistics.hashes_per_second > 0.0);
    assert_eq!(statistics.memory_bytes.is_some(), cfg!(target_os = "linux"));
}

#[test]
fn a_worker_tells_its_core_and_its_processor_time_where_the_system_does() {
    let (miner, events) = Miner::start(Config { pin: true, ..config(1) }, sha256d_factory(), clock()).unwrap();
    miner.set_job(mining_job(1, 8, 0, one_in(100)), 5).unwrap();
    wait(&events, is_found);
    let worker = &miner.statistics().workers[0];
    let pinned =
        core_affinity::get_core_ids().is_some_and(|cores| cores.iter().any(|core| Some(core.id) == worker.core));
    assert!(worker.core.is_none() || pinned);
    assert_eq!(worker.processor_ms.is_some(), cfg!(target_os = "linux"));
}
