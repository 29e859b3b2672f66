//! What a block of a peer-to-peer pool pays: its coinbase pays the miners themselves, as the rounds say that the pool's nodes certified.
//!
//! Every node computes the same outputs, to the atom, from the same rounds; nobody holds anybody's money.
//!
//! | | |
//! |---|---|
//! | which shares count | those of the newest certified rounds up to the base whose work adds up to what the scheme asks for, whole rounds, the oldest among them whole; at most [`WINDOW_ROUNDS_MAX`] rounds |
//! | who is paid | owners of keys. Shares for an account that is no address of the chain count for nobody |
//! | how much | what the payout scheme answers for the work of each key, in the order of the keys; whoever finds the block gets no more than the others |
//! | what is too little for an output | parts below the least output, and those beyond the greatest number of outputs, the smallest first and of equals that of the greater key: the scheme is asked again about the others alone |
//! | what rounding leaves | goes to the first output |
//! | the foundation's fee | where an address for it is set: rounded down, before anything else, as the last output |
//! | while nothing is credited | nobody is paid: a block found then is not handed in |
//!
//! Whole rounds, because order within a round is its proposer's choice: nobody earns by where in a round a share stands.

use crate::money::fees::Fees;
use crate::money::split::{SplitError, check_split};
use crate::money::window::thousandths_of;
use adit_primitives::contract::payout::{AccountId, FoundBlock, PayoutPlan, Pays, Weight, Window};
use adit_primitives::engine::{Fault, PayoutEngine};
use adit_primitives::{Amount, Hash256, Height, U256, Work};
use std::collections::{BTreeMap, VecDeque};

#[cfg(test)]
mod tests;

/// The most rounds that a window reaches back.
pub const WINDOW_ROUNDS_MAX: usize = 4_096;

/// For how many rounds before the newest blocks can still be paid: those on which shares are credited, and some.
const BASES_MAX: usize = 128;

/// The finder as schemes know it: nobody in the window, since the coinbase cannot depend on who will find the block.
const NOBODY: AccountId = AccountId(u32::MAX);

/// Whom an output pays, as the chain writes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayeeKey(pub [u8; 32]);

/// A certified round, as payouts see it: who did how much work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditedRound {
    pub number: u64,
    pub root: Hash256,
    /// Expected hashes of the shares that the round credits, by whom they pay.
    pub work: BTreeMap<PayeeKey, U256>,
}

/// The newest certified rounds.
#[derive(Debug, Default)]
pub struct CreditedRounds {
    rounds: VecDeque<CreditedRound>,
}

/// What block is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockToPay {
    pub height: Height,
    /// All that the coinbase may pay.
    pub reward: Amount,
    /// The expected hashes of a block.
    pub work: Work,
}

/// The rules of the pool for outputs, the same at all its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputRules {
    /// Below it nobody is paid by a block.
    pub least: Amount,
    /// Miners that one block pays at most. At least 1.
    pub outputs_max: usize,
    /// What the foundation takes, and where it is paid.
    pub foundation: Option<(Fees, PayeeKey)>,
}

/// One output of a coinbase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidOutput {
    pub key: PayeeKey,
    pub amount: Amount,
}

/// Why a round cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("round {found} comes after round {expected_after}")]
pub struct RoundOrder {
    pub found: u64,
    pub expected_after: u64,
}

/// Why a scheme cannot pay by coinbases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    #[error("it pays for shares and not for blocks: in a peer-to-peer pool nobody could")]
    PaysShares,
    #[error("its window is not one of work: which block of the pool was the last is not agreed on")]
    Window,
    #[error("it weighs shares by their age, which nodes of a peer-to-peer pool do not agree on")]
    Weighs,
}

