//! Who can do what: a third minus one of the weight changes nothing, more is detected.

use crate::world::Conduct::{Copier, Honest, Lax, Liar, Silent, Slow};
use crate::world::{Conduct, POOL, World, batch, identity, settings};
use adit_network::Acceptance;
use adit_network::id::Moment;
use adit_network::shares::archive::Answer;
use adit_network::shares::votes::{Content, Kind, Message, Objection, Signatures, root};
use adit_network::shares::{
    Base, Batch, BatchId, BatchVerdict, Certificate, CertifiedRound, Close, Effect, Event, Halt, Job, Lag, Plan,
    Proposal, Rounds, SealedBatch, ShareId, Statement,
};
use adit_primitives::{Decode, Encode, Hash256, Height};
use proptest::prelude::*;
use std::sync::Arc;

/// `honest` nodes and then the others.
fn with(honest: usize, others: &[Conduct]) -> Vec<Conduct> {
    [vec![Honest; honest], others.to_vec()].concat()
}

/// Runs a pool of founders for half a minute and tells how many rounds all honest nodes have.
#[track_caller]
fn check(seed: u64, conducts: &[Conduct], least_rounds: u64) -> World {
    let mut world = World::new(seed, conducts.len(), conducts);
    world.run(30_000);
    world.assert_agreed();
    let rounds = world.rounds_of_all();
    assert!(rounds >= least_rounds, "{rounds} rounds of {least_rounds}");
    world
}

#[test]
fn honest_nodes_certify_a_round_as_often_as_it_is_due() {
    for nodes in [1, 3, 4, 7] {
        let world = check(1, &with(nodes, &[]), 15);
        assert!(
            world
                .nodes
                .iter()
                .all(|node| [node.waits, node.behinds] == [0; 2] && node.frauds.is_empty() && node.liars.is_empty())
        );
    }
}

#[test]
fn forty_validators_agree_with_thirteen_lying_silent_or_copying() {
    let others = [vec![Liar; 5], vec![Silent; 4], vec![Copier; 4]].concat();
    let mut world = World::new(2, 40, &with(27, &others));
    world.run(12_000);
    world.assert_agreed();
    assert!(world.rounds_of_all() >= 3, "{} rounds", world.rounds_of_all());
}

#[test]
fn a_third_less_one_of_liars_changes_nothing_and_is_caught() {
    let world = check(3, &with(5, &[Liar, Liar]), 8);
    let liars = [world.nodes[5].identity.node(), world.nodes[6].identity.node()];
    for node in world.honest() {
        assert!(node.pasts.last().unwrap().punished.iter().eq(&{
            let mut sorted = liars;
            sorted.sort();
            sorted
        }));
    }
}

#[test]
fn a_third_less_one_of_silent_nodes_costs_their_turns_only() {
    let world = check(4, &with(5, &[Silent, Silent]), 8);
    assert!(world.nodes.iter().all(|node| node.waits == 0));
}

#[test]
fn copiers_add_no_weight_to_what_is_wrong() {
    check(5, &with(5, &[Copier, Copier]), 8);
    check(6, &with(5, &[Copier, Liar]), 8);
}

#[test]
fn a_node_whose_messages_take_seconds_is_waited_for_only_where_its_weight_is_needed() {
    check(7, &with(6, &[Slow]), 8);
    // One of three: the others are not more than two thirds without it.
    check(8, &with(2, &[Slow]), 2);
}

#[test]
fn identities_without_work_have_no_say() {
    let mut world = World::new(9, 4, &with(4, &[Liar; 30]));
    world.run(20_000);
    world.assert_agreed();
    assert!(world.rounds_of_all() >= 10);
    assert!(world.nodes[0].pasts.last().unwrap().punished.is_empty());
}

#[test]
fn with_half_of_the_weight_silent_nothing_is_certified_and_it_is_said() {
    let mut world = World::new(10, 4, &with(2, &[Silent, Silent]));
    world.run(40_000);
    assert_eq!(world.rounds_of_any(), 0);
    assert!(world.honest().all(|node| node.waits == 1 && node.resumes == 0));
    // They return: payouts go on, with everything that was mined lately.
    world.nodes[2].conduct = Honest;
    world.nodes[3].conduct = Honest;
    world.run(30_000);
    world.assert_agreed();
    assert!(world.rounds_of_all() >= 5);
    assert!(world.nodes[..2].iter().all(|node| node.resumes == 1));
}

