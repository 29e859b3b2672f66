//! A peer-to-peer pool of whole nodes: encrypted sessions over loopback, shares that were mined, disks that outlive their nodes.

use crate::support::{NativeHash, Plan, TestNode};
use adit_network::NodeId;
use adit_network::shares::{Base, Entry, Identity, Job, JobFault, Jobs, Past, Payee, Share};
use adit_node::api::rounds::{RoundResponse, RoundsResponse};
use adit_node::sharelog::{
    Agreement, CertifiedRounds, LocalShare, ShareLog, ShareLogHandle, ShareLogParts, ShareStanding, Times,
};
use adit_plugin_quorum::Quorum;
use adit_plugin_sdk::testing::NativeShares;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::engine::{Fault, HashEngine, QuorumEngine};
use adit_primitives::storage::{Batch, Entries, MemoryStorage, Storage, StorageError, Table};
use adit_primitives::{Amount, BlockId, Encode, Hash256, Height, Target, U256, sha256d};
use adit_transport::NodeKey;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Double SHA-256 that one digest of [`DearHash`] takes, some milliseconds; and shares that take more than a peer may have hashed at a time.
const DEAR_ROUNDS: usize = 16_000;
const FLOOD: u32 = 900;

const DIFFICULTY: ShareDifficulty = ShareDifficulty::from_log2_hashes(4);

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// The terms of the tests' pools: rounds as short as they may be.
const QUORUM: &str = r#"{"cap-percent":100,"difficulty-least-log2":4,"round-ms":100,"round-shares":1000}"#;

/// Everything that waits waits shortly: nodes are on one machine.
const TIMES: Times = Times {
    view: Duration::from_millis(400),
    view_more: Duration::from_millis(400),
    view_longest: Duration::from_secs(5),
    repair: Duration::from_millis(300),
    greet: Duration::from_millis(500),
    stall: Duration::from_millis(1_000),
};

/// A disk that survives its node: once it is cut off, nothing reaches it any more, as where the process was killed.
#[derive(Default)]
struct Disk {
    tables: MemoryStorage,
    cut: AtomicBool,
}

impl Storage for Disk {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.tables.get(table, key)
    }

    fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Entries, StorageError> {
        self.tables.scan(table, first, max)
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        match self.cut.load(Ordering::SeqCst) {
            true => Err(StorageError { detail: "the disk is gone".to_owned() }),
            false => self.tables.commit(batch),
        }
    }
}

/// The pool's coinbases: they name what they are for. Work on a round that is not certified here is not known yet.
struct TestJobs(CertifiedRounds);

fn head(job: &Job) -> Vec<u8> {
    [&job.base.to_bytes()[..], &job.height.0.to_le_bytes(), &job.reward.to_atoms().to_le_bytes()].concat()
}

fn target(difficulty: ShareDifficulty) -> Target {
    Target(U256::MAX >> usize::from(difficulty.to_log2_hashes()))
}

impl Jobs for TestJobs {
    fn head(&self, job: &Job) -> Result<Vec<u8>, JobFault> {
        match self.0.has(job.base) {
            Ok(true) => Ok(head(job)),
            Ok(false) if job.base.round <= self.0.newest().round => Err(JobFault::Wrong { rule: "base".to_owned() }),
            _ => Err(JobFault::Unknown),
        }
    }

    fn target(&self, difficulty: ShareDifficulty) -> Target {
        target(difficulty)
    }
}

/// A hash for which every share is right.
struct NoWork;

impl HashEngine for NoWork {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        digests.extend(inputs.chunks_exact(each).map(|_| Hash256::default()));
        Ok(())
    }

    fn search(&mut self, _: &SearchJob, _: u64, _: u64) -> Result<Scan, Fault> {
        Ok(Scan::default())
    }
}

/// A node of the pool.
struct Member {
    number: u8,
    node: TestNode,
    log: ShareLog,
    disk: Arc<Disk>,
    mined: u32,
}

fn node_of(number: u8) -> NodeId {
    Identity::from_secret(&[number; 32]).node()
}

fn policy() -> Box<NativeShares<Quorum>> {
    Box::new(NativeShares::new(QUORUM))
}