/// Why a block has no outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputsError {
    #[error("the payout scheme gave no answer: {0}")]
    Fault(#[from] Fault),
    #[error("the split is refused: {0}")]
    Refused(#[from] SplitError),
}

/// Returns how much work the window of a scheme holds, in thousandths of a block's.
///
/// # Errors
/// Where the scheme needs what nodes of a peer-to-peer pool do not agree on.
pub fn window_of(plan: &PayoutPlan) -> Result<u64, SchemeError> {
    match (plan.pays, plan.window) {
        (Pays::Shares, _) => Err(SchemeError::PaysShares),
        (Pays::Blocks, _) if plan.weighs => Err(SchemeError::Weighs),
        (Pays::Blocks, Window::LastWork { thousandths }) => Ok(thousandths),
        (Pays::Blocks, Window::None | Window::SinceBlock) => Err(SchemeError::Window),
    }
}

/// Returns how much work a window of so many thousandths of a block's holds.
pub fn window_work(block: Work, thousandths: u64) -> U256 {
    thousandths_of(block, thousandths)
}

impl CreditedRounds {
    /// Adds the next round.
    ///
    /// # Errors
    /// Where a round is missing in between, or the round is here already. Nothing is added then.
    pub fn add(&mut self, round: CreditedRound) -> Result<(), RoundOrder> {
        if let Some(newest) = self.rounds.back()
            && round.number != newest.number + 1
        {
            return Err(RoundOrder { found: round.number, expected_after: newest.number });
        }
        self.rounds.push_back(round);
        while self.rounds.len() > WINDOW_ROUNDS_MAX + BASES_MAX {
            self.rounds.pop_front();
        }
        Ok(())
    }

    /// Returns the newest round. `None` before the first.
    pub fn newest(&self) -> Option<&CreditedRound> {
        self.rounds.back()
    }

    /// Returns a round that is remembered together with its window.
    pub fn round(&self, number: u64) -> Option<&CreditedRound> {
        let place = self.place(number)?;
        let whole = self.rounds.front().is_some_and(|first| first.number <= 1) || place + 1 >= WINDOW_ROUNDS_MAX;
        if whole { self.rounds.get(place) } else { None }
    }

    /// Sums the work of each key over the window that ends with a round. `None` where that is not remembered.
    pub fn weights(&self, base: u64, window: U256) -> Option<BTreeMap<PayeeKey, U256>> {
        self.round(base)?;
        let place = self.place(base)?;
        let (mut sums, mut all) = (BTreeMap::<PayeeKey, U256>::new(), U256::ZERO);
        for round in self.rounds.range(..=place).rev().take(WINDOW_ROUNDS_MAX) {
            if all >= window {
                break;
            }
            for (key, work) in &round.work {
                let sum = sums.entry(*key).or_default();
                *sum = sum.saturating_add(*work);
                all = all.saturating_add(*work);
            }
        }
        Some(sums)
    }

    fn place(&self, number: u64) -> Option<usize> {
        let first = self.rounds.front()?.number;
        usize::try_from(number.checked_sub(first)?).ok().filter(|place| *place < self.rounds.len())
    }
}

/// Returns the outputs of a block's coinbase: they add up to its reward, or there are none because nobody has weight.
pub fn outputs(
    engine: &mut dyn PayoutEngine,
    block: BlockToPay,
    weights: &BTreeMap<PayeeKey, U256>,
    rules: &OutputRules,
) -> Result<Vec<PaidOutput>, OutputsError> {
    let fee = rules.foundation.map(|(fees, key)| (fees.divide(block.reward).foundation, key));
    let fee = fee.filter(|(amount, _)| *amount > Amount::ZERO);
    let distributable = fee.map_or(Some(block.reward), |(amount, _)| block.reward.checked_sub(amount));
    let distributable = distributable.expect("a fee is a part of the reward");
    let mut outputs = split(engine, block, distributable, weights)?;
    let few: BTreeMap<PayeeKey, U256> =
        large_enough(&outputs, rules).into_iter().filter_map(|key| weights.get_key_value(&key)).map(copied).collect();
    if few.len() < outputs.len() {
        outputs = split(engine, block, distributable, &few)?;
    }
    if !outputs.is_empty() {
        outputs.extend(fee.map(|(amount, key)| PaidOutput { key, amount }));
    }
    Ok(outputs)
}

fn copied<'a>((key, weight): (&'a PayeeKey, &'a U256)) -> (PayeeKey, U256) {
    (*key, *weight)
}

/// Returns whom a block pays: those whose parts are worth an output, as many as it has room for; the greatest one in any case.
fn large_enough(outputs: &[PaidOutput], rules: &OutputRules) -> Vec<PayeeKey> {
    let mut order: Vec<&PaidOutput> = outputs.iter().collect();
    order.sort_by_key(|output| (std::cmp::Reverse(output.amount), output.key));
    let kept = order.iter().take(rules.outputs_max).take_while(|output| output.amount >= rules.least).count();
    order.iter().take(kept.max(1)).map(|output| output.key).collect()
}

/// Asks the scheme, and checks its answer. What rounding leaves is the first output's.
fn split(
    engine: &mut dyn PayoutEngine,
    block: BlockToPay,
    available: Amount,
    weights: &BTreeMap<PayeeKey, U256>,
) -> Result<Vec<PaidOutput>, OutputsError> {
    let weighty: Vec<(&PayeeKey, &U256)> = weights.iter().filter(|(_, weight)| !weight.is_zero()).collect();
    if weighty.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Weight> =
        (0..).zip(&weighty).map(|(at, (_, weight))| Weight { account: AccountId(at), weight: **weight }).collect();
    let BlockToPay { height, work, .. } = block;
    let facts = FoundBlock { height, finder: NOBODY, distributable: available.to_atoms(), work };
    let payees: Vec<AccountId> = rows.iter().map(|row| row.account).collect();
    let checked = check_split(&engine.split(&facts, &rows)?, available, &payees)?;
    let mut outputs: Vec<PaidOutput> = checked
        .credits()
        .filter_map(|credit| {
            let (key, _) = weighty.get(usize::try_from(credit.account.0).ok()?)?;
            Some(PaidOutput { key: **key, amount: Amount::from_atoms(credit.atoms) })
        })
        .collect();
    if let Some(first) = outputs.first_mut() {
        first.amount = first.amount.checked_add(checked.left()).expect("the parts add up to what there is");
    }
    Ok(outputs)
}
