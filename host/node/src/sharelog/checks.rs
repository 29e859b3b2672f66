//! How batches of other nodes are checked: what is known of their nodes and of this one's load goes to the policy, and a plan comes back.

use super::hashing::{Hashed, count};
use super::price::HashPrice;
use adit_network::shares::{BatchId, BatchVerdict, Effect, Plan, SealedBatch, Validators, Which};
use adit_network::{Moment, NodeId};
use adit_primitives::contract::quorum::{CheckPlan, CheckQuestion};
use adit_primitives::contract::shares::WorkerRecord;
use adit_primitives::engine::QuorumEngine;
use std::collections::BTreeMap;
use std::time::Duration;

/// Nodes that are remembered at once. The one that was heard of first makes room.
const NODES_MAX: usize = 1_024;

/// Over which time the load is measured.
const LOAD_TIME: Duration = Duration::from_secs(2);

/// Asks the policy, and knows what it is told.
pub struct Checks {
    policy: Box<dyn QuorumEngine>,
    price: HashPrice,
    nodes: BTreeMap<NodeId, Known>,
    load: Load,
}

/// What is known of a node's shares.
struct Known {
    since: Moment,
    valid: u64,
    invalid: u64,
}

/// How much of the time the hashing thread was at work.
struct Load {
    from: Moment,
    busy: Duration,
    permille: u32,
}

impl Checks {
    pub fn new(policy: Box<dyn QuorumEngine>, price: HashPrice) -> Self {
        let load = Load { from: Moment::default(), busy: Duration::ZERO, permille: 0 };
        Self { policy, price, nodes: BTreeMap::new(), load }
    }

    /// Says where a batch is checked. A policy that fails has everything checked here.
    pub fn plan(&mut self, now: Moment, batch: &SealedBatch, validators: &Validators) -> Plan {
        let (node, shares) = (batch.batch().node, batch.batch().entries.len());
        let known = self.nodes.get(&node);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let record = known.map_or(WorkerRecord::default(), |known| WorkerRecord {
            valid: known.valid,
            invalid: known.invalid,
            known_ms: millis(now.since(known.since)),
        });
        let weight = validators.weight(node).saturating_mul(1_000).checked_div(validators.total());
        let question = CheckQuestion {
            shares: u32::try_from(shares).unwrap_or(u32::MAX),
            hash_ns: self.price.to_ns(),
            load_permille: self.load.permille,
            validators: u32::try_from(validators.nodes().len()).unwrap_or(u32::MAX),
            weight_permille: weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(0),
            record,
        };
        match self.policy.plan(&[question]).as_deref() {
            Ok([CheckPlan::Sample { one_in }]) => Plan::Sample { one_in: *one_in },
            Ok([CheckPlan::Ask { count }]) => Plan::Ask { count: *count },
            Ok(_) => Plan::Local,
            Err(fault) => {
                tracing::warn!(%fault, "the share validator has no plan: a batch is checked whole");
                Plan::Local
            }
        }
    }

    /// Returns what a batch costs the thread that hashes, in microseconds, by what is to become of it. Of one about which others are
    /// asked a single share is hashed, where they agree.
    pub fn cost_us(&self, batch: BatchId, effects: &[Effect]) -> u64 {
        let hashes = effects.iter().map(|effect| match effect {
            Effect::Judge { batch: judged, which } if judged.id() == batch => count(judged, which),
            Effect::Consult { batch: asked, .. } if asked.id() == batch => 1,
            _ => 0,
        });
        self.price.micros(hashes.sum::<usize>() as u64)
    }

    /// Returns what is hashed because of an objection, in microseconds: of each batch that is objected to one share.
    pub fn objection_us(&self, effects: &[Effect]) -> u64 {
        let hashes = effects.iter().map(|effect| match effect {
            Effect::Judge { batch, which } => count(batch, which),
            _ => 0,
        });
        self.price.micros(hashes.filter(|hashes| *hashes == 1).sum::<usize>() as u64)
    }

    /// Returns what hashing a batch whole costs the thread that hashes, in microseconds.
    pub fn whole_us(&self, batch: &SealedBatch) -> u64 {
        self.price.micros(count(batch, &Which::All) as u64)
    }

