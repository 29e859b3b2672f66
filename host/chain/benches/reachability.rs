//! What a block costs the reachability index as the DAG grows, what a question costs, and how long a million blocks take to load.
//!
//! `cargo bench -p adit-chain --bench reachability`. The figures after each name are blocks, or questions, a second.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]

use adit_chain::reachability::{Place, Reachability};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::collections::VecDeque;
use std::hint::black_box;

/// A block sees all but so many of the newest blocks, at most.
const WIDE: u64 = 10;
const PARENTS_MAX: usize = 16;
const MILLION: usize = 1_000_000;
const SEED: u64 = 0x5eed;
const QUESTIONS: usize = 4096;
/// What a colouring asks at once: the blues of a merge set against a candidate's rivals.
const ROWS: usize = 64;

/// A generator of numbers (SplitMix64): the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound).unwrap()
    }
}

/// A block with what the index is told of it.
struct Placed {
    selected: Place,
    merged: Vec<Place>,
}

/// A DAG in which each block stands on the tips that it sees; the parent with the largest past is selected.
struct Dag {
    parents: Vec<Vec<Place>>,
    placed: Vec<Placed>,
}

impl Dag {
    fn new(blocks: usize, wide: u64) -> Self {
        let mut numbers = Numbers(SEED);
        let mut index = Reachability::new();
        let mut dag = Self { parents: vec![Vec::new()], placed: Vec::new() };
        let mut pasts = vec![0_usize];
        let mut tips: VecDeque<Vec<Place>> = VecDeque::from([vec![0]]);
        for place in 1..Place::try_from(blocks).unwrap() {
            let unseen = numbers.below(wide).min(tips.len() - 1);
            let seen = &tips[tips.len() - 1 - unseen];
            let parents: Vec<Place> = seen.iter().rev().take(PARENTS_MAX).copied().collect();
            let selected = *parents.iter().max_by_key(|at| (pasts[**at as usize], **at)).unwrap();
            let merged = index.merge_set(selected, &parents, usize::MAX, |at| &dag.parents[at as usize]).unwrap();
            index.insert(place, selected, &merged);
            pasts.push(pasts[selected as usize] + 1 + merged.len());
            let mut next: Vec<Place> =
                tips.back().unwrap().iter().copied().filter(|at| !parents.contains(at)).collect();
            next.push(place);
            tips.push_back(next);
            if tips.len() > usize::try_from(wide).unwrap() {
                tips.pop_front();
            }
            dag.parents.push(parents);
            dag.placed.push(Placed { selected, merged });
        }
        dag
    }

    fn index(&self) -> Reachability {
        let mut index = Reachability::new();
        for (place, placed) in (1..).zip(&self.placed) {
            index.insert(place, placed.selected, &placed.merged);
        }
        index
    }

    /// As a node does from headers: merge sets are found, not given.
    fn rebuilt(&self) -> Reachability {
        let mut index = Reachability::new();
        for (place, placed) in (1..).zip(&self.placed) {
            let parents = &self.parents[place as usize];
            let found = index.merge_set(placed.selected, parents, usize::MAX, |at| &self.parents[at as usize]).unwrap();
            index.insert(place, placed.selected, &found);
        }
        index
    }
}

fn insertion(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insert, merge sets given");
    for bits in [12, 13, 14, 15, 16] {
        let dag = Dag::new(1 << bits, WIDE);
        group.throughput(Throughput::Elements(1 << bits));
        group.bench_function(format!("2^{bits} blocks"), |bencher| bencher.iter(|| dag.index().len()));
    }
    group.finish();
}

fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load a million blocks, merge sets found");
    group.sample_size(10).throughput(Throughput::Elements(MILLION as u64));
    for (name, wide) in [("one chain", 1), ("wide", WIDE)] {
        let dag = Dag::new(MILLION, wide);
        let index = dag.rebuilt();
        println!("{name}: {} bytes a block, {} labels moved", index.bytes() / index.len(), index.moved());
        group.bench_function(name, |bencher| bencher.iter(|| dag.rebuilt().len()));
    }
    group.finish();
}

fn questions(criterion: &mut Criterion) {
    let index = Dag::new(1 << 16, WIDE).index();
    let mut numbers = Numbers(SEED);
    let recent = |numbers: &mut Numbers| Place::try_from((1 << 16) - 1 - numbers.below(300)).unwrap();
    let pairs: Vec<_> = (0..QUESTIONS).map(|_| (recent(&mut numbers), recent(&mut numbers))).collect();
    let mut group = criterion.benchmark_group("questions about recent blocks");
    group.throughput(Throughput::Elements(QUESTIONS as u64));
    group.bench_function("on the selected chain", |bencher| {
        bencher.iter(|| pairs.iter().filter(|(a, b)| index.is_chain_ancestor(black_box(*a), *b)).count());
    });
    group.bench_function("in the past", |bencher| {
        bencher.iter(|| pairs.iter().filter(|(a, b)| index.is_ancestor(black_box(*a), *b)).count());
    });
    let ancestors: Vec<Place> = pairs[..ROWS].iter().map(|(a, _)| *a).collect();
    let descendants: Vec<Place> = pairs[..QUESTIONS / ROWS].iter().map(|(_, b)| *b).collect();
    group.bench_function("in the past, 64 by 64 at once", |bencher| {
        bencher.iter(|| index.matrix(black_box(&ancestors), black_box(&descendants)).len());
    });
    group.bench_function("in the past, 64 by 64 one by one", |bencher| {
        let all = || ancestors.iter().flat_map(|a| descendants.iter().map(|b| index.is_ancestor(black_box(*a), *b)));
        bencher.iter(|| all().collect::<Vec<bool>>().len());
    });
    group.finish();
}

criterion_group!(benches, insertion, questions, loading);
criterion_main!(benches);
