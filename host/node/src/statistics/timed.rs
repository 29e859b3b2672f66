//! Rules with a stopwatch: how long a consensus plugin takes to place blocks, whoever asks it.

use adit_primitives::BlockId;
use adit_primitives::contract::{Candidate, Draft, HeaderView, Placement, Requirements, Template, Violation};
use adit_primitives::engine::{Fault, RulesEngine, SharedView, SpaceRules};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long placing took since it was last asked.
#[derive(Debug, Default)]
pub struct Stopwatch {
    nanos: AtomicU64,
    blocks: AtomicU64,
}

/// Rules that note on a [`Stopwatch`] how long they take to place blocks.
pub struct TimedRules {
    pub rules: Arc<dyn RulesEngine>,
    pub placing: Arc<Stopwatch>,
}

impl Stopwatch {
    /// Returns how long a block took to place on average since this was last asked, and starts again at zero.
    pub fn take(&self) -> Duration {
        let nanos = self.nanos.swap(0, Ordering::Relaxed);
        let blocks = self.blocks.swap(0, Ordering::Relaxed);
        Duration::from_nanos(nanos.checked_div(blocks).unwrap_or_default())
    }

    fn note(&self, took: Duration, blocks: usize) {
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.blocks.fetch_add(blocks as u64, Ordering::Relaxed);
    }
}

impl RulesEngine for TimedRules {
    fn genesis(&self) -> Result<Vec<u8>, Fault> {
        self.rules.genesis()
    }

    fn decode(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        self.rules.decode(headers)
    }

    fn place(&self, view: &SharedView, candidates: &[Candidate]) -> Result<Vec<Result<Placement, Violation>>, Fault> {
        let began = Instant::now();
        let placed = self.rules.place(view, candidates);
        self.placing.note(began.elapsed(), candidates.len());
        placed
    }

    fn place_each(
        &self,
        view: &SharedView,
        candidates: &[Candidate],
        taken: &mut dyn FnMut(usize, Result<Placement, Violation>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let began = Instant::now();
        let (mut placed, mut elsewhere) = (0, Duration::ZERO);
        let outcome = self.rules.place_each(view, candidates, &mut |index, answer| {
            let answered = Instant::now();
            let flow = taken(index, answer);
            elsewhere += answered.elapsed();
            placed += 1;
            flow
        });
        self.placing.note(began.elapsed().saturating_sub(elsewhere), placed);
        outcome
    }

    fn next(
        &self,
        view: &SharedView,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> Result<Result<Requirements, Violation>, Fault> {
        self.rules.next(view, tips, wish)
    }

    fn encode(&self, draft: &Draft) -> Result<Result<Template, Violation>, Fault> {
        self.rules.encode(draft)
    }

    fn difficulty(&self, bits: u32) -> Result<Result<String, Violation>, Fault> {
        self.rules.difficulty(bits)
    }

    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Result<Vec<u8>, Violation>, Fault> {
        self.rules.seal(header, nonce, rolled)
    }

    fn space(&self) -> Option<&dyn SpaceRules> {
        self.rules.space()
    }
}
