//! Where history was cut off: what cannot be judged is skipped, and what can be is judged.

use crate::farm::{Attempt, Chain, Plain, Plot, next, plain_chain, rule, win, win_registering, winning};
use adit_plugin_sdk::judge::judge;
use adit_plugin_sdk::space::PlotPlace;
use adit_plugin_sdk::{
    BlockId, Candidate, ChainView, Consensus, HashAlgorithm, Height, KnownBlock, Placement, ProofOfSpace, Timestamp,
    Violation,
};
use adit_plugin_sha256::Sha256;

/// A chain of which nothing below a height is known, and nothing was noted on the block there.
struct Cut<'a> {
    chain: &'a Chain,
    horizon: Height,
}

impl Cut<'_> {
    fn shown(&self, block: KnownBlock) -> Option<KnownBlock> {
        match block.height.cmp(&self.horizon) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(KnownBlock { state: Vec::new(), ..block }),
            std::cmp::Ordering::Greater => Some(block),
        }
    }

    fn judge(&self, header: &[u8]) -> Result<Placement, Violation> {
        let input = self.chain.rules().decode(header)?.pow.bytes;
        let candidate = Candidate { header: header.to_vec(), pow: Sha256.digest(&input) };
        judge(self.chain.rules(), self, &[candidate]).remove(0)
    }
}

impl ChainView for Cut<'_> {
    fn horizon(&self) -> Height {
        self.horizon
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        self.chain.block(id).and_then(|block| self.shown(block))
    }

    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        self.chain.is_ancestor(ancestor, descendant)
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        self.chain.selected_past(from, count).into_iter().map_while(|block| self.shown(block)).collect()
    }

    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        self.chain.selected_ancestor(from, height).and_then(|block| self.shown(block))
    }
}

/// A chain of six blocks by a plot that the first one registers, and the seventh, not yet placed.
fn grown() -> (Chain, Plain, BlockId, Attempt) {
    let mut chain = plain_chain(&[("window", 2.into())]);
    let plot = Plain::new(1, 1);
    let genesis = chain.genesis();
    let mut tip = win_registering(&mut chain, &plot, genesis, &[plot.registration()]);
    for height in 2..=7 {
        let (mut attempt, _) = winning(&chain, &plot, tip, Timestamp::default());
        if let PlotPlace::Plain { registered, .. } = &mut attempt.claim.place {
            *registered = Height(if height > 3 { 1 } else { 0 });
        }
        if height == 7 {
            return (chain, plot, tip, attempt);
        }
        let header = attempt.header(&chain, plot.owner()).expect("a sound draft");
        tip = chain.place(&header).expect("a winning block is valid");
    }
    unreachable!("the seventh is returned")
}

#[test]
fn above_a_horizon_far_below_everything_is_judged() {
    let (chain, plot, _, attempt) = grown();
    let header = attempt.header(&chain, plot.owner()).expect("a sound draft");
    for horizon in [0, 1, 2, 4] {
        let cut = Cut { chain: &chain, horizon: Height(horizon) };
        cut.judge(&header).expect("the block is valid");
        let mut wrong = attempt.clone();
        wrong.claim.challenge.0[0] ^= 1;
        let wrong = wrong.header(&chain, plot.owner()).expect("a sound draft");
        assert_eq!(rule(cut.judge(&wrong)).as_deref(), Some("challenge"));
        let mut wrong = attempt.clone();
        wrong.draft.bits -= 1;
        let wrong = wrong.header(&chain, plot.owner()).expect("a sound draft");
        assert_eq!(rule(cut.judge(&wrong)).as_deref(), Some("bits"));
    }
}

#[test]
fn what_lies_below_the_horizon_is_not_judged_and_the_rest_is() {
    let (chain, plot, tip, attempt) = grown();
    let cut = Cut { chain: &chain, horizon: Height(6) };
    let header = attempt.header(&chain, plot.owner()).expect("a sound draft");
    let placement = cut.judge(&header).expect("the block is valid");
    assert!(placement.state.is_empty(), "the generation signature cannot be known");
    let mut easier = attempt.clone();
    easier.draft.bits = 0x2100_ffff;
    let easier = easier.header(&chain, plot.owner()).expect("a sound draft");
    assert_eq!(rule(cut.judge(&easier)).as_deref(), Some("bits"));
    let asked = chain.rules().challenge(&cut, &[tip], next(&chain, tip).earliest);
    assert_eq!(rule(asked).as_deref(), Some("history-unknown"));
    assert_eq!(rule(chain.rules().next(&cut, &[tip], None)).as_deref(), Some("history-unknown"));
}

#[test]
fn a_host_that_hides_what_it_must_hold_is_told_so() {
    struct Hiding<'a>(&'a Chain);
    impl ChainView for Hiding<'_> {
        fn horizon(&self) -> Height {
            Height(0)
        }
        fn block(&self, id: BlockId) -> Option<KnownBlock> {
            self.0.block(id)
        }
        fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
            self.0.is_ancestor(ancestor, descendant)
        }
        fn selected_past(&self, from: BlockId, _count: u32) -> Vec<KnownBlock> {
            self.0.selected_past(from, 1)
        }
        fn selected_ancestor(&self, _from: BlockId, _height: Height) -> Option<KnownBlock> {
            None
        }
    }
    let mut chain = plain_chain(&[]);
    let genesis = chain.genesis();
    let tip = win(&mut chain, &Plain::new(1, 1), genesis);
    let needs = chain.rules().next(&Hiding(&chain), &[tip], None);
    assert_eq!(rule(needs).as_deref(), Some("history-unknown"));
}
