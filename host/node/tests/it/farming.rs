//! A farmer with a plot, and nodes that say what a test has them say: where what wins goes, and where it goes when it was not taken.

use crate::support::{TestNode, test_entropy};
use adit_chain::{PublicKey, SecretKey, Signature};
use adit_kernels::space::{Backend, Baseline};
use adit_node::api::blocks::SubmitBlockRequest;
use adit_node::api::shapes::{Hex, IdentityBody};
use adit_node::api::space::SpaceBody;
use adit_node::client::NodeClient;
use adit_node::farming::{Farming, FarmingParts};
use adit_node::mining::{MinerReport, MiningFailure, WorkSource};
use adit_node::settings::MinerSettings;
use adit_node::settings::farm::FarmSettings;
use adit_primitives::contract::space::{Challenge, PlotKind, Registration, SpaceProof};
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::space::ScoreHash;
use adit_primitives::{BlockId, Decode, Hash256, Target, Timestamp};
use adit_space::farm::{Engines, Scoring};
use adit_space::{Silent, plain};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

const GENESIS: BlockId = BlockId([5; 32]);

/// When all templates are made.
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What a share's proof and a block's both meet.
const TARGET: Target = Target::MAX;

fn key() -> SecretKey {
    SecretKey::from_bytes([7; 32]).unwrap()
}

fn rules() -> Rules {
    let plugin = |name: &str| RulePlugin { name: name.into(), digest: Hash256::default(), config: "{}".into() };
    Rules {
        chain: "space".into(),
        network: "devnet".into(),
        genesis: GENESIS,
        consensus: plugin("proof-of-space"),
        hash: plugin("sha256"),
        ledger: "{}".into(),
    }
}

/// A node that farmers ask.
struct Node {
    url: String,
    templates: mpsc::UnboundedSender<Value>,
    proofs: mpsc::UnboundedReceiver<Handed>,
}

/// A proof that waits for its answer.
struct Handed {
    template: u64,
    proof: SpaceProof,
    answer: oneshot::Sender<(StatusCode, Value)>,
}

#[derive(Clone)]
struct Served {
    templates: Arc<Mutex<mpsc::UnboundedReceiver<Value>>>,
    proofs: mpsc::UnboundedSender<Handed>,
}

impl Node {
    async fn start() -> Self {
        let (templates, waiting) = mpsc::unbounded_channel();
        let (handed, proofs) = mpsc::unbounded_channel();
        let served = Served { templates: Arc::new(Mutex::new(waiting)), proofs: handed };
        let router = Router::new()
            .route("/identity", get(async || Json(IdentityBody::new(&rules()))))
            .route("/template", get(push))
            .route("/submit_block", post(take))
            .with_state(served);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, templates, proofs }
    }

    fn source(&self) -> Arc<WorkSource> {
        let client = NodeClient::new(std::slice::from_ref(&self.url), None, rules(), test_entropy()).unwrap();
        Arc::new(WorkSource::Nodes { client, address: "farmer".to_owned() })
    }

    /// Pushes a template for a challenge.
    fn gives(&self, template: u64, challenge: u8) {
        self.gives_with(template, challenge, &[], false);
    }

    fn gives_with(&self, template: u64, challenge: u8, register: &[Registration], shares: bool) {
        self.templates.send(template_of(template, challenge, register, shares)).unwrap();
    }

    /// Waits for a proof, which must be signed by the plot's owner for the template that it names.
    async fn proof(&mut self) -> Handed {
        let handed = self.proofs.recv().await.unwrap();
        let claim = &handed.proof.claim;
        let message = claim.message(&GENESIS, &header(handed.template));
        assert!(PublicKey(claim.key.0).verifies(&message, &Signature(handed.proof.signature)), "{claim:?}");
        handed
    }
}

async fn push(State(served): State<Served>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let mut templates = served.templates.lock().await;
        while let Some(template) = templates.recv().await {
            if socket.send(Message::text(template.to_string())).await.is_err() {
                return;
            }
        }
    })
}

