//! GHOSTDAG by its definitions, over plain sets of ancestors: slow, short, and sharing nothing with the plugin.
//!
//! Also wrong on purpose, in the two ways that are easy to get wrong and that most DAGs do not show.

use super::{BITS, Dag, Outcome};
use adit_primitives::{Target, U256};
use std::collections::BTreeSet;

/// Which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Right,
    /// Blocks of equal work are ordered as they came, not by their ids.
    NoTieBreak,
    /// A candidate is compared with the blues that the new block itself merges, not with those below.
    NoWalk,
}

/// What a block sees.
struct Seen {
    past: BTreeSet<usize>,
    /// The blue blocks of its past.
    blues: BTreeSet<usize>,
}

/// Returns what the rules say of each block.
pub fn outcomes(dag: &Dag, variant: Variant) -> Vec<Outcome> {
    let work = Target::from_compact(BITS).expect("a target").work().0;
    let mut outcomes = vec![Outcome::default()];
    let mut seen = vec![Seen { past: BTreeSet::new(), blues: BTreeSet::new() }];
    for parents in dag.parents.iter().skip(1) {
        let rank = |block: &usize| {
            let work = outcomes[*block].blue_work;
            (work, (variant != Variant::NoTieBreak).then_some(dag.ids[*block]), usize::MAX - block)
        };
        let selected = *parents.iter().max_by_key(|parent| rank(parent)).expect("a block has parents");
        let mut past: BTreeSet<usize> = parents.iter().flat_map(|parent| &seen[*parent].past).copied().collect();
        past.extend(parents);
        let mut merged: Vec<usize> =
            past.iter().copied().filter(|block| *block != selected && !seen[selected].past.contains(block)).collect();
        merged.sort_by_key(rank);
        let (blues, reds, anticones, all) = colour(dag.k, variant, selected, &merged, &seen);
        outcomes.push(Outcome {
            selected_parent: selected,
            blue_score: outcomes[selected].blue_score + blues.len() as u64,
            blue_work: outcomes[selected].blue_work + work * U256::from(blues.len()),
            blues,
            reds,
            anticones,
        });
        seen.push(Seen { past, blues: all });
    }
    outcomes
}

type Coloured = (Vec<usize>, Vec<usize>, std::collections::BTreeMap<usize, u16>, BTreeSet<usize>);

fn colour(k: u16, variant: Variant, selected: usize, merged: &[usize], seen: &[Seen]) -> Coloured {
    let k = usize::from(k);
    let apart =
        |one: usize, other: usize| one != other && !seen[one].past.contains(&other) && !seen[other].past.contains(&one);
    let mut all = seen[selected].blues.clone();
    all.insert(selected);
    let (mut blues, mut reds, mut touched) = (vec![selected], Vec::new(), BTreeSet::from([selected]));
    for candidate in merged {
        let compared: Vec<usize> =
            if variant == Variant::NoWalk { blues.clone() } else { all.iter().copied().collect() };
        let anticone: Vec<usize> = compared.iter().copied().filter(|blue| apart(*blue, *candidate)).collect();
        let size = |blue: &usize| all.iter().filter(|other| apart(*blue, **other)).count();
        if blues.len() == k + 1 || anticone.len() > k || anticone.iter().any(|blue| size(blue) >= k) {
            reds.push(*candidate);
        } else {
            all.insert(*candidate);
            blues.push(*candidate);
            touched.insert(*candidate);
            touched.extend(anticone);
        }
    }
    let size = |blue: usize| all.iter().filter(|other| apart(blue, **other)).count();
    let sizes = touched.into_iter().map(|blue| (blue, u16::try_from(size(blue)).expect("few blues")));
    let sizes = sizes.collect();
    (blues, reds, sizes, all)
}
