//! The check of what a payout scheme proposes: no scheme, whatever it returns, creates or destroys an atom.

use adit_primitives::accounts::{Entry, Reserved};
use adit_primitives::contract::payout::{AccountId, Credit, Economics, Weight};
use adit_primitives::{Amount, U256};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Why a proposal is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    #[error("the scheme pays more than the {available} atoms that there are")]
    Overpaid { available: u64 },
    #[error("the scheme pays account {} twice", account.0)]
    PaidTwice { account: AccountId },
    #[error("the scheme pays account {}, which has no part in this", account.0)]
    Stranger { account: AccountId },
    #[error("the scheme leaves {left} atoms, more than rounding can explain ({rounding_max} at most)")]
    Underpaid { left: u64, rounding_max: u64 },
}

/// A proposal that was checked: only the functions of this module make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    credits: BTreeMap<AccountId, u64>,
    sum: u64,
    left: u64,
}

impl Checked {
    /// Gives everything to one account.
    pub fn all_to(account: AccountId, available: Amount) -> Self {
        let sum = available.to_atoms();
        Self { credits: BTreeMap::from([(account, sum)]), sum, left: 0 }
    }

    /// Returns who gets how much, in the order of the accounts. Nobody gets nothing.
    pub fn credits(&self) -> impl Iterator<Item = Credit> + '_ {
        self.credits
            .iter()
            .filter(|(_, atoms)| **atoms > 0)
            .map(|(account, atoms)| Credit { account: *account, atoms: *atoms })
    }

    /// Returns what the credits add up to.
    pub fn sum(&self) -> Amount {
        Amount::from_atoms(self.sum)
    }

    /// Returns what rounding leaves of a block's reward.
    pub fn left(&self) -> Amount {
        Amount::from_atoms(self.left)
    }

    /// Returns the entries by which `payer` pays the credits and the foundation gets what is left. `None` where a sum does not fit
    /// the journal.
    pub fn entries(&self, payer: Reserved) -> Option<Vec<Entry>> {
        let mut sums: BTreeMap<AccountId, i64> = BTreeMap::new();
        let mut add = |account: AccountId, atoms: i64| {
            let sum = sums.entry(account).or_default();
            *sum = sum.checked_add(atoms)?;
            Some(())
        };
        for (account, atoms) in &self.credits {
            add(*account, i64::try_from(*atoms).ok()?)?;
        }
        add(Reserved::Foundation.id(), i64::try_from(self.left).ok()?)?;
        add(payer.id(), -i64::try_from(self.sum.checked_add(self.left)?).ok()?)?;
        let entries = sums.into_iter().filter(|(_, atoms)| *atoms != 0);
        Some(entries.map(|(account, atoms)| Entry { account, atoms }).collect())
    }
}

/// Checks the split of a block's reward among `payees`, which stand in the order of their numbers: those with weight in the window, or the
/// finder alone for a scheme without one. Each of them may lose less than an atom to rounding, which is left for the foundation.
pub fn check_split(credits: &[Credit], available: Amount, payees: &[AccountId]) -> Result<Checked, SplitError> {
    let available = available.to_atoms();
    let (credits, sum) = check_credits(credits, available, payees)?;
    let left = available - sum;
    let rounding_max = u64::try_from(payees.len()).unwrap_or(u64::MAX);
    if left > rounding_max {
        return Err(SplitError::Underpaid { left, rounding_max });
    }
    Ok(Checked { credits, sum, left })
}

/// Checks what is paid for shares: together at most what they are expected to earn, `Σ work · (subsidy + mean fees) / work of a block`
/// rounded down. The operator pays, so nothing is left over.
pub fn check_settlement(credits: &[Credit], shares: &[Weight], economics: &Economics) -> Result<Checked, SplitError> {
    let payees: Vec<AccountId> = shares.iter().map(|share| share.account).collect();
    let (credits, sum) = check_credits(credits, worth(shares, economics), &payees)?;
    Ok(Checked { credits, sum, left: 0 })
}

/// Returns what shares are expected to earn, rounded down; at most what 64 bits hold.
fn worth(shares: &[Weight], economics: &Economics) -> u64 {
    if economics.work.0.is_zero() {
        return 0;
    }
    let work = shares.iter().fold(U256::ZERO, |sum, share| sum.saturating_add(share.weight));
    let each = U256::from(economics.subsidy) + U256::from(economics.mean_fees);
    // Where the product does not fit 256 bits, its quotient cut short is still no more than the true one.
    u64::try_from(work.saturating_mul(each) / economics.work.0).unwrap_or(u64::MAX)
}

/// Checks who is paid, and that the sum does not exceed what there is. Returns the credits and their sum.
fn check_credits(
    credits: &[Credit],
    available: u64,
    payees: &[AccountId],
) -> Result<(BTreeMap<AccountId, u64>, u64), SplitError> {
    let mut paid = BTreeMap::new();
    let mut sum = 0u64;
    for Credit { account, atoms } in credits {
        if payees.binary_search(account).is_err() {
            return Err(SplitError::Stranger { account: *account });
        }
        if paid.insert(*account, *atoms).is_some() {
            return Err(SplitError::PaidTwice { account: *account });
        }
        sum = sum.checked_add(*atoms).filter(|sum| *sum <= available).ok_or(SplitError::Overpaid { available })?;
    }
    Ok((paid, sum))
}
