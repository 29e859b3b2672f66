//! What a farmer did, for people and programs.

use adit_primitives::{Target, U256};
use adit_space::farm::{Figures, PlotFigures, Standing};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a farmer did so far, and where it is with the challenge at hand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FarmReport {
    /// The challenge at hand: 64 hexadecimal digits; empty before the first.
    pub challenge: String,
    /// Bytes of plots that were looked at for it, and those it asks for.
    pub scanned_bytes: u64,
    pub asked_bytes: u64,
    /// Seconds until all is scanned, where speeds are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// Seconds until the challenge at hand gives way to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge_seconds_left: Option<f64>,
    /// The lowest score so far, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_score: Option<String>,
    /// How many times the target the lowest score is: at most 1 wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_of_target: Option<f64>,
    /// Challenges received, proofs made, and challenges that a proof won.
    pub challenges: u64,
    pub proofs: u64,
    pub wins: u64,
    /// Proofs that were handed in at nodes and pools.
    #[serde(default)]
    pub submitted: u64,
    /// Bytes of leaves and nonces in plots that can be farmed.
    pub space_bytes: u64,
    pub plots: Vec<PlotReport>,
    /// What is wrong with files and folders, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub problems: BTreeMap<String, String>,
}

/// A plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlotReport {
    pub file: String,
    pub space_bytes: u64,
    /// How fast it is scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Challenges under which it was scanned whole, and under which something went wrong with it.
    pub answered: u64,
    pub failed: u64,
    /// How low its best scores are against those of random bytes, in thousandths: about 1,000 where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_permille: Option<u32>,
}

impl FarmReport {
    /// Puts together what a farm tells.
    pub fn new(figures: &Figures, standing: Option<&Standing>, target: Option<Target>) -> Self {
        let best = standing.and_then(|standing| standing.best);
        Self {
            challenge: standing.map(|standing| standing.challenge.to_string()).unwrap_or_default(),
            scanned_bytes: standing.map_or(0, |standing| standing.scanned),
            asked_bytes: standing.map_or(0, |standing| standing.all),
            seconds_left: standing.and_then(|standing| standing.left).map(|left| left.as_secs_f64()),
            challenge_seconds_left: None,
            best_score: best.map(|score| format!("{score:064x}")),
            best_of_target: best.zip(target).map(|(score, target)| ratio(score, target.0)),
            challenges: figures.challenges,
            proofs: figures.proofs,
            wins: figures.wins,
            submitted: 0,
            space_bytes: figures.plots.iter().map(|plot| plot.space).sum(),
            plots: figures.plots.iter().map(PlotReport::from).collect(),
            problems: figures
                .problems
                .iter()
                .map(|error| (error.path.display().to_string(), error.problem.to_string()))
                .collect(),
        }
    }
}

impl FarmReport {
    /// Says of each plot how it does: of no more than `most`, those whose quality is the lowest, and how many are left out.
    pub fn lines(&self, most: usize) -> Vec<String> {
        let mut plots: Vec<&PlotReport> = self.plots.iter().collect();
        let rest = plots.len().saturating_sub(most);
        if rest > 0 {
            plots.sort_by_key(|plot| plot.quality_permille.unwrap_or(u32::MAX));
            plots.truncate(most);
        }
        let mut lines: Vec<String> = plots.into_iter().map(PlotReport::line).collect();
        lines.extend((rest > 0).then(|| format!("{rest} other plots answer better")));
        lines
    }
}

impl PlotReport {
    fn line(&self) -> String {
        let speed = self.bytes_per_second.map_or_else(|| "-".to_owned(), |speed| (speed >> 20).to_string());
        let quality = self
            .quality_permille
            .map_or_else(|| "-".to_owned(), |permille| format!("{}.{:02}", permille / 1_000, permille % 1_000 / 10));
        let Self { file, answered, failed, .. } = self;
        format!("{file}: {speed} MiB/s, quality {quality}, {answered} challenges answered, {failed} failed")
    }
}

impl From<&PlotFigures> for PlotReport {
    fn from(plot: &PlotFigures) -> Self {
        Self {
            file: plot.path.display().to_string(),
            space_bytes: plot.space,
            bytes_per_second: plot.bytes_per_second,
            answered: plot.answered,
            failed: plot.failed,
            quality_permille: plot.quality_permille,
        }
    }
}

/// Divides, for display.
fn ratio(score: U256, target: U256) -> f64 {
    let number =
        |value: U256| value.into_limbs().iter().rev().fold(0.0, |sum, limb| sum * 2f64.powi(64) + *limb as f64);
    number(score) / number(target).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_of_each_plot_or_of_the_worst() {
        let plot = |number: u32| PlotReport {
            file: format!("/disk/{number}.plot"),
            space_bytes: 1 << 30,
            bytes_per_second: (number > 0).then_some(150 << 20),
            answered: 7,
            failed: 1,
            quality_permille: (number > 0).then_some(number * 105),
        };
        let report = FarmReport { plots: [9, 1, 0].map(plot).into(), ..FarmReport::default() };
        assert_eq!(
            report.lines(3),
            [
                "/disk/9.plot: 150 MiB/s, quality 0.94, 7 challenges answered, 1 failed",
                "/disk/1.plot: 150 MiB/s, quality 0.10, 7 challenges answered, 1 failed",
                "/disk/0.plot: - MiB/s, quality -, 7 challenges answered, 1 failed",
            ]
        );
        let [worst, others] = &report.lines(1)[..] else { panic!("one plot, and how many others there are") };
        assert!(worst.starts_with("/disk/1.plot: ") && others == "2 other plots answer better", "{worst}, {others}");
    }

    #[test]
    fn a_score_is_shown_against_the_target() {
        let target = U256::from(1u64) << 250usize;
        assert!((ratio(target, target) - 1.0).abs() < 1e-9);
        assert!((ratio(target + (target >> 1usize), target) - 1.5).abs() < 1e-9);
        assert!(ratio(U256::ZERO, U256::ZERO) < 1e-9);
    }
}