#[test]
fn of_a_network_in_two_parts_only_one_can_certify_and_the_other_catches_up() {
    let mut world = World::new(11, 7, &with(7, &[]));
    world.run(3_000);
    (0..2).for_each(|at| world.nodes[at].part = 1);
    world.run(30_000);
    world.assert_agreed();
    let behind = world.nodes[0].pasts.len();
    assert!(world.nodes[6].pasts.len() > behind + 8);
    world.nodes.iter_mut().for_each(|node| node.part = 0);
    world.run(15_000);
    world.assert_agreed();
    assert!(world.rounds_of_all() > u64::try_from(behind).unwrap() + 8);
}

#[test]
fn halves_certify_nothing_apart_and_go_on_together() {
    let mut world = World::new(12, 6, &with(6, &[]));
    (0..3).for_each(|at| world.nodes[at].part = 1);
    world.run(30_000);
    assert_eq!(world.rounds_of_any(), 0);
    assert!(world.nodes.iter().all(|node| node.waits == 1));
    world.nodes.iter_mut().for_each(|node| node.part = 0);
    world.run(30_000);
    world.assert_agreed();
    assert!(world.rounds_of_all() >= 5);
}

#[test]
fn liars_with_half_of_the_weight_split_the_pool_once_and_everybody_stops() {
    // Two liars show two honest nodes, which do not hear each other, two different histories.
    let keys = [1, 2, 3, 4, 3, 4].map(identity).to_vec();
    let mut world = World::with(13, 4, &[Honest; 6], keys);
    for at in [1, 4, 5] {
        world.nodes[at].part = 1;
    }
    world.run(5_000);
    assert!(world.nodes[0].pasts[0].base.root != world.nodes[1].pasts[0].base.root, "the liars did their worst");
    world.nodes[..2].iter_mut().for_each(|node| node.part = 2);
    world.run(20_000);
    let liars = [identity(3).node(), identity(4).node()];
    for node in &world.nodes[..2] {
        let Some(Halt::Split { signed_both, .. }) = &node.halted else {
            panic!("no split was seen: {:?}", node.halted)
        };
        assert!(liars.iter().all(|liar| signed_both.contains(liar)));
        let never = Moment::from_millis(u64::MAX);
        assert_eq!(node.rounds.as_ref().unwrap().wake(), never, "who stopped has nothing to wait for");
    }
    // It stays so across a restart, and nothing more is certified.
    let rounds = world.nodes[0].pasts.len();
    world.nodes[0].halted = None;
    world.crash(0);
    world.start(0);
    world.run(10_000);
    assert!(world.nodes[0].halted.is_some());
    assert_eq!(world.nodes[0].pasts.len(), rounds);
}

#[test]
fn batches_with_wrong_shares_are_paid_by_nobody_and_their_node_is_named() {
    let mut world = World::new(14, 7, &with(5, &[Liar, Liar]));
    world.wrong_batches = true;
    world.run(20_000);
    world.assert_agreed();
    let liar = world.nodes[5].identity.node();
    assert!(world.honest().all(|node| node.liars.contains(&liar)));
    let paid = world.nodes[0].pasts.iter().flat_map(|past| &past.credits).any(|credit| credit.node == liar);
    assert!(!paid);
}

#[test]
fn what_samples_miss_an_objection_finds() {
    let mut world = World::new(15, 15, &with(14, &[Liar]));
    world.wrong_batches = true;
    world.set_plan(Plan::Sample { one_in: 64 });
    world.run(20_000);
    world.assert_agreed();
    let liar = world.nodes[14].identity.node();
    let wrong = world.nodes[0].pasts.iter().flat_map(|past| &past.credits).filter(|credit| credit.node == liar).count();
    assert_eq!(wrong, 0);
    assert!(world.rounds_of_all() >= 5);
}

