//! What a replay came to, in words and as JSON.

use super::file::Run;
use adit_chain::HeaderChain;
use adit_primitives::Height;
use adit_primitives::contract::KnownBlock;
use serde_json::{Value, json};
use std::fmt;

/// Blocks of the selected chain read at once.
const PAGE: usize = 1_000;

/// A run whose headers were all taken.
pub struct Taken<'a> {
    pub run: &'a Run,
    /// Headers, the first among them.
    pub count: usize,
    pub tip: KnownBlock,
    pub colours: Colours,
    /// Of the judging: what a clock says, and the CPU time of this process where the system tells.
    pub seconds: f64,
    pub cpu_seconds: Option<f64>,
}

/// Why a run was not taken.
#[derive(Debug)]
pub enum Refusal {
    /// The rules refuse a header, or the file is no run of this chain.
    Invalid(String),
    /// The rules' plugin gave no answer.
    NoVerdict(String),
}

/// The blocks of the selected chain, and how those beside it are coloured as its tip sees them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Colours {
    pub chain: u64,
    pub blue: u64,
    pub red: u64,
}

impl Colours {
    /// Counts them.
    pub fn of(judge: &HeaderChain) -> Self {
        let mut colours = Self::default();
        let mut first = Height(0);
        loop {
            let page = judge.index().selected_page(first, PAGE);
            for block in &page {
                colours.chain += 1;
                let blues = block.placement.merge_set.iter().filter(|merged| merged.blue).count();
                colours.blue += blues as u64;
                colours.red += (block.placement.merge_set.len() - blues) as u64;
            }
            match page.last() {
                Some(last) if page.len() == PAGE => first = Height(last.known.height.0 + 1),
                _ => return colours,
            }
        }
    }
}

impl Taken<'_> {
    fn last(&self) -> u64 {
        self.run.number(self.count - 1)
    }

    /// Headers a second by a clock, and a second of CPU time. The first was taken without being judged.
    fn speeds(&self) -> (f64, Option<f64>) {
        let judged = (self.count - 1) as f64;
        (judged / self.seconds, self.cpu_seconds.filter(|seconds| *seconds > 0.0).map(|seconds| judged / seconds))
    }

    /// Returns the outcome as JSON. Speeds of no time at all are `null`.
    pub fn json(&self) -> Value {
        let Self { run, count, tip, colours, .. } = self;
        let (speed, cpu_speed) = self.speeds();
        json!({
            "valid": true,
            "headers": count,
            "counted": run.counted.plural(),
            "first": run.first,
            "last": self.last(),
            "tip": { "hash": tip.id.to_string(), "height": tip.height.0, "work": tip.work.to_string() },
            "selected_blocks": colours.chain,
            "blue_blocks": colours.blue,
            "red_blocks": colours.red,
            "headers_per_second": speed,
            "headers_per_cpu_second": cpu_speed,
        })
    }
}

impl fmt::Display for Taken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, count, tip, colours: Colours { chain, blue, red }, .. } = self;
        writeln!(f, "valid: {count} headers, {} {} to {}", run.counted.plural(), run.first, self.last())?;
        writeln!(f, "tip {} with work {}", tip.id, tip.work)?;
        if blue + red > 0 {
            let score = tip.height;
            writeln!(f, "{chain} blocks on the selected chain, {blue} merged blue and {red} red; blue score {score}")?;
        }
        let (speed, cpu_speed) = self.speeds();
        write!(f, "{speed:.0} headers a second")?;
        cpu_speed.map_or(Ok(()), |speed| write!(f, ", {speed:.0} a CPU-second"))
    }
}

impl Refusal {
    /// Returns the outcome as JSON: `valid` is `null` where there is no verdict.
    pub fn json(&self) -> Value {
        match self {
            Self::Invalid(problem) => json!({ "valid": false, "problem": problem }),
            Self::NoVerdict(problem) => json!({ "valid": null, "problem": problem }),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(problem) => write!(f, "invalid: {problem}"),
            Self::NoVerdict(problem) => write!(f, "no verdict: {problem}"),
        }
    }
}
