//! What the coinbases of the pool's jobs have to be: computed by each node for itself, from certified rounds and its chain.
//!
//! Takes no node's word: a job of others is one whose height, bits and reward the rules allow on its previous block, and whose base this node
//! has certified too. What is not known here yet is no fault of anybody. Answers are remembered; what they follow from never changes.

use crate::sharelog::CertifiedRounds;
use adit_chain::{AddressPrefix, ChainReader, CoinbaseData, LedgerRules, Output, PublicKey, Transaction, WorkTemplate};
use adit_network::shares::record::COMMITMENT_BYTES;
use adit_network::shares::{Base, Job, JobFault, Jobs, Past};
use adit_pool::money::credited::{
    self, BlockToPay, CreditedRound, CreditedRounds, OutputRules, PaidOutput, PayeeKey, WINDOW_ROUNDS_MAX,
};
use adit_pool::work::adit::{self, AditWork};
use adit_pool::work::share::target_of;
use adit_pool::work::template::{self, BlockTemplate, HEADER_BYTES, JOB_BYTES, TemplateError};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::engine::{PayoutEngine, RulesEngine};
use adit_primitives::{Amount, BlockId, Encode, Height, Target, U256, Work};
use lru::LruCache;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

#[cfg(test)]
mod tests;

/// How many blocks are remembered with what the rules say of the next.
const FACTS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// How many windows and how many coinbases' outputs are remembered.
const WINDOWS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
const OUTPUTS_REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// How many rounds before the newest are read at a start: those in any window, and the bases that shares may still name.
const ROUNDS_READ: u64 = WINDOW_ROUNDS_MAX as u64 + 96;

/// What payouts are computed with.
pub struct PayoutsParts {
    pub rounds: CertifiedRounds,
    pub reader: ChainReader,
    pub rules: Arc<dyn RulesEngine>,
    pub scheme: Box<dyn PayoutEngine>,
    /// How much work the scheme's window holds, in thousandths of a block's.
    pub window_thousandths: u64,
    pub prefix: AddressPrefix,
    pub ledger: LedgerRules,
    pub outputs: OutputRules,
}

/// Computes coinbases.
pub struct Payouts {
    rounds: CertifiedRounds,
    reader: ChainReader,
    rules: Arc<dyn RulesEngine>,
    window_thousandths: u64,
    prefix: AddressPrefix,
    ledger: LedgerRules,
    outputs: OutputRules,
    memory: Mutex<Memory>,
}

/// What the rules say of the block after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) height: Height,
    pub(super) bits: u32,
    pub(super) work: Work,
    pub(super) subsidy: Amount,
}

/// What was computed, and the scheme that computes.
struct Memory {
    scheme: Box<dyn PayoutEngine>,
    credited: CreditedRounds,
    facts: LruCache<BlockId, Facts>,
    windows: LruCache<(u64, Work), Arc<BTreeMap<PayeeKey, U256>>>,
    outputs: LruCache<(u64, Height, Amount, Work), Arc<[PaidOutput]>>,
}

/// Why there is no work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkFault {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("the coinbase of the pool's next block: {0}")]
    Job(#[from] JobFault),
}

impl Payouts {
    /// Begins with nothing computed.
    pub fn new(parts: PayoutsParts) -> Self {
        let PayoutsParts { rounds, reader, rules, scheme, window_thousandths, prefix, ledger, outputs } = parts;
        let memory = Memory {
            scheme,
            credited: CreditedRounds::default(),
            facts: LruCache::new(FACTS_MAX),
            windows: LruCache::new(WINDOWS_MAX),
            outputs: LruCache::new(OUTPUTS_REMEMBERED),
        };
        let memory = Mutex::new(memory);
        Self { rounds, reader, rules, window_thousandths, prefix, ledger, outputs, memory }
    }

    /// Returns the newest certified round, and every later one.
    pub fn watch(&self) -> watch::Receiver<Base> {
        self.rounds.watch()
    }

    /// Returns an address in the one form that the chain writes it in.
    pub fn address(&self, text: &str) -> Option<String> {
        self.prefix.parse(text).ok().map(|address| address.to_string())
    }

    /// Returns the address of a key.
    pub fn address_of(&self, key: PayeeKey) -> String {
        self.prefix.address(PublicKey(key.0)).to_string()
    }