#[test]
fn who_objects_to_what_is_right_is_named_and_has_nothing_more_hashed() {
    let mut world = World::new(31, 4, &with(4, &[]));
    world.still = true;
    world.run(100);
    let liar = world.nodes[3].identity.clone();
    world.mine(0);
    world.mine(0);
    world.run(200);
    let view = world.nodes[1].rounds.as_ref().unwrap().view();
    let batches: Vec<BatchId> =
        (0..2).map(|number| batch(&world.nodes[0].identity, view.base, number, true).id()).collect();
    let object = |world: &mut World, batch: BatchId| {
        let round = world.nodes[1].rounds.as_ref().unwrap().view().base.round + 1;
        let objection = Objection::sign(round, batch, 0, POOL, &liar);
        world.feed(1, Event::Message { bytes: Message::Objection(objection).to_bytes().into() });
    };
    let hashed = world.hashed;
    object(&mut world, batches[0]);
    assert_eq!(world.hashed, hashed + 1, "one share is hashed by its word");
    world.run(250);
    assert!(world.nodes[1].liars.contains(&liar.node()));
    let hashed = world.hashed;
    object(&mut world, batches[1]);
    assert_eq!(world.hashed, hashed, "and none after it lied");
}

#[test]
fn who_recomputes_stops_where_two_thirds_certify_what_they_did_not_check() {
    let mut world = World::new(20, 7, &with(2, &[Lax, Lax, Lax, Lax, Liar]));
    world.wrong_batches = true;
    world.run(20_000);
    for node in &world.nodes[..2] {
        let Some(Halt::Contradicted { batch: Some(_), .. }) = node.halted else { panic!("{:?}", node.halted) };
    }
    let liar = world.nodes[6].identity.node();
    assert!(
        world.nodes[..2]
            .iter()
            .flat_map(|node| &node.pasts)
            .flat_map(|past| &past.credits)
            .all(|credit| credit.node != liar)
    );
}

#[test]
fn a_node_that_was_away_for_long_catches_up() {
    let mut world = World::new(16, 5, &with(5, &[]));
    world.run(2_000);
    world.crash(4);
    world.run(40_000);
    let missed = world.nodes[0].pasts.len() - world.nodes[4].pasts.len();
    assert!(missed > 10, "{missed} rounds missed");
    world.start(4);
    world.run(5_000);
    world.assert_agreed();
    assert!(world.rounds_of_all() + 3 >= world.rounds_of_any());
}

/// A machine remembers some rounds; hosts remember all of them.
#[test]
fn nodes_that_missed_more_rounds_than_machines_remember_join_and_return() {
    let mut world = World::new(22, 4, &with(5, &[]));
    world.crash(4);
    world.run(2_000);
    world.crash(3);
    world.run(400_000);
    let missed = world.nodes[0].pasts.len() - world.nodes[3].pasts.len();
    assert!(missed > 100, "{missed} rounds missed");
    world.start(3);
    world.start(4);
    world.run(5_000);
    world.assert_agreed();
    assert!(world.rounds_of_all() + 3 >= world.rounds_of_any(), "{} {}", world.rounds_of_all(), world.rounds_of_any());
}