impl Member {
    /// Starts a node of a pool whose founders are the nodes 1 to `founders`, which calls `others`.
    async fn start(number: u8, founders: u8, others: &[&Self], disk: Arc<Disk>, hash: Box<dyn HashEngine>) -> Self {
        let mut bootstrap = Vec::new();
        for other in others {
            bootstrap.push(other.listens().await);
        }
        let network = json!({ "listen": ["127.0.0.1:0"], "bootstrap": bootstrap, "lan": false, "table": false, "traversal": false });
        let plan = Plan {
            settings: json!({ "network": network }),
            keeps_shares: true,
            node_key: Some([number; 32]),
            ..Plan::default()
        };
        let node = TestNode::start_with(plan).await;
        let terms = policy().terms().unwrap();
        let founders = (1..=founders).map(|number| (node_of(number), 1)).collect();
        let agreement = Agreement::new(node.identity.identity(), "the tests' pool", &founders, &terms).unwrap();
        let rounds = CertifiedRounds::open(Arc::clone(&disk) as Arc<dyn Storage>, agreement.pool).unwrap();
        let log = ShareLog::start(ShareLogParts {
            network: node.node.network().unwrap().clone(),
            agreement,
            rounds: rounds.clone(),
            policy: policy(),
            hash,
            jobs: Arc::new(TestJobs(rounds)),
            times: TIMES,
        });
        Self { number, node, log: log.unwrap(), disk, mined: 0 }
    }

    /// Starts an honest pool of so many founders, each of which calls those before it.
    async fn pool(founders: u8) -> Vec<Self> {
        let mut members: Vec<Self> = Vec::new();
        for number in 1..=founders {
            let others: Vec<&Self> = members.iter().collect();
            let member = Self::start(number, founders, &others, Arc::default(), Box::new(NativeHash)).await;
            members.push(member);
        }
        members
    }

    fn handle(&self) -> &ShareLogHandle {
        self.log.handle()
    }

    /// The address at which others reach it.
    async fn listens(&self) -> String {
        let mut standing = self.node.node.network().unwrap().watch();
        let listening = standing.wait_for(|standing| !standing.listening.is_empty());
        let listening = tokio::time::timeout(PATIENCE, listening).await.expect("it listens").unwrap();
        let text = listening.listening[0].to_string();
        let port = text.split('/').nth(4).unwrap_or_default();
        format!("127.0.0.1:{port}")
    }

    /// Mines a share on the newest round, one that misses its target where it is not to be `right`, and hands it in.
    fn mine(&mut self, right: bool) {
        let base: Base = self.handle().rounds().newest();
        let job = Job {
            base,
            height: Height(base.round + 1),
            reward: Amount::from_atoms(50),
            previous: BlockId([1; 32]),
            bits: 0x207f_ffff,
            branch: vec![],
            tail: vec![],
        };
        let payee =
            Payee { account: format!("account-{}", self.number), worker: "rig".to_owned(), difficulty: DIFFICULTY };
        let mut extranonce = [0; 12];
        extranonce[..4].copy_from_slice(&self.mined.to_le_bytes());
        self.mined += 1;
        let (pool, node) = (self.handle().rounds().pool(), self.handle().node());
        let meets = |entry: &Entry| {
            let share = Share { node, job: &job, payee: &payee, entry };
            target(DIFFICULTY).is_met_by(&sha256d(&share.header(pool, &head(&job)))) == right
        };
        let entries = (0u32..).map(|nonce| Entry { job: 0, payee: 0, version: 1, extranonce, time: 0, nonce });
        let entry = entries.into_iter().find(meets).unwrap();
        self.handle().share(LocalShare { job, payee, entry }).unwrap();
    }

    /// Waits until something is so.
    async fn until(&self, what: &str, is_so: impl Fn(&ShareStanding) -> bool) -> Arc<ShareStanding> {
        let mut standing = self.handle().standing();
        let so = standing.wait_for(|standing| is_so(standing));
        match tokio::time::timeout(PATIENCE, so).await {
            Ok(found) => found.unwrap().clone(),
            Err(_) => {
                panic!("node {}: {what} never came; it stands at {:?}", self.number, self.handle().standing().borrow())
            }
        }
    }

