//! Upstreams that come and go, and who has the turn.

use super::*;
use crate::peers::breaker::State;
use proptest::prelude::*;

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn members(count: usize) -> Vec<Member> {
    (0..count).map(|number| Member { name: format!("upstream {number}"), weight: 1, region: None }).collect()
}

fn failover(strategy: FailoverStrategy, count: usize) -> Failover {
    Failover::new(Settings::standard(strategy), members(count), 1, at(0))
}

/// A caller that asks whoever has the turn every second, tries whoever is to be tried, and tells what came of it.
struct Caller {
    failover: Failover,
    millis: u64,
    moves: Vec<(u64, Move)>,
    /// How often each was asked.
    asked: Vec<usize>,
    /// Seconds in which nobody answered.
    unanswered: usize,
}

impl Caller {
    fn new(failover: Failover) -> Self {
        let asked = vec![0; failover.members().len()];
        Self { failover, millis: 0, moves: Vec::new(), asked, unanswered: 0 }
    }

    /// Runs for so many seconds. `answer` says in how many milliseconds an upstream answers in a second, if at all.
    fn run(&mut self, seconds: u64, answer: impl Fn(u64, usize) -> Option<u64>) {
        for _ in 0..seconds {
            self.millis += 1000;
            if let Some(probed) = self.failover.probe(at(self.millis)) {
                self.tell(probed, &answer);
            }
            let mut answered = false;
            // As often as there are upstreams: whoever fails gives the turn to the next at once.
            for _ in 0..self.asked.len() {
                let Some(turn) = self.failover.pick(at(self.millis)) else { break };
                self.moves.extend(turn.moved.map(|moved| (self.millis, moved)));
                self.asked[turn.member] += 1;
                answered = self.tell(turn.member, &answer);
                if answered {
                    break;
                }
            }
            self.unanswered += usize::from(!answered);
        }
    }

    fn tell(&mut self, member: usize, answer: impl Fn(u64, usize) -> Option<u64>) -> bool {
        self.failover.began(member);
        match answer(self.millis / 1000, member) {
            Some(millis) => self.failover.answered(at(self.millis), member, Some(Duration::from_millis(millis))),
            None => self.failover.failed(at(self.millis), member),
        }
        answer(self.millis / 1000, member).is_some()
    }

    fn last_move(&self) -> Option<Move> {
        self.moves.last().map(|(_, moved)| *moved)
    }
}

#[test]
fn every_strategy_has_a_name_that_is_read_again() {
    for strategy in FailoverStrategy::ALL {
        assert_eq!(FailoverStrategy::from_name(&strategy.to_string()), Some(strategy));
    }
    assert_eq!(FailoverStrategy::from_name("fast"), None);
}

#[test]
fn immediately_the_first_failure_gives_the_turn_to_the_next() {
    let mut caller = Caller::new(failover(FailoverStrategy::Immediate, 3));
    caller.run(10, |second, member| (member != 0 || second < 5).then_some(10));
    assert_eq!(caller.last_move(), Some(Move { from: Some(0), to: 1, why: Why::Failed }));
    assert_eq!((caller.unanswered, caller.asked[0]), (0, 5));
}

#[test]
fn gracefully_it_takes_failures_in_a_row() {
    let mut caller = Caller::new(failover(FailoverStrategy::Graceful, 2));
    caller.run(60, |second, member| (member != 0 || second % 3 != 0).then_some(10));
    assert_eq!(caller.moves.len(), 1);
    caller.run(60, |_, member| (member != 0).then_some(10));
    assert_eq!(caller.last_move(), Some(Move { from: Some(0), to: 1, why: Why::Failed }));
}

#[test]
fn whoever_is_preferred_gets_the_turn_back_once_it_has_been_well_for_long_enough() {
    for strategy in [FailoverStrategy::Immediate, FailoverStrategy::Graceful] {
        let mut caller = Caller::new(failover(strategy, 2));
        let well_from = 400;
        caller.run(600, |second, member| (member != 0 || second < 5 || second >= well_from).then_some(10));
        let (when, moved) = *caller.moves.last().expect("a move");
        assert_eq!(moved, Move { from: Some(1), to: 0, why: Why::Recovered });
        // Sixty seconds at most until it is tried, then twice the settling time: it failed soon after it got the turn.
        assert!((well_from * 1000 + 60_000..well_from * 1000 + 60_000 + 90_000).contains(&when), "{strategy} {when}");
        assert_eq!(caller.moves.len(), 3);
    }
}

#[test]
fn what_was_asked_is_answered_before_the_turn_is_given_back() {
    let settled = |in_flight: u32| {
        let mut failover = failover(FailoverStrategy::Graceful, 2);
        (0..3).for_each(|_| failover.failed(at(0), 0));
        assert_eq!(failover.pick(at(0)).map(|turn| turn.member), Some(1));
        (0..in_flight).for_each(|_| failover.began(1));
        let mut second = 0;
        loop {
            second += 1;
            if failover.probe(at(second * 1000)) == Some(0) {
                failover.began(0);
                failover.answered(at(second * 1000), 0, Some(Duration::from_millis(5)));
            }
            if failover.pick(at(second * 1000)).is_some_and(|turn| turn.member == 0) {
                return (second, failover);
            }
            assert!(second < 1000);
        }
    };
    let ((early, _), (late, failover)) = (settled(0), settled(2));
    assert!(early < late && late <= early + 10, "{early} {late}");
    // What still comes is waited for, but not for ever.
    assert!(failover.is_draining(at(late * 1000 + 9000), 1) && !failover.is_draining(at(late * 1000 + 10_000), 1));
    assert!(!failover.is_draining(at(late * 1000), 0));
}

