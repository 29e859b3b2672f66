//! What validators are asked about batches, and what their answers are worth.

use crate::world::{POOL, batch, identity};
use adit_network::id::{Moment, NodeId};
use adit_network::shares::{
    Base, BatchVerdict, PanelEffect, Panels, Question, SealedBatch, ShareId, Validators, Which,
};
use adit_primitives::{Decode, Hash256};
use std::sync::Arc;

const BASE: Base = Base { round: 0, root: Hash256(POOL.0) };
const AT: Moment = Moment::from_millis(1_000);

fn valid() -> BatchVerdict {
    BatchVerdict::Valid { shares: vec![ShareId([0; 32])] }
}

/// Node 1 asks about a batch of node 2; nodes 1 to 9 vote.
struct Panel {
    batch: Arc<SealedBatch>,
    asker: Panels,
    asked: Vec<NodeId>,
}

fn panel(count: u32) -> Panel {
    let batch = Arc::new(batch(&identity(2), BASE, 0, true));
    let validators = Validators::new((1..10).map(|number| (identity(number).node(), 1)).collect(), 0);
    let mut asker = Panels::new(POOL, identity(1));
    let mut out = Vec::new();
    asker.consult(AT, Arc::clone(&batch), count, &validators, &mut out);
    let asked = out.into_iter().map(|effect| match effect {
        PanelEffect::Ask { node, question } => {
            let want = Question::Batch { pool: POOL, batch: batch.id() };
            assert_eq!(Question::from_bytes(&question), Ok(want));
            node
        }
        other => panic!("{other:?}"),
    });
    Panel { asked: asked.collect(), batch, asker }
}

impl Panel {
    /// The answer of one who was asked and judged the batch so.
    fn answer(&mut self, place: usize, verdict: &BatchVerdict) -> Vec<PanelEffect> {
        let node = self.asked[place];
        let identity = (1..10).map(identity).find(|identity| identity.node() == node).expect("one of nine");
        let mut other = Panels::new(POOL, identity);
        other.judged(AT, self.batch.id(), &Which::All, verdict, &mut Vec::new());
        let answer = other.answer(AT, POOL, self.batch.id()).expect("it judged the batch");
        let mut out = Vec::new();
        assert!(self.asker.hear(node, &answer, &mut out));
        out
    }

    /// What is hashed here, where anything is.
    fn judged(effects: &[PanelEffect]) -> Option<Which> {
        effects.iter().find_map(|effect| match effect {
            PanelEffect::Judge { which, .. } => Some(which.clone()),
            _ => None,
        })
    }
}

#[test]
fn neither_the_asker_nor_the_batchs_node_is_asked() {
    let panel = panel(20);
    assert_eq!(panel.asked.len(), 7);
    assert!([1, 2].iter().all(|number| !panel.asked.contains(&identity(*number).node())));
}

#[test]
fn where_more_than_two_thirds_agree_one_share_is_hashed_here() {
    let mut panel = panel(6);
    for place in 0..4 {
        assert_eq!(Panel::judged(&panel.answer(place, &valid())), None);
    }
    assert_eq!(Panel::judged(&panel.answer(4, &valid())), Some(Which::Some(vec![0])));
    let mut out = Vec::new();
    panel.asker.tick(Moment::from_millis(1_500), &mut out);
    assert!(out.is_empty(), "it is decided");
}

#[test]
fn where_they_are_late_or_disagree_every_share_is_hashed_here() {
    let mut panel = panel(6);
    (0..4).for_each(|place| assert!(panel.answer(place, &valid()).is_empty()));
    (4..6).for_each(|place| assert!(panel.answer(place, &BatchVerdict::Wrong { share: 0 }).is_empty()));
    let mut out = Vec::new();
    panel.asker.tick(Moment::from_millis(1_499), &mut out);
    assert_eq!((out.len(), panel.asker.wake()), (0, Some(Moment::from_millis(1_500))));
    panel.asker.tick(Moment::from_millis(1_500), &mut out);
    assert_eq!(Panel::judged(&out), Some(Which::All));
}

#[test]
fn whoever_signed_what_recomputation_contradicts_is_named() {
    let mut panel = panel(6);
    (0..5).for_each(|place| drop(panel.answer(place, &valid())));
    let (mut out, id) = (Vec::new(), panel.batch.id());
    panel.asker.judged(AT, id, &Which::Some(vec![0]), &BatchVerdict::Wrong { share: 0 }, &mut out);
    let liars: Vec<NodeId> = out
        .iter()
        .filter_map(|effect| match effect {
            PanelEffect::Liar { node, finding } if finding.wrong.is_none() => Some(*node),
            _ => None,
        })
        .collect();
    let mut want = panel.asked[..5].to_vec();
    want.sort();
    assert_eq!(liars, want);
}

#[test]
fn nobody_answers_with_what_another_found_or_what_is_a_minute_old() {
    let sealed = batch(&identity(2), BASE, 0, true);
    let mut panels = Panels::new(POOL, identity(3));
    assert_eq!(panels.answer(AT, POOL, sealed.id()), None);
    panels.judged(AT, sealed.id(), &Which::Some(vec![0]), &valid(), &mut Vec::new());
    assert_eq!(panels.answer(AT, POOL, sealed.id()), None);
    panels.judged(AT, sealed.id(), &Which::All, &valid(), &mut Vec::new());
    assert!(panels.answer(Moment::from_millis(61_000), POOL, sealed.id()).is_some());
    assert_eq!(panels.answer(Moment::from_millis(61_001), POOL, sealed.id()), None);
}

#[test]
fn an_answer_of_who_was_not_asked_or_did_not_sign_is_refused() {
    let mut panel = panel(3);
    let not_asked =
        (3..10).map(identity).find(|identity| !panel.asked.contains(&identity.node())).expect("four of them");
    let mut other = Panels::new(POOL, not_asked.clone());
    other.judged(AT, panel.batch.id(), &Which::All, &valid(), &mut Vec::new());
    let answer = other.answer(AT, POOL, panel.batch.id()).expect("it judged the batch");
    assert!(!panel.asker.hear(not_asked.node(), &answer, &mut Vec::new()));
    assert!(!panel.asker.hear(panel.asked[0], &answer, &mut Vec::new()));
}