    /// Waits until so many shares are credited.
    async fn credited(&self, shares: usize) {
        self.until(&format!("{shares} shares are credited"), |_| self.credits() >= shares).await;
    }

    fn pasts(&self) -> Vec<Arc<Past>> {
        self.handle().rounds().pasts(1).map(Result::unwrap).collect()
    }

    fn credits(&self) -> usize {
        self.pasts().iter().map(|past| past.credits.len()).sum()
    }

    /// Ends as a process that is killed: nothing reaches the disk any more, and nobody is told.
    async fn kill(self) -> Arc<Disk> {
        self.disk.cut.store(true, Ordering::SeqCst);
        self.node.node.end().await.unwrap();
        self.log.end().await;
        let tables = Arc::try_unwrap(self.disk).map_or_else(|disk| copy(&disk.tables), |disk| disk.tables);
        Arc::new(Disk { tables, cut: AtomicBool::new(false) })
    }

    async fn end(self) {
        self.log.end().await;
        self.node.node.end().await.unwrap();
    }
}

fn copy(tables: &MemoryStorage) -> MemoryStorage {
    let (copy, mut batch) = (MemoryStorage::default(), Batch::default());
    for table in Table::ALL {
        for (key, value) in tables.scan(table, &[], usize::MAX).unwrap() {
            batch.put(table, key, value);
        }
    }
    copy.commit(batch).unwrap();
    copy
}