/// What somebody serves who has the certified rounds, and changed something in one.
#[test]
fn who_was_away_believes_no_round_that_differs_from_the_certified_one() {
    let mut world = World::new(23, 4, &with(4, &[]));
    world.run(10_000);
    let rounds = world.nodes[0].archive.values().map(|bytes| CertifiedRound::from_bytes(bytes).unwrap());
    let rounds: Vec<CertifiedRound> = rounds.take(2).collect();
    let now = Moment::from_millis(0);
    let founders = world.nodes.iter().map(|node| node.identity.node());
    let mut joiner = Rounds::new(settings(founders), identity(9), [], None, now).unwrap();
    let mut serve = |rounds: &[&CertifiedRound]| {
        let (rounds, mut out) = (rounds.iter().map(|round| round.to_bytes()).collect(), Vec::new());
        let bytes = Answer { rounds, ..Answer::default() }.to_bytes().into();
        let acceptance = joiner.handle(now, Event::Answer { bytes }, &mut out);
        let certified = out.iter().filter(|effect| matches!(effect, Effect::Certified { .. })).count();
        let other = out.iter().any(|effect| matches!(effect, Effect::Judge { .. } | Effect::Halted(_)));
        assert!(!other && joiner.view().batches == 0, "{out:?}");
        (acceptance, certified)
    };
    let changed = |change: fn(&mut CertifiedRound)| {
        let mut round = rounds[0].clone();
        change(&mut round);
        round
    };
    let no_signatures = Signatures::of([]);
    let unsigned = CertifiedRound {
        certificate: Certificate { signatures: no_signatures, ..rounds[0].certificate.clone() },
        ..rounds[0].clone()
    };
    let lies = [
        changed(|round| round.content.batches.push(BatchId([1; 32]))),
        changed(|round| round.content.batches.reverse()),
        changed(|round| round.content.close = Close::Count),
        changed(|round| round.credits[0].account.push('x')),
        changed(|round| drop(round.credits.pop())),
        changed(|round| round.credits.push(round.credits[0].clone())),
        changed(|round| {
            round.credits[0].account.push('x');
            round.content.root = root(POOL, &round.content, &round.credits);
            round.certificate.root = round.content.root;
        }),
        unsigned,
    ];
    for lie in lies.iter().filter(|lie| **lie != rounds[0]) {
        assert_eq!(serve(&[lie]), (Acceptance::Reject, 0), "{lie:?}");
    }
    assert_eq!(serve(&[&rounds[1]]), (Acceptance::Accept, 0), "a round is missing before it");
    assert_eq!(serve(&[&rounds[0], &rounds[1]]), (Acceptance::Accept, 2));
}

/// It hears votes of rounds that it cannot get, then gets them.
#[test]
fn a_node_that_cannot_follow_says_so_until_it_can() {
    let mut world = World::new(25, 4, &with(4, &[]));
    world.run(15_000);
    let rounds: Vec<Vec<u8>> = world.nodes[0].archive.values().map(|bytes| bytes.to_vec()).collect();
    let newest = rounds.len() as u64;
    let mut joiner = Rounds::new(world.settings.clone(), identity(9), [], None, Moment::from_millis(0)).unwrap();
    let mut handle = |millis, event| {
        let mut out = Vec::new();
        joiner.handle(Moment::from_millis(millis), event, &mut out);
        out.retain(|effect| matches!(effect, Effect::Behind(_) | Effect::Level { .. } | Effect::Waiting { .. }));
        (out, joiner.view().behind, joiner.wake())
    };
    let vote = |at: usize| {
        let (round, previous) = (newest + 1, Hash256([3; 32]));
        let statement = Statement { round, view: 0, kind: Kind::Prevote, previous, value: None };
        let signed = statement.sign(POOL, &world.nodes[at].identity);
        Event::Message { bytes: Message::Vote(signed).to_bytes().into() }
    };
    let answer = |rounds: &[Vec<u8>]| {
        let answer = Answer { rounds: rounds.to_vec(), ..Answer::default() };
        Event::Answer { bytes: answer.to_bytes().into() }
    };
    let lag = |rounds| Some(Lag { rounds, since: Moment::from_millis(200) });
    // It has something to certify, and nobody to do it with.
    let share = Arc::new(batch(&identity(9), Base { round: 0, root: Hash256(POOL.0) }, 0, true));
    let verdict = BatchVerdict::Valid { shares: vec![ShareId([0; 32])] };
    let (batch, plan) = (share.id(), Plan::Local);
    handle(50, Event::Batch { batch: share, plan });
    handle(60, Event::Judged { batch, verdict });
    assert!(matches!(handle(100, vote(0)), (out, None, _) if out.is_empty()));
    let (out, said, mut wake) = handle(200, vote(1));
    assert_eq!((out.len(), said), (0, None), "a certificate may be on its way");
    // Ticks come when the machine asked for them.
    let mut out = Vec::new();
    while out.is_empty() {
        let millis = wake.to_millis();
        (out, _, wake) = handle(millis, Event::Tick);
        assert_eq!(out.is_empty(), millis < 8_200, "at {millis}");
    }
    assert!(matches!(out[..], [Effect::Behind(behind)] if Some(behind) == lag(newest)));
    // Nobody's payouts wait because this node is behind, however long it is.
    while wake < Moment::from_millis(60_000) {
        (out, _, wake) = handle(wake.to_millis(), Event::Tick);
        assert!(out.is_empty(), "{out:?}");
    }
    let (out, said, _) = handle(61_000, answer(&rounds[..1]));
    assert_eq!((out.len(), said), (0, lag(newest - 1)));
    let (out, said, _) = handle(61_500, answer(&rounds));
    assert!(matches!(out[..], [Effect::Level { round }] if round == newest), "{out:?}");
    assert_eq!(said, None);
}

