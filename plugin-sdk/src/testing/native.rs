//! Plugins of every kind as the engines that the host runs, without a sandbox: whatever drives a compiled plugin can drive these.

use crate::judge::judge;
use crate::{Consensus, HashAlgorithm, PayoutScheme, QuorumPolicy, ShareValidator};
use adit_primitives::contract::payout::{Credit, Economics, FoundBlock, PayoutPlan, ShareToWeigh, Weight};
use adit_primitives::contract::quorum::{CheckPlan, CheckQuestion, QuorumTerms};
use adit_primitives::contract::shares::{Claim, Judgement, ShareDifficulty, WorkHistory};
use adit_primitives::contract::{
    Candidate, Draft, HeaderView, Placement, Requirements, Scan, SearchJob, Template, Violation,
};
use adit_primitives::engine::{Fault, HashEngine, PayoutEngine, QuorumEngine, RulesEngine, ShareEngine, SharedView};
use adit_primitives::{BlockId, Hash256};

/// Rules in native code. One instance answers everything.
pub struct NativeRules<C>(pub C);

/// A hash algorithm in native code.
pub struct NativeHash<H>(pub H);

/// A payout scheme in native code.
pub struct NativePayout<P>(pub P);

/// A share validator in native code.
pub struct NativeShares<V>(pub V);

macro_rules! configured {
    ($native:ident, $kind:ident) => {
        impl<P: $kind> $native<P> {
            /// Configures the plugin.
            ///
            /// # Panics
            /// Where it refuses the configuration, a JSON object.
            #[track_caller]
            pub fn new(config: &str) -> Self {
                let plugin = crate::config::parse(config).and_then(P::new);
                Self(plugin.unwrap_or_else(|error| panic!("configuration is refused: {}: {}", error.key, error.detail)))
            }
        }
    };
}

configured!(NativeRules, Consensus);
configured!(NativePayout, PayoutScheme);
configured!(NativeShares, ShareValidator);

impl<C: Consensus + Send + Sync> RulesEngine for NativeRules<C> {
    fn genesis(&self) -> Result<Vec<u8>, Fault> {
        Ok(self.0.genesis())
    }

    fn decode(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        Ok(headers.iter().map(|header| self.0.decode(header)).collect())
    }

    fn place(&self, view: &SharedView, candidates: &[Candidate]) -> Result<Vec<Result<Placement, Violation>>, Fault> {
        Ok(judge(&self.0, &**view, candidates))
    }

    fn next(
        &self,
        view: &SharedView,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> Result<Result<Requirements, Violation>, Fault> {
        Ok(self.0.next(&**view, tips, wish))
    }

    fn encode(&self, draft: &Draft) -> Result<Result<Template, Violation>, Fault> {
        Ok(self.0.encode(draft))
    }

    fn difficulty(&self, bits: u32) -> Result<Result<String, Violation>, Fault> {
        Ok(self.0.difficulty(bits))
    }

    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Result<Vec<u8>, Violation>, Fault> {
        Ok(self.0.seal(header, nonce, rolled))
    }
}

impl<H: HashAlgorithm + Send> HashEngine for NativeHash<H> {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        self.0.digest_many(inputs, each, digests);
        Ok(())
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        Ok(self.0.search(job, first, count))
    }
}

impl<P: PayoutScheme + Send> PayoutEngine for NativePayout<P> {
    fn plan(&mut self) -> Result<PayoutPlan, Fault> {
        Ok(self.0.plan())
    }

    fn weigh(&mut self, shares: &[ShareToWeigh]) -> Result<Vec<u64>, Fault> {
        Ok(shares.iter().map(|share| self.0.weigh(share)).collect())
    }

    fn split(&mut self, block: &FoundBlock, weights: &[Weight]) -> Result<Vec<Credit>, Fault> {
        Ok(self.0.split(block, weights))
    }

    fn settle(&mut self, shares: &[Weight], economics: &Economics) -> Result<Vec<Credit>, Fault> {
        Ok(self.0.settle(shares, economics))
    }
}

impl<V: ShareValidator + Send> ShareEngine for NativeShares<V> {
    fn judge(&mut self, claims: &[Claim]) -> Result<Vec<Judgement>, Fault> {
        Ok(claims.iter().map(|claim| self.0.judge(claim)).collect())
    }

    fn retarget(&mut self, histories: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault> {
        Ok(histories.iter().map(|history| self.0.retarget(history)).collect())
    }
}

impl<V: QuorumPolicy + Send> QuorumEngine for NativeShares<V> {
    fn terms(&mut self) -> Result<QuorumTerms, Fault> {
        Ok(self.0.terms())
    }

    fn plan(&mut self, questions: &[CheckQuestion]) -> Result<Vec<CheckPlan>, Fault> {
        Ok(questions.iter().map(|question| self.0.plan(question)).collect())
    }
}
