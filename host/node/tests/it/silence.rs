//! Miners give a silent pool up after two minutes. The clock of these tests is simulated: it goes on when nothing else does.

use crate::upstreams::{Scripted, node, settings, sound};
use adit_node::pool::connection::Connection;
use adit_node::pool::solved::Notes;
use adit_node::pool::{Pool, PoolParts, Scheme};
use adit_node::settings::pool::PoolSettings;
use adit_primitives::Timestamp;
use adit_primitives::accounts::MemoryAccounts;
use adit_primitives::contract::payout::{
    Credit, Economics, FoundBlock, PayoutPlan, Pays, ShareToWeigh, Weight, Window,
};
use adit_primitives::contract::shares::{Claim, Judgement, ShareDifficulty, WorkHistory};
use adit_primitives::engine::{Fault, PayoutEngine, ShareEngine};
use adit_primitives::storage::MemoryStorage;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

/// Nobody is silent for longer than that.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Leaves every difficulty as it is. No share comes.
struct Steady;

impl ShareEngine for Steady {
    fn judge(&mut self, _: &[Claim]) -> Result<Vec<Judgement>, Fault> {
        unreachable!("nobody finds a share")
    }

    fn retarget(&mut self, histories: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault> {
        Ok(histories.iter().map(|history| history.difficulty).collect())
    }
}

/// Would pay for blocks. None is found.
struct Unpaid;

impl PayoutEngine for Unpaid {
    fn plan(&mut self) -> Result<PayoutPlan, Fault> {
        Ok(PayoutPlan { pays: Pays::Blocks, window: Window::None, weighs: false })
    }

    fn weigh(&mut self, _: &[ShareToWeigh]) -> Result<Vec<u64>, Fault> {
        unreachable!("nobody finds a share")
    }

    fn split(&mut self, _: &FoundBlock, _: &[Weight]) -> Result<Vec<Credit>, Fault> {
        unreachable!("nobody finds a block")
    }

    fn settle(&mut self, _: &[Weight], _: &Economics) -> Result<Vec<Credit>, Fault> {
        unreachable!("nobody finds a share")
    }
}

/// A pool before a node. Its jobs never grow old: to the pool no time passes.
async fn pool(url: &str, folder: &tempfile::TempDir) -> Pool {
    let upstreams = vec![settings(url, folder)];
    let pool = Pool::start(PoolParts {
        upstreams: upstreams.iter().map(node).collect(),
        settings: PoolSettings { stratum: "127.0.0.1:0".parse().unwrap(), upstreams, ..PoolSettings::unset() },
        checks: Vec::new(),
        space: None,
        retargets: Box::new(Steady),
        scheme: Scheme { name: "unpaid".to_owned(), engine: Box::new(Unpaid) },
        load: Box::new(|_| unreachable!("there was no other scheme")),
        notes: Notes::open(folder.path().join("solved")).unwrap(),
        storage: Arc::new(MemoryStorage::default()),
        books: Arc::new(MemoryAccounts::default()),
        version_mask: 0x1fff_e000,
        shared: None,
        clock: Arc::new(|| Timestamp::from_secs(1_700_000_000)),
        entropy: Arc::new(|bytes| bytes.fill(7)),
    });
    pool.await.unwrap()
}

/// A miner that has logged in and only listens.
struct Miner(BufReader<DuplexStream>);

impl Miner {
    async fn log_in(pool: &Pool) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let front = Arc::clone(&pool.running().front);
        tokio::spawn(Connection::serve(front, far, IpAddr::V4(Ipv4Addr::LOCALHOST), Vec::new()));
        let mut miner = Self(BufReader::new(near));
        miner.say(1, "mining.subscribe", &json!([])).await;
        miner.job().await;
        miner.say(2, "mining.authorize", &json!(["pool", "x"])).await;
        miner.line("\"id\":2,\"result\":true").await;
        miner
    }

    async fn say(&mut self, id: u32, method: &str, params: &Value) {
        let line = json!({ "id": id, "method": method, "params": params });
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Waits for the next job.
    async fn job(&mut self) {
        self.line("mining.notify").await;
    }

    /// Waits for a line that holds a text.
    async fn line(&mut self, wanted: &str) {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "the pool hung up");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_miner_hears_of_its_job_every_minute_although_nothing_changes() {
    let (folder, node) = (tempfile::tempdir().unwrap(), Scripted::start(sound(7)).await);
    let pool = pool(&node.url, &folder).await;
    let mut miner = Miner::log_in(&pool).await;
    for job in 1..=20 {
        let heard = tokio::time::timeout(SILENCE_MAX, miner.job()).await;
        assert!(heard.is_ok(), "job {job} has not come after {SILENCE_MAX:?}");
    }
    drop(miner);
    pool.end().await;
}
