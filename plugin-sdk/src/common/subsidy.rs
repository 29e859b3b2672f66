//! What a block may create.

use crate::{ConfigError, Height};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a block's coinbase may create, fees not counted. The genesis creates nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Subsidy {
    /// What each block creates before the first halving, in atoms.
    #[serde(default)]
    pub initial_atoms: u64,
    /// After how many blocks the subsidy halves, rounded down. Without it, it never does.
    #[schemars(range(min = 1))]
    pub halving_interval: Option<u64>,
}

impl Subsidy {
    /// Returns the subsidy at `height`, in atoms.
    pub fn at(&self, height: Height) -> u64 {
        if height.0 == 0 {
            return 0;
        }
        let halvings = self.halving_interval.map_or(0, |interval| height.0 / interval.max(1));
        u32::try_from(halvings).ok().and_then(|halvings| self.initial_atoms.checked_shr(halvings)).unwrap_or(0)
    }

    /// Refuses an interval of 0, and halvings that would create more atoms than 64 bits count.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.halving_interval {
            Some(0) => Err(ConfigError::new("subsidy.halving-interval", "0 blocks: at least 1 is needed")),
            // All periods together create less than twice what the first does.
            Some(interval)
                if self.initial_atoms.checked_mul(interval).and_then(|first| first.checked_mul(2)).is_none() =>
            {
                let detail = format!(
                    "{} atoms for {interval} blocks: all money together must stay below 2^64 atoms",
                    self.initial_atoms
                );
                Err(ConfigError::new("subsidy.initial-atoms", detail))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITCOIN: Subsidy = Subsidy { initial_atoms: 5_000_000_000, halving_interval: Some(210_000) };

    #[track_caller]
    fn check(subsidy: &Subsidy, height: u64, want: u64) {
        assert_eq!(subsidy.at(Height(height)), want);
    }

    #[test]
    fn bitcoins_subsidy_halves_every_210000_blocks_and_ends() {
        check(&BITCOIN, 0, 0);
        check(&BITCOIN, 1, 5_000_000_000);
        check(&BITCOIN, 209_999, 5_000_000_000);
        check(&BITCOIN, 210_000, 2_500_000_000);
        check(&BITCOIN, 32 * 210_000, 1);
        check(&BITCOIN, 33 * 210_000, 0);
        check(&BITCOIN, 64 * 210_000, 0);
        check(&BITCOIN, u64::MAX, 0);
    }

    #[test]
    fn without_an_interval_it_never_halves() {
        check(&Subsidy { initial_atoms: 7, halving_interval: None }, u64::MAX, 7);
    }

    #[test]
    fn more_money_than_64_bits_count_is_refused() {
        assert!(BITCOIN.check().is_ok());
        assert!(Subsidy { initial_atoms: u64::MAX / 4, halving_interval: Some(3) }.check().is_err());
        assert!(Subsidy { initial_atoms: 1, halving_interval: Some(0) }.check().is_err());
    }
}