/// Checks that two nodes have the same rounds with the same credits, as far as both have them.
#[track_caller]
fn assert_agreed(members: &[&Member]) {
    let all: Vec<Vec<Arc<Past>>> = members.iter().map(|member| member.pasts()).collect();
    for pasts in &all {
        for (one, other) in std::iter::zip(&all[0], pasts) {
            assert_eq!(one, other, "round {} differs", one.base.round);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_credit_the_same_shares_in_the_same_rounds() {
    let mut members = Member::pool(3).await;
    for round in 1..=3 {
        members.iter_mut().for_each(|member| (0..4).for_each(|_| member.mine(true)));
        for member in &members {
            member.credited(round * 12).await;
        }
    }
    assert_agreed(&members.iter().collect::<Vec<_>>());
    for number in 1..=3 {
        let account = format!("account-{number}");
        let credits = members[0]
            .pasts()
            .iter()
            .flat_map(|past| past.credits.clone())
            .filter(|credit| credit.account == account)
            .count();
        assert_eq!(credits, 12, "{account}");
    }
    let shown: RoundsResponse = serde_json::from_value(members[0].node.get("/pool/rounds").await.body).unwrap();
    let pool = shown.pool.expect("it takes part");
    assert!(shown.enabled && !pool.waiting && pool.halted.is_none() && pool.liars.is_empty(), "{pool:?}");
    assert_eq!((pool.validators.len(), pool.node), (3, NodeKey(node_of(1).0).to_string()));
    let first: RoundResponse = serde_json::from_value(members[1].node.get("/pool/rounds/1").await.body).unwrap();
    let want = &members[2].pasts()[0];
    assert_eq!((first.root, first.round), (want.base.root.to_string(), 1));
    assert_eq!(first.credits.iter().map(|credit| credit.shares).sum::<u64>(), want.credits.len() as u64);
    members[0].node.get("/pool/rounds/1000").await.refused(404, "not-found");
    let metrics = members[0].node.get("/metrics").await.body;
    for line in ["\nadit_shares_own_total 12\n", "\nadit_shares_behind "] {
        assert!(metrics.as_str().unwrap().contains(line), "{metrics}");
    }
    for member in members {
        member.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_killed_goes_on_from_its_disk_and_catches_up() {
    let mut members = Member::pool(4).await;
    members.iter_mut().for_each(|member| member.mine(true));
    for member in &members {
        member.credited(4).await;
    }
    // Its last share may or may not have left it.
    members[3].mine(true);
    let disk = members.pop().unwrap().kill().await;
    for round in 1..=5 {
        members.iter_mut().for_each(|member| member.mine(true));
        for member in &members {
            member.credited(4 + round * 3).await;
        }
    }
    let others: Vec<&Member> = members.iter().collect();
    let mut back = Member::start(4, 4, &others, disk, Box::new(NativeHash)).await;
    back.credited(19).await;
    back.mine(true);
    members.push(back);
    for member in &members {
        member.credited(20).await;
        let standing = member.handle().standing().borrow().clone();
        assert!(
            standing.view.halted.is_none() && standing.liars.is_empty() && standing.counters.frauds == 0,
            "{standing:?}"
        );
    }
    assert_agreed(&members.iter().collect::<Vec<_>>());
    for member in members {
        member.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_alone_says_that_payouts_wait_and_credits_nothing_until_another_comes() {
    let mut alone = Member::start(1, 3, &[], Arc::default(), Box::new(NativeHash)).await;
    alone.mine(true);
    let standing = alone.until("that it waits", |standing| standing.view.waiting).await;
    assert_eq!((standing.view.base.round, alone.credits()), (0, 0));
    let second = Member::start(2, 3, &[&alone], Arc::default(), Box::new(NativeHash)).await;
    let third = Member::start(3, 3, &[&alone, &second], Arc::default(), Box::new(NativeHash)).await;
    for member in [&alone, &second, &third] {
        member.credited(1).await;
    }
    alone.until("that rounds go on", |standing| !standing.view.waiting).await;
    assert_agreed(&[&alone, &second, &third]);
    for member in [alone, second, third] {
        member.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_share_is_credited_to_nobody_and_its_node_is_named() {
    // It hashes nothing, and so finds its own wrong share right.
    let mut liar = Member::start(4, 4, &[], Arc::default(), Box::new(NoWork)).await;
    let mut members: Vec<Member> = Vec::new();
    for number in 1..=3 {
        let others: Vec<&Member> = members.iter().chain([&liar]).collect();
        let member = Member::start(number, 4, &others, Arc::default(), Box::new(NativeHash)).await;
        members.push(member);
    }
    members.iter_mut().for_each(|member| member.mine(true));
    for member in &members {
        member.credited(3).await;
    }
    liar.mine(false);
    for member in &members {
        member.until("that the liar is named", |standing| standing.liars == [node_of(4)]).await;
    }
    members.iter_mut().for_each(|member| member.mine(true));
    for member in &members {
        member.credited(6).await;
        assert!(member.pasts().iter().flat_map(|past| &past.credits).all(|credit| credit.node != node_of(4)));
    }
    assert_agreed(&members.iter().collect::<Vec<_>>());
    liar.end().await;
    for member in members {
        member.end().await;
    }
}

/// A hash that takes milliseconds.
struct DearHash(NativeHash);

impl HashEngine for DearHash {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        let mut warmth = [0; 32];
        for input in inputs.chunks_exact(each) {
            (0..DEAR_ROUNDS).for_each(|_| warmth = sha256d(&[input, &warmth].concat()));
        }
        std::hint::black_box(warmth);
        self.0.digest_many(inputs, each, digests)
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        self.0.search(job, first, count)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_has_too_much_hashed_is_refused_and_what_is_credited_is_hashed_all_the_same() {
    let frugal = Member::start(1, 2, &[], Arc::default(), Box::new(DearHash(NativeHash))).await;
    // It hashes nothing itself, and so sends faster than the other one takes.
    let mut flood = Member::start(2, 2, &[&frugal], Arc::default(), Box::new(NoWork)).await;
    // Once one share is credited they know each other: neither certifies anything alone.
    flood.mine(true);
    frugal.credited(1).await;
    (0..FLOOD).for_each(|_| flood.mine(true));
    let refused = frugal.until("that batches are refused", |standing| standing.counters.refused > 0).await;
    assert!(refused.counters.hashed < u64::from(FLOOD), "{refused:?}");
    // A round that names what was refused asks for it, and it is hashed then.
    frugal.credited(1 + FLOOD as usize).await;
    let standing =
        frugal.until("that all of it was hashed", |standing| standing.counters.hashed > u64::from(FLOOD)).await;
    assert!(standing.liars.is_empty(), "{standing:?}");
    assert_agreed(&[&frugal, &flood]);
    flood.end().await;
    frugal.end().await;
}