    /// Makes work of a template of this node's chain: the coinbase pays as the newest certified round says, and of the transactions as many
    /// stay, in their order, as it leaves room for. The template's own coinbase must hold the zeros of [`Self::extra`].
    pub fn work(&self, template: &WorkTemplate, tag: &[u8]) -> Result<BlockTemplate, WorkFault> {
        let coinbase = template.coinbase.to_bytes();
        let transactions: Vec<Vec<u8>> =
            template.transactions.iter().map(|pending| pending.transaction.to_bytes()).collect();
        let mut work = adit::template(&AditWork {
            height: template.requirements.height,
            header: template.header.clone(),
            pow: template.pow.clone(),
            target: template.target,
            earliest: template.requirements.earliest,
            extranonce_offset: coinbase.len() - tag.len() - super::BOTH_EXTRANONCES_BYTES - JOB_BYTES,
            extranonce_bytes: super::BOTH_EXTRANONCES_BYTES,
            coinbase,
            transactions: transactions.clone(),
            reward: template.coinbase.output_sum().unwrap_or(Amount::ZERO),
            fees: template.fees,
        })?;
        let mut room = self.room(tag.len());
        let kept = transactions.iter().take_while(|bytes| {
            let fits = bytes.len() <= room;
            room = room.saturating_sub(bytes.len());
            fits
        });
        let kept = kept.count();
        if kept < transactions.len() {
            adit::leave(&mut work, &transactions[..kept]);
            let fees = Amount::checked_sum(template.transactions[..kept].iter().map(|pending| pending.fee));
            work.fees = fees.unwrap_or(Amount::ZERO);
            let subsidy = Amount::from_atoms(template.requirements.subsidy);
            work.reward = subsidy.checked_add(work.fees).unwrap_or(self.ledger.money_max).min(self.ledger.money_max);
        }
        let Base { round, root } = self.rounds.newest();
        work.coinbase.base = Some(template::Base { round, root });
        let job = super::job_of(&work).expect("its base was set");
        work.coinbase.before = [self.head(&job)?, vec![0; COMMITMENT_BYTES + JOB_BYTES]].concat();
        work.check()?;
        Ok(work)
    }

    /// Returns what a template's coinbase holds behind its height: room for commitment, job's number and extranonces, and the tag.
    pub fn extra(tag: &[u8]) -> Vec<u8> {
        [&[0; COMMITMENT_BYTES + JOB_BYTES + super::BOTH_EXTRANONCES_BYTES], tag].concat()
    }

    /// Returns what a job's block pays, where it is one of the pool.
    pub fn pays(&self, job: &Job) -> Result<Arc<[PaidOutput]>, JobFault> {
        // Work on a round that is not here is asked about nothing else first.
        if job.base.round > self.rounds.newest().round {
            return Err(JobFault::Unknown);
        }
        let facts = self.facts(job.previous)?;
        self.check(job, facts)?;
        self.outputs(job.base, facts, job.reward)
    }

    /// How many bytes of a block are left for transactions beside the largest coinbase.
    fn room(&self, tag_bytes: usize) -> usize {
        let data =
            CoinbaseData::HEIGHT_BYTES + COMMITMENT_BYTES + JOB_BYTES + super::BOTH_EXTRANONCES_BYTES + tag_bytes;
        // One output is counted with the coinbase, and the foundation has one.
        let outputs = self.outputs.outputs_max * 40;
        // The lengths of the header and the body come before them.
        let besides = 4 + HEADER_BYTES + 4 + Transaction::COINBASE_BYTES + outputs + data;
        self.ledger.block_bytes_max.saturating_sub(besides)
    }

    /// Returns what a block over `base` with this reward pays, computed anew by the rules of this node.
    pub(super) fn outputs(&self, base: Base, facts: Facts, reward: Amount) -> Result<Arc<[PaidOutput]>, JobFault> {
        if base.round == 0 {
            let is_own = base.root.0 == self.rounds.pool().0;
            return if is_own { Ok(Arc::from([])) } else { Err(wrong("another pool's beginning")) };
        }
        let mut memory = self.lock();
        self.read_up_to(&mut memory, base.round)?;
        match memory.credited.round(base.round) {
            None => return Err(JobFault::Unknown),
            Some(round) if round.root != base.root => return Err(wrong("another root for its base")),
            Some(_) => {}
        }
        let key = (base.round, facts.height, reward, facts.work);
        if let Some(outputs) = memory.outputs.get(&key) {
            return Ok(Arc::clone(outputs));
        }
        let weights = self.weights(&mut memory, base.round, facts.work)?;
        let block = BlockToPay { height: facts.height, reward, work: facts.work };
        let outputs = credited::outputs(&mut *memory.scheme, block, &weights, &self.outputs).map_err(|error| {
            tracing::error!(%error, height = facts.height.0, "what a block of the pool pays cannot be computed");
            JobFault::Unknown
        })?;
        let outputs: Arc<[PaidOutput]> = outputs.into();
        memory.outputs.put(key, Arc::clone(&outputs));
        Ok(outputs)
    }

