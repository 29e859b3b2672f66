//! A peer-to-peer pool wired together: what its nodes agree on, their share log, what its blocks pay.

use crate::config::ResolvedChain;
use adit_network::NodeId;
use adit_node::chain::ChainHandle;
use adit_node::pool::shared::{Payouts, PayoutsParts, SharedPool};
use adit_node::run::Node;
use adit_node::settings::pool::SharedSettings;
use adit_node::sharelog::{Agreement, CertifiedRounds, ShareLog, ShareLogHandle, ShareLogParts, Times};
use adit_pool::money::credited::{OutputRules, PayeeKey, window_of};
use adit_pool::money::fees::{BasisPoints, Fees};
use adit_primitives::Amount;
use adit_primitives::engine::{PayoutEngine, QuorumEngine};
use adit_primitives::storage::Storage;
use adit_transport::NodeKey;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The weight of a founder beside the other founders.
const FOUNDER_WEIGHT: u64 = 1;

/// A running share log, with what the pool has of it.
pub struct Shared {
    log: ShareLog,
    /// Tells the log of new blocks.
    following: JoinHandle<()>,
    pub pool: SharedPool,
}

/// Takes part in the pool that `[pool.shared]` describes. `None` where there is no such table.
///
/// # Errors
/// Where the tables around it do not make a peer-to-peer pool, and where the disk or a plugin fails.
pub fn start(chain: &ResolvedChain, node: &Node, storage: Arc<dyn Storage>) -> Result<Option<Shared>> {
    let Some(settings) = &chain.settings.pool.shared else { return Ok(None) };
    let network = node.network().context("[pool.shared] needs the [network] table: its nodes are one pool over it")?;
    let own = network.node();
    let outputs = outputs(chain, settings)?;
    let mut scheme = chain.payout.plugin.payout(&chain.payout.config)?;
    let window_thousandths = window_of(&scheme.plan()?).context("[payout] is none for a peer-to-peer pool")?;
    let mut policy = chain.shares.plugin.quorum(&chain.shares.config).context("[shares] is none for [pool.shared]")?;
    let terms = policy.terms()?;
    let founders = founders(settings, own)?;
    let agreement = Agreement::new(chain.rules.identity(), &paying(chain, &outputs), &founders, &terms)?;
    let rounds = CertifiedRounds::open(storage, agreement.pool)?;
    let payouts = Arc::new(Payouts::new(PayoutsParts {
        rounds: rounds.clone(),
        reader: node.chain().reader().clone(),
        rules: Arc::new(chain.consensus.plugin.rules(&chain.consensus.config)?),
        scheme: Box::new(scheme),
        window_thousandths,
        prefix: chain.prefix.clone(),
        ledger: chain.ledger.clone(),
        outputs,
    }));
    tracing::info!(pool = %agreement.pool, node = %own, founders = founders.len(), "this node takes part in a peer-to-peer pool");
    if settings.founders.is_empty() {
        tracing::info!("it begins the pool: other nodes join it with founders = [\"{own}\"] under [pool.shared]");
    }
    let log = ShareLog::start(ShareLogParts {
        network: network.clone(),
        agreement,
        rounds,
        policy: Box::new(policy),
        hash: Box::new(chain.hash.plugin.hash(&chain.hash.config)?),
        jobs: payouts.clone(),
        times: Times::STANDARD,
    })?;
    let pool = SharedPool { log: log.handle().clone(), payouts, difficulty_least: terms.difficulty_least };
    let following = tokio::spawn(follow(node.chain().clone(), log.handle().clone()));
    Ok(Some(Shared { log, following, pool }))
}

impl Shared {
    /// Makes durable what has to be, and ends.
    pub async fn end(self) {
        self.following.abort();
        drop(self.pool);
        self.log.end().await;
    }
}

/// Has shares judged whose block was not here when they came.
async fn follow(chain: ChainHandle, log: ShareLogHandle) {
    let mut snapshots = chain.watch();
    while snapshots.changed().await.is_ok() {
        snapshots.borrow_and_update();
        log.chain_moved();
    }
}

/// The nodes that `founders` names: this one where it names none.
fn founders(settings: &SharedSettings, own: NodeKey) -> Result<BTreeMap<NodeId, u64>> {
    let named = settings
        .founders
        .iter()
        .map(|text| text.parse::<NodeKey>().with_context(|| format!("pool.shared.founders: {text:?}")));
    let mut nodes = named.collect::<Result<Vec<NodeKey>>>()?;
    if nodes.is_empty() {
        nodes.push(own);
    }
    Ok(nodes.into_iter().map(|node| (NodeId(node.0), FOUNDER_WEIGHT)).collect())
}

/// What coinbases pay to whom, besides the scheme.
fn outputs(chain: &ResolvedChain, settings: &SharedSettings) -> Result<OutputRules> {
    let pool = &chain.settings.pool;
    ensure!(pool.upstreams.is_empty(), "pool.upstreams: a peer-to-peer pool mines on its own chain alone");
    ensure!(pool.address.is_none(), "pool.address: the blocks of a peer-to-peer pool pay the miners themselves");
    ensure!(pool.money.pool_fee == 0, "pool.money.pool-fee: a peer-to-peer pool has no operator who could keep a fee");
    let foundation = match &pool.money.foundation_address {
        None => None,
        Some(address) => {
            let parsed =
                chain.prefix.parse(address).with_context(|| format!("pool.money.foundation-address: {address}"))?;
            let fees = Fees::new(BasisPoints(pool.money.foundation_fee), BasisPoints(0))?;
            Some((fees, PayeeKey(parsed.key.0)))
        }
    };
    let outputs_max = usize::try_from(settings.outputs_max)?;
    Ok(OutputRules { least: Amount::from_atoms(settings.output_min), outputs_max, foundation })
}

/// All that coinbases follow from besides the chain's rules and the shares, as text: part of the pool's name.
fn paying(chain: &ResolvedChain, outputs: &OutputRules) -> String {
    let OutputRules { least, outputs_max, foundation } = outputs;
    let digest = chain.payout.plugin.info().digest;
    let mut text = format!("payout {digest} {} least {} most {outputs_max}", chain.payout.config, least.to_atoms());
    if let Some((fees, key)) = foundation {
        write!(text, " foundation {} {:?}", fees.foundation().0, key.0).expect("a text takes any text");
    }
    text
}