#[test]
fn work_on_a_round_that_nobody_can_be_in_takes_no_room() {
    let now = Moment::from_millis(0);
    let mut rounds = Rounds::new(settings([identity(1).node()]), identity(1), [], None, now).unwrap();
    for (round, taken) in [(8, 1), (9, 1), (u64::MAX, 1), (1, 2)] {
        let batch = batch(&identity(2), Base { round, root: Hash256([5; 32]) }, 0, true);
        let mut out = Vec::new();
        rounds.handle(now, Event::Batch { batch: Arc::new(batch), plan: Plan::Local }, &mut out);
        assert_eq!(rounds.view().batches, taken, "on round {round}");
    }
}

/// A stranger's batch of about 25 KiB. Nobody hashes it.
fn large(of: u8, number: u64) -> Arc<SealedBatch> {
    let small = batch(&identity(of), Base { round: 0, root: Hash256(POOL.0) }, 0, true).batch().clone();
    let job = |place| Job {
        height: Height(32 * number + place),
        branch: vec![Hash256::default(); 20],
        ..small.jobs[0].clone()
    };
    let batch = Batch { jobs: (0..32).map(job).collect(), ..small };
    Arc::new(SealedBatch::seal(batch, &identity(of)).expect("it is within every bound"))
}

/// Takes a batch in and finds it valid, or does not. Returns which batches were let go for it, where it was taken.
fn take(rounds: &mut Rounds, batch: &Arc<SealedBatch>, share: Option<u16>) -> Option<Vec<BatchId>> {
    let (now, mut out) = (Moment::from_millis(0), Vec::new());
    let event = Event::Batch { batch: Arc::clone(batch), plan: Plan::Local };
    let acceptance = rounds.handle(now, event, &mut out);
    let valid = BatchVerdict::Valid { shares: vec![ShareId(batch.id().0)] };
    let verdict = share.map_or(valid, |share| BatchVerdict::Wrong { share });
    rounds.handle(now, Event::Judged { batch: batch.id(), verdict }, &mut out);
    let forgotten = out.into_iter().filter_map(|effect| match effect {
        Effect::Forget { batches } => Some(batches),
        _ => None,
    });
    (acceptance == Acceptance::Accept).then(|| forgotten.flatten().collect())
}

#[test]
fn a_newcomer_finds_room_among_strangers_who_flood_and_what_is_proposed_stays() {
    let mut world = World::new(27, 4, &with(4, &[]));
    let rounds = world.nodes[0].rounds.as_mut().unwrap();
    let mut held = Vec::new();
    for number in 0..50 {
        for flooder in 100..109 {
            let batch = large(flooder, number);
            if let Some(gone) = take(rounds, &batch, None) {
                held.push(batch.id());
                held.retain(|id| !gone.contains(id));
            }
        }
    }
    assert_eq!(rounds.view().batches, held.len());
    assert!(held.len() > 300, "the room is full with {}", held.len());
    // All but two of them are proposed.
    let content = Content {
        round: 1,
        previous: Hash256(POOL.0),
        close: Close::Time,
        batches: held[2..].to_vec(),
        evidence: Vec::new(),
        root: Hash256([1; 32]),
    };
    for founder in 1..=4 {
        let proposal = Proposal::sign(content.clone(), 0, None, POOL, &identity(founder));
        let bytes = Message::Proposal(Box::new(proposal)).to_bytes().into();
        rounds.handle(Moment::from_millis(0), Event::Message { bytes }, &mut Vec::new());
    }
    // A newcomer, another one, and a third for whom nobody may make room.
    let mut made: Vec<_> =
        [201, 202].into_iter().flat_map(|newcomer| take(rounds, &large(newcomer, 0), None).unwrap()).collect();
    made.sort();
    let mut spare = held[..2].to_vec();
    spare.sort();
    assert_eq!(made, spare);
    assert_eq!(take(rounds, &large(203, 0), None), None);
    // This node's own find room in any case.
    assert_eq!(take(rounds, &large(1, 0), None), Some(vec![]));
}