#[test]
fn turns_follow_the_weights_evenly() {
    let weights = [5, 1, 1];
    let members = weights.map(|weight| Member { name: String::new(), weight, region: None });
    let mut failover = Failover::new(Settings::standard(FailoverStrategy::Weighted), members.into(), 1, at(0));
    let turns: Vec<_> = (0..7).filter_map(|_| failover.pick(at(0))).map(|turn| turn.member).collect();
    assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn whoever_fails_often_gets_fewer_turns_and_whoever_is_dead_none_until_it_is_back() {
    let mut caller = Caller::new(failover(FailoverStrategy::Weighted, 3));
    caller.run(3000, |second, member| match member {
        0 => (second % 2 == 0).then_some(10),
        1 => (second >= 1500).then_some(10),
        _ => Some(10),
    });
    assert_eq!(caller.unanswered, 0);
    assert!(caller.asked[0] < caller.asked[2] && caller.asked[1] < caller.asked[2]);
    let before = caller.asked.clone();
    caller.run(300, |_, _| Some(10));
    assert!(caller.asked[1] - before[1] > 90, "{:?} {before:?}", caller.asked);
}

#[test]
fn the_own_region_comes_first_and_then_whoever_is_near() {
    let regions = [None, Some("eu"), Some("us"), Some("eu")];
    let members = regions.map(|region| Member { name: String::new(), weight: 1, region: region.map(str::to_owned) });
    let settings = Settings { region: Some("eu".to_owned()), ..Settings::standard(FailoverStrategy::Geographic) };
    let mut caller = Caller::new(Failover::new(settings, members.into(), 1, at(0)));
    let near = |member: usize| [5, 80, 9, 20][member];
    caller.run(120, |_, member| Some(near(member)));
    assert_eq!(caller.failover.current(), Some(3));
    assert_eq!(caller.last_move().map(|moved| moved.why), Some(Why::Faster));
    // Abroad, whoever is near.
    caller.run(200, |_, member| (member % 2 == 0).then_some(near(member)));
    assert_eq!(caller.failover.current(), Some(0));
    // Whoever is slower, but of the region, is preferred again.
    caller.run(400, |_, member| (member != 3).then_some(near(member)));
    assert_eq!(caller.failover.current(), Some(1));
    assert_eq!(caller.last_move().map(|moved| moved.why), Some(Why::Recovered));
}

#[test]
fn adaptively_the_turn_goes_to_whoever_answers_fastest_with_failures_counted() {
    let mut caller = Caller::new(failover(FailoverStrategy::Adaptive, 3));
    caller.run(300, |_, member| Some([60, 30, 50][member]));
    assert_eq!(caller.failover.current(), Some(1));
    // It fails every second time: fast is no use.
    caller.run(600, |second, member| match member {
        1 => (second % 2 == 0).then_some(30),
        _ => Some([60, 0, 40][member]),
    });
    assert_eq!(caller.failover.current(), Some(2));
}

#[test]
fn whoever_is_hardly_faster_does_not_get_the_turn() {
    for strategy in [FailoverStrategy::Adaptive, FailoverStrategy::Geographic] {
        let mut caller = Caller::new(failover(strategy, 2));
        // The two overtake each other again and again.
        caller.run(86_400, |second, member| Some(if second / 60 % 2 == member as u64 { 50 } else { 58 }));
        assert!(caller.moves.len() <= 2, "{strategy} {:?}", caller.moves.len());
    }
}

#[test]
fn an_upstream_that_gives_no_sign_of_life_loses_the_turn_though_nothing_failed() {
    let mut failover = failover(FailoverStrategy::Graceful, 2);
    for second in (0..600).step_by(30) {
        failover.pick(at(second * 1000));
        failover.heard(at(second * 1000), 0);
    }
    assert_eq!(failover.pick(at(610_000)).map(|turn| turn.member), Some(0));
    let turn = failover.pick(at(640_000)).expect("a turn");
    assert_eq!(turn, Turn { member: 1, moved: Some(Move { from: Some(0), to: 1, why: Why::Suspected }) });
    // It is not back before it answers.
    for second in 641..2000 {
        assert_eq!(failover.pick(at(second * 1000)).map(|turn| turn.member), Some(1));
    }
}

#[test]
fn while_nobody_answers_few_are_asked_and_somebody_is_found_within_a_minute() {
    for strategy in FailoverStrategy::ALL {
        let mut caller = Caller::new(failover(strategy, 3));
        caller.run(3600, |_, _| None);
        let asked: usize = caller.asked.iter().sum();
        assert!(asked < 3 * 100, "{strategy} {asked}");
        assert!(caller.failover.due().is_some_and(|due| due <= at(3_660_000)));
        caller.run(62, |_, member| (member == 2).then_some(10));
        assert_eq!(caller.failover.current(), Some(2), "{strategy}");
    }
}

#[test]
fn a_single_upstream_keeps_the_turn_and_is_asked_again_by_its_breaker() {
    let mut failover = failover(FailoverStrategy::Immediate, 1);
    assert_eq!(failover.pick(at(0)).map(|turn| turn.member), Some(0));
    failover.failed(at(0), 0);
    assert_eq!(failover.pick(at(400)), None);
    let due = failover.due().expect("it is asked again");
    assert!((at(500)..=at(1000)).contains(&due));
    assert_eq!(failover.pick(due), Some(Turn { member: 0, moved: None }));
    failover.answered(due, 0, Some(Duration::from_millis(3)));
    assert_eq!(failover.view(due, 0).breaker, State::Closed { failures: 0 });
    assert_eq!(failover.view(due, 0).latency, Some(Duration::from_millis(3)));
}

/// An upstream that is up and down for so many seconds each.
fn flapping(up: u64, down: u64) -> impl Fn(u64, usize) -> Option<u64> {
    move |second, member| (member != 0 || second % (up + down) < up).then_some(10)
}

#[test]
fn an_upstream_that_flaps_all_day_moves_the_turn_a_few_times() {
    for strategy in [FailoverStrategy::Immediate, FailoverStrategy::Graceful] {
        for (up, down) in [(20, 20), (60, 10), (120, 60), (280, 20), (600, 60)] {
            let mut caller = Caller::new(failover(strategy, 2));
            caller.run(86_400, flapping(up, down));
            // Two moves for each doubling of half a minute up to half an hour.
            assert!(caller.moves.len() <= 14, "{strategy} {up}/{down}: {}", caller.moves.len());
            assert!(caller.unanswered <= 8 * 3, "{strategy} {up}/{down}: {}", caller.unanswered);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_turn_does_not_flap_whatever_upstreams_do(
        strategy in 0..5_usize, seed: u64, phases in proptest::collection::vec((1..200_u64, 0..8_u8), 1..60),
    ) {
        let strategy = FailoverStrategy::ALL[strategy];
        let settings = Settings::standard(strategy);
        let mut caller = Caller::new(Failover::new(settings, members(3), seed, at(0)));
        for (seconds, up) in phases {
            caller.run(seconds, |_, member| (up >> member & 1 == 1).then_some(10 + 5 * member as u64));
        }
        // Between two moves that nothing forced lies the settling time.
        let free: Vec<_> =
            caller.moves.iter().filter(|(_, moved)| matches!(moved.why, Why::Recovered | Why::Faster)).collect();
        prop_assert!(free.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 30_000));
        prop_assert!(caller.moves.iter().all(|(_, moved)| moved.from != Some(moved.to)));
    }

    #[test]
    fn somebody_who_is_well_is_found_within_two_minutes(
        strategy in 0..5_usize, seed: u64, phases in proptest::collection::vec((1..200_u64, 0..8_u8), 1..40), well in 0..3_usize,
    ) {
        let settings = Settings::standard(FailoverStrategy::ALL[strategy]);
        let mut caller = Caller::new(Failover::new(settings, members(3), seed, at(0)));
        for (seconds, up) in phases {
            caller.run(seconds, |_, member| (up >> member & 1 == 1).then_some(10));
        }
        caller.run(120, |_, member| (member == well).then_some(10));
        prop_assert_eq!(caller.failover.current(), Some(well));
    }
}

#[test]
fn whoever_is_struck_is_neither_asked_nor_tried() {
    for strategy in FailoverStrategy::ALL {
        let mut failover = failover(strategy, 2);
        failover.strike(0);
        assert_eq!(failover.soonest(), Some(1));
        for second in 0..300 {
            assert_eq!(failover.pick(at(second * 1000)).map(|turn| turn.member), Some(1), "{strategy}");
            assert_ne!(failover.probe(at(second * 1000)), Some(0), "{strategy}");
        }
        failover.strike(1);
        assert_eq!((failover.pick(at(300_000)), failover.probe(at(300_000)), failover.soonest()), (None, None, None));
    }
}

#[test]
fn a_trial_that_nobody_waits_for_lets_the_next_one_through() {
    let mut failover = failover(FailoverStrategy::Immediate, 1);
    failover.failed(at(0), 0);
    let due = failover.due().expect("it is tried again");
    assert_eq!((failover.pick(due).map(|turn| turn.member), failover.is_on_trial(due, 0)), (Some(0), true));
    assert_eq!(failover.pick(due), None);
    failover.began(0);
    failover.abandoned(0);
    assert!(!failover.is_on_trial(due, 0));
    assert_eq!(failover.pick(due).map(|turn| turn.member), Some(0));
    failover.answered(due, 0, None);
    assert_eq!((failover.is_well(due, 0), failover.view(due, 0).latency), (true, None));
}
