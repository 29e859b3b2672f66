use super::*;
use crate::turns::TurnMetrics;
use adit_pool::work::check::CheckerParts;
use adit_pool::work::job::{JobId, JobRules};
use adit_pool::work::workers::{WorkerRules, Workers};
use adit_primitives::Hash256;
use adit_primitives::accounts::WorkerId;
use adit_primitives::contract::payout::AccountId;
use adit_primitives::contract::shares::{Claim, Judgement, ShareDifficulty, WorkHistory};
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::engine::{Fault, HashEngine, ShareEngine};
use adit_protocol::stratum::difficulty::Base;
use adit_protocol::stratum::server::{Effect, Session, Settings};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Of no share here the job is known: nothing is hashed or judged.
struct Unasked;

impl HashEngine for Unasked {
    fn digest_many(&mut self, _: &[u8], _: usize, _: &mut Vec<Hash256>) -> Result<(), Fault> {
        unreachable!("there is nothing to hash")
    }

    fn search(&mut self, _: &SearchJob, _: u64, _: u64) -> Result<Scan, Fault> {
        unreachable!("a pool does not search")
    }
}

impl ShareEngine for Unasked {
    fn judge(&mut self, _: &[Claim]) -> Result<Vec<Judgement>, Fault> {
        unreachable!("there is nothing to judge")
    }

    fn retarget(&mut self, _: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault> {
        unreachable!("a checker does not retarget")
    }
}

fn checker(workers: Arc<Workers>) -> CheckerThread {
    let rules = JobRules { lifetime_ms: 1, known_ms: 1, jobs_max: 1, shares_max: 1, gain_thousandths: 1 };
    let (jobs, sandbox) = (Arc::new(JobBook::new(rules, 0)), Box::new(Unasked));
    let validator = Box::new(Unasked);
    CheckerThread {
        checker: Checker::new(CheckerParts { jobs, workers, native: None, sandbox, tree: None, validator }),
        clock: Arc::new(|| NOW),
        metrics: Arc::new(PoolMetrics::new(&TurnMetrics::default())),
        solved: mpsc::unbounded_channel().0,
    }
}

/// A ticket as a session gives it out.
fn ticket() -> Ticket {
    let settings =
        Settings { base: Base::Sha256, version_mask: 0, login_ms_max: 1, idle_ms_max: 1, version: String::new() };
    let mut session = Session::new(Arc::new(settings), ShareDifficulty::MIN, NOW);
    let (mut out, mut effects) = (Vec::new(), Vec::new());
    session.receive(br#"{"id":1,"method":"mining.subscribe","params":[]}"#, NOW, &mut out, &mut effects);
    match effects.pop() {
        Some(Effect::Subscribe(subscription)) => subscription.ticket,
        other => panic!("{other:?}"),
    }
}

/// What a connection sends at once: so many shares, the nonce of each says which parcel it was.
fn parcel(connection: u64, worker: u32, number: u32, shares: usize) -> Parcel {
    let submission = Submission {
        account: AccountId(1),
        worker: WorkerId(worker),
        job: JobId(0),
        difficulty: ShareDifficulty::MIN,
        extranonce1: Default::default(),
        extranonce2: Default::default(),
        time: 0,
        nonce: number,
        version_bits: None,
        version_mask: 0,
        commitment: None,
    };
    let ticket = ticket();
    let claimed = || Claimed { ticket: ticket.clone(), user: "user".into(), submission };
    Parcel {
        connection: ConnectionId(connection),
        origin: Ipv4Addr::LOCALHOST.into(),
        shares: std::iter::repeat_with(claimed).take(shares).collect(),
        name: None,
    }
}

#[test]
fn under_load_whose_record_is_good_is_not_held_up_and_nobody_is_forgotten() {
    const FLOOD: u32 = 200;
    const KNOWN: u32 = 1_000;
    let workers = Arc::new(Workers::new(WorkerRules { workers_max: 10_000, idle_ms: 60_000, shares_per_second: 100 }));
    let good = (WorkerId(KNOWN), ShareDifficulty::MIN, Outcome::Accepted { is_block: false });
    workers.note(std::iter::repeat_n(good, 100), NOW);
    let (sender, parcels) = mpsc::channel(PARCELS_WAITING_MAX);
    let (groups, mut checked) = mpsc::channel(GROUPS_WAITING_MAX);
    // Two parcels of each new name, then two of who is known.
    for number in 0..FLOOD {
        let name = number % (FLOOD / 2);
        assert!(sender.try_send(parcel(name.into(), name, number, 50)).is_ok());
    }
    for number in FLOOD..FLOOD + 2 {
        assert!(sender.try_send(parcel(KNOWN.into(), KNOWN, number, 50)).is_ok());
    }
    drop(sender);
    checker(workers).run(parcels, &groups);
    drop(groups);

    let mut order = Vec::new();
    let mut batches = 0;
    while let Some(group) = checked.blocking_recv() {
        let shares = group.outcomes.len();
        assert!(shares < BATCH_MAX + 50, "{shares}");
        order.extend(group.parcels.iter().map(|parcel| (parcel.connection, parcel.shares[0].submission.nonce)));
        batches += 1;
    }
    assert!(batches >= 9, "{batches}");
    let known: Vec<_> = order.iter().take(2).collect();
    assert_eq!(known, [&(ConnectionId(KNOWN.into()), FLOOD), &(ConnectionId(KNOWN.into()), FLOOD + 1)]);
    let mut last = BTreeMap::new();
    for (connection, number) in &order {
        assert!(last.insert(*connection, *number).is_none_or(|before| before < *number), "{order:?}");
    }
    assert_eq!(order.len(), (FLOOD + 2) as usize);
}