#[test]
fn a_batch_that_was_wrong_and_made_room_is_known_to_be_wrong_all_the_same() {
    let mut world = World::new(28, 4, &with(4, &[]));
    let rounds = world.nodes[0].rounds.as_mut().unwrap();
    let lies: Vec<_> = (0..400).map(|number| large(100 + u8::try_from(number % 9).unwrap(), number)).collect();
    let taken: Vec<_> = lies.iter().filter(|lie| take(rounds, lie, Some(0)).is_some()).collect();
    let gone = take(rounds, &large(201, 0), None).expect("there is room for a newcomer");
    let gone: Vec<_> = taken.into_iter().filter(|lie| gone.contains(&lie.id())).collect();
    assert!(!gone.is_empty());
    assert!(gone.iter().all(|lie| take(rounds, lie, Some(0)).is_none()), "nobody hashes it again");
}

#[test]
fn only_votes_are_passed_on_for_those_who_are_a_round_behind_and_only_some_of_a_node() {
    let mut world = World::new(24, 4, &with(4, &[]));
    world.run(5_000);
    let base = world.nodes[0].pasts.last().unwrap().base;
    let (liar, now) = (world.nodes[1].identity.clone(), Moment::from_millis(5_000));
    let mut say = |kind, view| {
        let (round, previous) = (base.round, Hash256([3; 32]));
        let vote = Statement { round, view, kind, previous, value: None }.sign(POOL, &liar);
        let bytes = Message::Vote(vote).to_bytes().into();
        world.nodes[0].rounds.as_mut().unwrap().handle(now, Event::Message { bytes }, &mut Vec::new())
    };
    assert_eq!(say(Kind::Propose, 0), Acceptance::Reject);
    let answers: Vec<Acceptance> = (0..100).map(|view| say(Kind::Prevote, view)).collect();
    let passed_on = answers.iter().filter(|answer| **answer == Acceptance::Accept).count();
    assert!((1..=64).contains(&passed_on), "{passed_on}");
    assert!(!answers.contains(&Acceptance::Reject));
}

#[test]
fn a_node_far_behind_in_views_follows_a_third_of_the_weight_to_what_they_say_there() {
    let mut world = World::new(26, 4, &with(4, &[]));
    let rounds = world.nodes[0].rounds.as_mut().unwrap();
    let previous = rounds.view().base.root;
    let say = |rounds: &mut Rounds, number: u8, view: u32, kind: Kind| {
        let vote = Statement { round: 1, view, kind, previous, value: None }.sign(POOL, &identity(number));
        let (bytes, mut out) = (Message::Vote(vote).to_bytes().into(), Vec::new());
        rounds.handle(Moment::from_millis(0), Event::Message { bytes }, &mut out);
        rounds.view().view
    };
    // One alone moves nobody, wherever it says it is.
    for view in (100..200).chain([u32::MAX]) {
        assert_eq!(say(rounds, 2, view, Kind::Prevote), 0);
    }
    assert_eq!(say(rounds, 3, 70, Kind::Prevote), 70);
    assert_eq!(say(rounds, 3, 70, Kind::Precommit), 70);
    // Of who leaps on and on the first leaps were noted.
    assert_eq!(say(rounds, 4, 5_000, Kind::Prevote), 131);
}

#[test]
fn a_node_whose_archive_lost_rounds_says_nothing_until_it_is_past_them() {
    let mut world = World::new(17, 4, &with(4, &[]));
    world.run(10_000);
    world.crash(0);
    let kept = world.nodes[0].pasts.len() - 4;
    world.nodes[0].pasts.truncate(kept);
    world.start(0);
    world.run(10_000);
    world.assert_agreed();
    assert!(world.nodes.iter().all(|node| node.frauds.is_empty()));
    assert!(world.rounds_of_all() >= 12);
}