async fn take(State(served): State<Served>, Json(request): Json<SubmitBlockRequest>) -> (StatusCode, Json<Value>) {
    let (answer, answered) = oneshot::channel();
    let proof = SpaceProof::from_bytes(&request.space_proof.unwrap().0).unwrap();
    served.proofs.send(Handed { template: request.template_id.unwrap(), proof, answer }).unwrap();
    // Where the test says nothing, the farmer waits.
    let (status, body) = match answered.await {
        Ok(said) => said,
        Err(_) => std::future::pending().await,
    };
    (status, Json(body))
}

impl Handed {
    fn accept(self) {
        let confirmation = json!({ "chain_length": 2, "total_work": "1", "state_version": 2 });
        let taken =
            json!({ "status": "accepted", "message": "", "block_index": 1, "hash": "", "confirmation": confirmation });
        self.answer.send((StatusCode::OK, taken)).unwrap();
    }

    fn refuse(self) {
        let error = json!({ "error": { "code": "invalid-block", "message": "no" } });
        self.answer.send((StatusCode::BAD_REQUEST, error)).unwrap();
    }

    /// Says nothing, whatever happens to the test.
    fn keep_waiting(self) {
        std::mem::forget(self.answer);
    }
}

fn header(template: u64) -> Vec<u8> {
    template.to_be_bytes().to_vec()
}

fn template_of(template: u64, challenge: u8, register: &[Registration], shares: bool) -> Value {
    let asked = Challenge {
        plots: PlotKind::Plain,
        challenge: Hash256([challenge; 32]),
        target: TARGET,
        opens: NOW,
        closes: Timestamp::from_millis(NOW.to_millis() + 3_600_000),
        registered_by: None,
        registrations_max: u32::try_from(register.len()).unwrap(),
    };
    let target = TARGET.to_string();
    let work = json!({
        "bytes": "", "nonce_offset": 0, "nonce_bytes": 0, "roll_offset": 0, "roll_mask": 0, "target": target,
    });
    let seconds = NOW.to_millis() / 1_000;
    json!({
        "status": "template_created",
        "block_template": {
            "template_id": template, "state_version": 1, "index": 1, "previous_hash": "", "timestamp": seconds,
            "expires": seconds, "target_difficulty": 1, "bits": 0, "merkle_root": "", "shares": shares,
            "header": Hex(header(template)), "work": work, "space": SpaceBody::new(&asked, register),
        },
        "target_difficulty": 1,
        "mining_metadata": {
            "transaction_count": 0, "total_fees": "0", "total_fees_atoms": 0, "block_reward": "0",
            "block_reward_atoms": 0,
        },
    })
}

/// A farmer with a plot of a thousand leaves.
struct Farmer {
    farming: Farming,
    reports: watch::Receiver<Arc<MinerReport>>,
    _plots: TempDir,
}

impl Farmer {
    fn start(source: Arc<WorkSource>) -> Self {
        let plots = tempfile::tempdir().unwrap();
        let owner = key().public().0;
        let order =
            plain::Order { folder: plots.path(), key: owner, seed: [3; 32], bytes: 40_000, threads: 1, reserve: 0 };
        plain::make(&order, &Backend::widest(), &Silent).unwrap();
        let (report, reports) = watch::channel(Arc::new(MinerReport::default()));
        let parts = FarmingParts {
            source,
            key: key(),
            genesis: GENESIS,
            miner: MinerSettings::unset(),
            settings: FarmSettings { folders: vec![plots.path().to_owned()], ..FarmSettings::unset() },
            engines: Engines { scan: Arc::new(Backend::widest()), single: Arc::new(Baseline) },
            scoring: Scoring::Native(ScoreHash::Sha256),
            entropy: test_entropy(),
            report,
            changes: None,
        };
        Self { farming: Farming::start(parts).unwrap(), reports, _plots: plots }
    }

    async fn reports(&mut self, wanted: impl Fn(&MinerReport) -> bool) {
        self.reports.wait_for(|report| wanted(report)).await.unwrap();
    }
}