    /// Learns from a batch that was recomputed.
    pub fn hashed(&mut self, now: Moment, hashed: &Hashed) {
        self.load.worked(now, hashed.took);
        self.price.follow(hashed.spent);
        let node = hashed.batch.batch().node;
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&node) {
            let oldest = self.nodes.iter().min_by_key(|(_, known)| known.since).map(|(node, _)| *node);
            oldest.map(|node| self.nodes.remove(&node));
        }
        let known = self.nodes.entry(node).or_insert(Known { since: now, valid: 0, invalid: 0 });
        match &hashed.verdict {
            BatchVerdict::Valid { .. } => known.valid += hashed.shares as u64,
            BatchVerdict::Wrong { .. } => known.invalid += 1,
            BatchVerdict::Unknown | BatchVerdict::Fault => {}
        }
    }

    /// Looks at the load again, where nothing was hashed for a while.
    pub fn rested(&mut self, now: Moment) {
        self.load.worked(now, Duration::ZERO);
    }
}

impl Load {
    fn worked(&mut self, now: Moment, took: Duration) {
        self.busy += took;
        let passed = now.since(self.from);
        if passed >= LOAD_TIME {
            let permille = self.busy.as_millis() * 1_000 / passed.as_millis().max(1);
            self.permille = u32::try_from(permille).unwrap_or(u32::MAX).min(1_000);
            (self.from, self.busy) = (now, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::price::Spent;
    use super::*;
    use adit_network::shares::{Base, Batch, Entry, Identity, Job, Payee, PoolId};
    use adit_primitives::contract::quorum::QuorumTerms;
    use adit_primitives::contract::shares::ShareDifficulty;
    use adit_primitives::engine::Fault;
    use adit_primitives::{Amount, BlockId, Hash256, Height};
    use std::sync::Arc;

    struct NoPolicy;

    impl QuorumEngine for NoPolicy {
        fn terms(&mut self) -> Result<QuorumTerms, Fault> {
            unreachable!("nothing asks for terms here")
        }

        fn plan(&mut self, _: &[CheckQuestion]) -> Result<Vec<CheckPlan>, Fault> {
            unreachable!("nothing asks for a plan here")
        }
    }

    /// A batch of five shares.
    fn batch(number: u8) -> Arc<SealedBatch> {
        let identity = Identity::from_secret(&[number; 32]);
        let (node, pool) = (identity.node(), PoolId([0; 32]));
        let payee = Payee { account: "a".to_owned(), worker: String::new(), difficulty: ShareDifficulty::MIN };
        let job = Job {
            base: Base { round: 0, root: Hash256([0; 32]) },
            height: Height(1),
            reward: Amount::from_atoms(1),
            previous: BlockId([0; 32]),
            bits: 0,
            branch: Vec::new(),
            tail: Vec::new(),
        };
        let entry = Entry { job: 0, payee: 0, version: 1, extranonce: [0; 12], time: 0, nonce: 0 };
        let batch = Batch { pool, node, jobs: vec![job], payees: vec![payee], entries: vec![entry; 5] };
        Arc::new(SealedBatch::seal(batch, &identity).unwrap())
    }

    #[test]
    fn a_batch_costs_what_of_it_is_hashed() {
        let price = HashPrice::new(Spent { hashes: 1, cpu: Duration::from_micros(300) });
        let checks = Checks::new(Box::new(NoPolicy), price);
        let (batch, other) = (batch(1), batch(2));
        let judge = |batch: &Arc<SealedBatch>, which| Effect::Judge { batch: Arc::clone(batch), which };
        let check = |effect: Effect, want| {
            let effects = [judge(&other, Which::All), effect];
            assert_eq!(checks.cost_us(batch.id(), &effects), want, "{effects:?}");
        };
        check(judge(&batch, Which::All), 1_500);
        check(judge(&batch, Which::Some(vec![0, 3])), 600);
        check(Effect::Consult { batch: Arc::clone(&batch), count: 3 }, 300);
        check(judge(&other, Which::All), 0);
        let objected = [judge(&batch, Which::Some(vec![4])), judge(&other, Which::Some(vec![0, 3]))];
        assert_eq!((checks.objection_us(&objected), checks.whole_us(&batch)), (300, 1_500));
    }

    #[test]
    fn the_load_is_the_part_of_the_time_that_was_worked() {
        let mut load = Load { from: Moment::default(), busy: Duration::ZERO, permille: 0 };
        let ms = Duration::from_millis;
        load.worked(Moment::from_millis(1_000), ms(700));
        assert_eq!(load.permille, 0);
        load.worked(Moment::from_millis(2_000), ms(300));
        assert_eq!(load.permille, 500);
        load.worked(Moment::from_millis(6_000), ms(9_000));
        assert_eq!(load.permille, 1_000);
        load.worked(Moment::from_millis(9_000), Duration::ZERO);
        assert_eq!(load.permille, 0);
    }
}
