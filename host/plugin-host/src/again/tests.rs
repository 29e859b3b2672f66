use super::*;
use adit_primitives::{Timestamp, Work};

const PLUGIN: Hash256 = Hash256([1; 32]);

fn id(number: usize) -> BlockId {
    BlockId([u8::try_from(number).unwrap(); 32])
}

/// All blocks of a DAG in the order of their numbers, of which the first `shown` are known. Each answer is found by looking at all of them.
#[derive(Clone)]
struct Whole {
    blocks: Vec<KnownBlock>,
    shown: usize,
}

impl Whole {
    /// A DAG in which block `n` has the parents `parents(n)`, the selected one first.
    fn new(count: usize, parents: impl Fn(usize) -> Vec<usize>) -> Self {
        let mut blocks: Vec<KnownBlock> = Vec::new();
        for number in 0..count {
            let parents: Vec<BlockId> = parents(number).into_iter().map(id).collect();
            let selected_parent = parents.first().copied();
            // Heights leave gaps, as blue scores do.
            let below = selected_parent.and_then(|parent| blocks.iter().find(|block| block.id == parent));
            let height = Height(below.map_or(0, |block| block.height.0 + parents.len() as u64));
            blocks.push(KnownBlock {
                id: id(number),
                parents,
                selected_parent,
                merge_set: Vec::new(),
                time: Timestamp::from_millis(number as u64),
                bits: 0,
                height,
                work: Work::ZERO,
                state: vec![7; number],
            });
        }
        Self { blocks, shown: count }
    }

    fn above(&self, below: usize, shown: usize) -> Above {
        let batch = self.blocks[below..].iter().map(|block| (view(block), placement(block)));
        let chain = Self { shown: below, ..self.clone() };
        Above { chain: Arc::new(chain), batch: Arc::new(Batch::of(batch)), shown }
    }
}

impl ChainView for Whole {
    fn horizon(&self) -> Height {
        Height(0)
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        self.blocks[..self.shown].iter().find(|block| block.id == id).cloned()
    }

    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        let below = |block: KnownBlock| block.parents.iter().any(|parent| self.is_ancestor(ancestor, *parent));
        self.block(descendant).is_some_and(|block| block.id == ancestor || below(block))
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        let first = self.block(from);
        let past = std::iter::successors(first, |block| block.selected_parent.and_then(|parent| self.block(parent)));
        past.take(count as usize).collect()
    }

    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        self.selected_past(from, u32::MAX).into_iter().find(|block| block.height <= height)
    }
}

fn view(block: &KnownBlock) -> HeaderView {
    let pow = adit_primitives::contract::PowInput {
        bytes: Vec::new(),
        nonce_offset: 0,
        nonce_bytes: 0,
        roll_offset: 0,
        roll_mask: 0,
    };
    let KnownBlock { id, parents, time, bits, .. } = block.clone();
    HeaderView { id, parents, time, bits, body_root: Hash256([0; 32]), pow }
}

fn placement(block: &KnownBlock) -> Placement {
    let KnownBlock { selected_parent, merge_set, height, work, state, .. } = block.clone();
    let (tie, valid_from) = (Hash256([0; 32]), Timestamp::from_millis(0));
    Placement { selected_parent, merge_set, height, work, tie, valid_from, subsidy: 0, state }
}

#[track_caller]
fn check_above(whole: &Whole) {
    let count = whole.blocks.len();
    for below in 1..count {
        for shown in 0..=count - below {
            let above = whole.above(below, shown);
            let right = Whole { shown: below + shown, ..whole.clone() };
            // One more than there are: nobody knows that one.
            for from in (0..=count).map(id) {
                assert_eq!(above.block(from), right.block(from));
                for other in 0..=count {
                    let pair = (id(other), from);
                    assert_eq!(above.is_ancestor(pair.0, pair.1), right.is_ancestor(pair.0, pair.1), "{pair:?}");
                    let (length, height) = (u32::try_from(other).unwrap(), Height(other as u64));
                    assert_eq!(above.selected_past(from, length), right.selected_past(from, length));
                    assert_eq!(above.selected_ancestor(from, height), right.selected_ancestor(from, height));
                }
            }
        }
    }
}

#[test]
fn a_batch_above_a_chain_answers_as_a_chain_that_holds_it() {
    check_above(&Whole::new(8, |number| number.checked_sub(1).into_iter().collect()));
    // Two branches, each block two above its parent.
    check_above(&Whole::new(9, |number| if number == 0 { Vec::new() } else { vec![number.saturating_sub(2)] }));
    // Blocks that merge others.
    check_above(&Whole::new(9, |number| match number {
        0 => Vec::new(),
        1 | 2 => vec![0],
        _ if number % 3 == 0 => vec![number - 1, number - 2],
        _ => vec![number - 2],
    }));
}

#[test]
fn one_header_of_so_many_is_chosen_and_at_least_one() {
    for (first, count, want) in [(1, 1, 0), (0, 1, 1), (1, 2, 1), (1, 1 + ONE_IN, 1), (1, 2 + ONE_IN, 2), (1, 2_000, 8)]
    {
        let Sample(chosen) = Sample::of(PLUGIN, b"batch", first, count);
        assert_eq!(chosen.len(), want, "{first}..{count}");
        let mut from = chosen.iter().enumerate().map(|(part, number)| (first + part * ONE_IN, *number));
        assert!(from.all(|(from, number)| (from..count.min(from + ONE_IN)).contains(&number)), "{chosen:?}");
    }
}

#[test]
fn the_choice_follows_from_batch_and_plugin_and_reaches_every_header() {
    let choice = |plugin, batch: &[u8]| Sample::of(plugin, batch, 1, 1 + ONE_IN).0;
    assert_eq!(choice(PLUGIN, b"batch"), choice(PLUGIN, b"batch"));
    let batches = || (0..8_000u32).map(u32::to_le_bytes);
    let reached: BTreeSet<usize> = batches().flat_map(|batch| choice(PLUGIN, &batch)).collect();
    assert_eq!(reached, (1..1 + ONE_IN).collect());
    let same = batches().filter(|batch| choice(PLUGIN, batch) == choice(Hash256([2; 32]), batch)).count();
    assert!(same < 100, "one in 256 agrees by chance, {same} of 8,000 do");
}

#[test]
fn answers_that_differ_do_not_agree_and_are_said_differently() {
    let whole = Whole::new(2, |number| number.checked_sub(1).into_iter().collect());
    let valid = placement(&whole.blocks[1]);
    let violation = |rule: &str| Violation { rule: rule.to_owned(), detail: "d".to_owned() };
    let answers = [
        Ok(valid.clone()),
        Ok(Placement { tie: Hash256([1; 32]), ..valid.clone() }),
        Ok(Placement { subsidy: 1, ..valid }),
        Err(violation("bits")),
        Err(violation("time")),
    ];
    let texts: BTreeSet<String> = answers.iter().map(said).collect();
    assert_eq!(texts.len(), answers.len());
    for (one, other) in
        answers.iter().enumerate().flat_map(|one| answers.iter().enumerate().map(move |other| (one, other)))
    {
        assert_eq!(agree(one.1, other.1), one.0 == other.0);
    }
    let elsewhere = Err(Violation { rule: "bits".to_owned(), detail: "in this batch".to_owned() });
    assert!(agree(&answers[3], &elsewhere), "a detail is prose");
    assert!(texts.iter().all(|text| text.len() < 100), "{texts:?}");
}