    /// Returns what the rules say of the block after `previous`.
    pub(super) fn facts(&self, previous: BlockId) -> Result<Facts, JobFault> {
        if let Some(facts) = self.lock().facts.get(&previous) {
            return Ok(*facts);
        }
        self.reader.indexed(previous).ok_or(JobFault::Unknown)?;
        let next = self.rules.next(&self.reader.view(), &[previous], None).map_err(|fault| {
            tracing::error!(%fault, "the rules do not say what the pool's next block must have");
            JobFault::Unknown
        })?;
        let next = next.map_err(|violation| wrong(&violation.to_string()))?;
        let facts = Facts {
            height: next.height,
            bits: next.bits,
            work: next.target.work(),
            subsidy: Amount::from_atoms(next.subsidy).min(self.ledger.money_max),
        };
        self.lock().facts.put(previous, facts);
        Ok(facts)
    }

    fn weights(&self, memory: &mut Memory, round: u64, work: Work) -> Result<Arc<BTreeMap<PayeeKey, U256>>, JobFault> {
        if let Some(weights) = memory.windows.get(&(round, work)) {
            return Ok(Arc::clone(weights));
        }
        let window = credited::window_work(work, self.window_thousandths);
        let weights = Arc::new(memory.credited.weights(round, window).ok_or(JobFault::Unknown)?);
        memory.windows.put((round, work), Arc::clone(&weights));
        Ok(weights)
    }

    /// Takes in the certified rounds up to one.
    fn read_up_to(&self, memory: &mut Memory, round: u64) -> Result<(), JobFault> {
        let newest = self.rounds.newest().round;
        if round > newest {
            return Err(JobFault::Unknown);
        }
        let known = memory.credited.newest().map(|round| round.number);
        if known.is_some_and(|known| known >= round) {
            return Ok(());
        }
        let first = known.map_or_else(|| newest.saturating_sub(ROUNDS_READ).max(1), |known| known + 1);
        for past in self.rounds.pasts(first) {
            let added = past
                .map_err(|error| error.to_string())
                .and_then(|past| memory.credited.add(self.credited(&past)).map_err(|error| error.to_string()));
            if let Err(error) = added {
                tracing::error!(error, "certified rounds cannot be read: what blocks pay is not known here");
                return Err(JobFault::Unknown);
            }
        }
        Ok(())
    }

    /// Sums up a round by who is paid. Shares for what is no address here are nobody's.
    fn credited(&self, past: &Past) -> CreditedRound {
        let mut work = BTreeMap::<PayeeKey, U256>::new();
        // Shares of one account often follow each other.
        let mut last: Option<(&str, Option<PayeeKey>)> = None;
        for credit in &past.credits {
            let key = match last {
                Some((account, key)) if account == credit.account => key,
                _ => self.prefix.parse(&credit.account).ok().map(|address| PayeeKey(address.key.0)),
            };
            last = Some((&credit.account, key));
            if let Some(key) = key {
                let sum = work.entry(key).or_default();
                *sum = sum.saturating_add(U256::from(credit.difficulty.work()));
            }
        }
        CreditedRound { number: past.base.round, root: past.base.root, work }
    }

    /// Refuses a job that no node of the pool could have made.
    fn check(&self, job: &Job, facts: Facts) -> Result<(), JobFault> {
        let data = CoinbaseData::HEIGHT_BYTES + COMMITMENT_BYTES + JOB_BYTES + super::BOTH_EXTRANONCES_BYTES;
        let rules = [
            (job.height == facts.height, "another height than its block has"),
            (job.bits == facts.bits, "bits that the rules do not say"),
            (job.reward >= facts.subsidy, "a reward below what its block creates"),
            (job.reward <= self.ledger.money_max, "a reward beyond all money"),
            (data + job.tail.len() <= self.ledger.data_bytes_max, "a coinbase with more data than the ledger takes"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(wrong(rule)))
    }

    pub(super) fn reader(&self) -> &ChainReader {
        &self.reader
    }

    /// Returns the newest certified round.
    pub(super) fn newest(&self) -> Base {
        self.rounds.newest()
    }

    /// Returns the base of a round that is remembered.
    pub(super) fn base(&self, round: u64) -> Option<Base> {
        let mut memory = self.lock();
        self.read_up_to(&mut memory, round).ok()?;
        memory.credited.round(round).map(|credited| Base { round, root: credited.root })
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs for Payouts {
    fn head(&self, job: &Job) -> Result<Vec<u8>, JobFault> {
        let outputs = self.pays(job)?;
        let behind = COMMITMENT_BYTES + JOB_BYTES + super::BOTH_EXTRANONCES_BYTES + job.tail.len();
        let data = CoinbaseData { height: job.height, extra: vec![0; behind] };
        let mut head = Transaction::coinbase(&data, outputs.iter().map(output).collect()).to_bytes();
        head.truncate(head.len() - behind);
        Ok(head)
    }

    fn target(&self, difficulty: ShareDifficulty) -> Target {
        target_of(difficulty)
    }
}

/// Returns an output as the chain has it.
pub(super) fn output(paid: &PaidOutput) -> Output {
    Output { amount: paid.amount, key: PublicKey(paid.key.0) }
}

fn wrong(rule: &str) -> JobFault {
    JobFault::Wrong { rule: rule.to_owned() }
}