/// A plot of somebody else's that waits to be registered.
fn other_plot(number: u8) -> Registration {
    let hash = |byte| Hash256([byte; 32]);
    Registration { key: Hash256(key().public().0), seed: hash(number), leaves: 1_024, root: hash(9) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_win_goes_into_each_template_for_its_challenge_until_it_is_taken() {
    let mut node = Node::start().await;
    let mut farmer = Farmer::start(node.source());
    node.gives(1, 1);
    let first = node.proof().await;
    assert_eq!((first.template, first.proof.claim.challenge), (1, Hash256([1; 32])));
    let place = first.proof.claim.place.clone();
    first.refuse();
    farmer.reports(|report| report.blocks_refused == 1).await;
    node.gives(2, 1);
    let second = node.proof().await;
    assert_eq!((second.template, &second.proof.claim.place), (2, &place));
    second.accept();
    farmer.reports(|report| report.blocks_accepted == 1).await;
    // Another block on the same parent would only be its rival.
    node.gives(3, 1);
    node.gives(4, 2);
    let next = node.proof().await;
    assert_eq!((next.template, next.proof.claim.challenge), (4, Hash256([2; 32])));
    next.accept();
    // What is on its way arrives before the farmer ends.
    farmer.farming.end().await.unwrap();
    assert!(node.proofs.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_win_that_was_not_taken_goes_into_the_template_that_came_meanwhile() {
    let mut node = Node::start().await;
    let farmer = Farmer::start(node.source());
    node.gives(1, 1);
    let first = node.proof().await;
    node.gives(2, 1);
    node.gives(3, 2);
    // Templates are taken in their order: the second is there when the third wins.
    let third = node.proof().await;
    assert_eq!(third.template, 3);
    first.refuse();
    let again = node.proof().await;
    assert_eq!((again.template, again.proof.claim.challenge), (2, Hash256([1; 32])));
    drop(farmer);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_registered_does_not_cost_the_block() {
    let mut node = Node::start().await;
    let mut farmer = Farmer::start(node.source());
    let others = [other_plot(1), other_plot(2)];
    node.gives_with(1, 1, &others, false);
    let first = node.proof().await;
    // The winning plot is registered before all others, in the room that there is.
    let registered = &first.proof.claim.registrations;
    assert!(registered.len() == 2 && !others.contains(&registered[0]) && registered[1] == others[0], "{registered:?}");
    let own = registered[0];
    first.refuse();
    let again = node.proof().await;
    assert_eq!((again.template, &again.proof.claim.registrations[..]), (1, &[own][..]));
    again.accept();
    farmer.reports(|report| report.blocks_accepted == 1 && report.blocks_refused == 0).await;
    farmer.farming.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_source_says_of_a_win_is_not_taken_for_what_another_does() {
    let (mut one, mut other) = (Node::start().await, Node::start().await);
    let mut farmer = Farmer::start(one.source());
    one.gives(1, 1);
    let late = one.proof().await;
    farmer.farming.switch().set(other.source());
    // Both keep one chain, and ask for the same.
    other.gives(7, 1);
    let taken = other.proof().await;
    assert_eq!(taken.template, 7);
    taken.accept();
    farmer.reports(|report| report.blocks_accepted == 1).await;
    late.refuse();
    farmer.reports(|report| report.blocks_refused == 1).await;
    other.gives(8, 1);
    other.gives(9, 2);
    let next = other.proof().await;
    assert_eq!(next.template, 9, "what is taken is handed in again");
    next.accept();
    farmer.farming.end().await.unwrap();
    assert!(other.proofs.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_go_to_another_pool_although_the_first_never_answers() {
    let (mut one, mut other) = (Node::start().await, Node::start().await);
    let farmer = Farmer::start(one.source());
    one.gives_with(1, 1, &[], true);
    one.proof().await.keep_waiting();
    farmer.farming.switch().set(other.source());
    other.gives_with(7, 1, &[], true);
    assert_eq!(other.proof().await.template, 7);
    // The farmer asks four times before it gives up.
    let again = std::iter::from_fn(|| one.proofs.try_recv().ok()).count();
    assert!(again < 3, "the first was waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_mined_by_work_has_nothing_to_farm() {
    let node = TestNode::start().await;
    let clock = crate::support::test_clock();
    let own = WorkSource::Own { chain: node.node.chain().clone(), pay_to: node.key.public(), clock };
    let farmer = Farmer::start(Arc::new(own));
    let ended = farmer.farming.run_until(std::future::pending()).await;
    assert!(matches!(ended, Err(MiningFailure::NotSpace)), "{ended:?}");
}