#[test]
fn what_could_not_be_judged_is_judged_again_once_the_host_knows_more() {
    let now = Moment::from_millis(0);
    let mut rounds = Rounds::new(settings([identity(1).node()]), identity(1), [], None, now).unwrap();
    let batch = Arc::new(batch(&identity(2), Base { round: 0, root: Hash256(POOL.0) }, 0, true));
    let mut judges = |event| {
        let mut out = Vec::new();
        rounds.handle(now, event, &mut out);
        out.iter().filter(|effect| matches!(effect, Effect::Judge { .. })).count()
    };
    assert_eq!(judges(Event::Batch { batch: Arc::clone(&batch), plan: Plan::Local }), 1);
    assert_eq!(judges(Event::Retry), 0, "it is being judged");
    assert_eq!(judges(Event::Judged { batch: batch.id(), verdict: BatchVerdict::Unknown }), 0);
    assert_eq!(judges(Event::Retry), 1);
    assert_eq!(judges(Event::Retry), 0);
}

#[test]
fn a_share_that_left_its_node_before_anybody_was_there_is_credited_all_the_same() {
    let mut world = World::new(21, 4, &with(4, &[]));
    world.nodes[3].part = 1;
    world.mine(3);
    world.nodes[3].part = 0;
    world.still = true;
    world.run(20_000);
    let credited = |node: &crate::world::Node| node.pasts.iter().map(|past| past.credits.len()).sum::<usize>();
    assert_eq!(world.nodes.iter().map(credited).collect::<Vec<_>>(), [1; 4]);
}

#[test]
fn the_same_seed_gives_the_same_rounds() {
    let roots = |seed| {
        let mut world = World::new(seed, 4, &with(4, &[Liar]));
        world.loss = 10;
        world.run(8_000);
        world.nodes[0].pasts.iter().map(|past| past.base.root).collect::<Vec<_>>()
    };
    assert_eq!(roots(18), roots(18));
    assert_ne!(roots(18), roots(19));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 4, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is delayed, lost, cut off or killed: no two contents of one round, and once it calms down, rounds go on.
    #[test]
    fn with_less_than_a_third_lying_no_round_is_certified_twice(seed: u64, nodes in 4usize..9, storms in 1u64..6) {
        let lying = (nodes - 1) / 3;
        let conducts: Vec<Conduct> = with(nodes - lying, &[Liar, Silent, Copier, Liar][..lying]);
        let mut world = World::new(seed, nodes, &conducts);
        for _ in 0..storms {
            world.loss = world.random(60);
            world.delay.1 = 50 + world.random(4_000);
            for at in 0..nodes {
                world.nodes[at].part = u32::try_from(world.random(2)).unwrap();
                if world.random(3) == 0 {
                    world.crash(at);
                    let pause = world.random(1_500);
                    world.run(pause);
                    world.start(at);
                }
            }
            let storm = 1_000 + world.random(6_000);
            world.run(storm);
            world.assert_agreed();
        }
        world.loss = 0;
        world.delay.1 = 100;
        world.nodes.iter_mut().for_each(|node| node.part = 0);
        let before = world.rounds_of_any();
        // Who has waited through a storm waits longer in each attempt, and is first found by the others again.
        let mut calm = 90_000;
        world.run(calm);
        while world.rounds_of_all() <= before && calm < 600_000 {
            world.run(30_000);
            calm += 30_000;
        }
        world.assert_agreed();
        prop_assert!(world.rounds_of_all() > before, "{} after {before}", world.rounds_of_all());
        prop_assert!(world.honest().all(|node| node.halted.is_none()));
        // Nobody honest was ever proven a liar: nothing was said twice, whatever crashed.
        let honest: Vec<_> = world.honest().map(|node| node.identity.node()).collect();
        prop_assert!(world.honest().all(|node| honest.iter().all(|other| !node.frauds.contains(other))));
    }
}
