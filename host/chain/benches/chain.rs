//! How long a template takes with 10,000 transactions waiting, when it can be reused, and how long a block of payments takes to connect.
//!
//! `cargo bench -p adit-chain`. Rules and storage are those of the tests, so that the chain's own share is seen.

#[allow(dead_code)]
#[path = "../tests/it/rules.rs"]
mod rules;
#[allow(dead_code)]
#[path = "../tests/it/world.rs"]
mod world;

use adit_chain::{Block, Solution, TemplateRequest, Transaction};
use adit_primitives::Timestamp;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rules::{SUBSIDY, TestRules};
use std::hint::black_box;
use world::{MATURITY, NOW, World, config, key, output, plain, spend};

const PENDING: u64 = 10_000;
const LATER: Timestamp = Timestamp::from_millis(2_000_000_000);

/// A world with outputs of key 1 to spend, and as many payments of one input and two outputs, which nothing holds yet.
fn funded(payments: u64) -> (World, Vec<Transaction>) {
    let mut config = config();
    config.mempool.transactions_max = 20_000;
    config.mempool.bytes_max = 20_000_000;
    config.mempool.fee_per_kilobyte_min = world::atoms(100);
    config.ledger.block_bytes_max = 4_000_000;
    let mut world = World::with(config, TestRules::default());
    let mined = world.mine(1 + MATURITY, 1);
    let share = SUBSIDY / payments;
    let outputs: Vec<(u8, u64)> = (0..payments).map(|_| (1, share)).collect();
    let fan = spend(&[mined[0].reward()], 1, &outputs);
    let mut recipe = plain(mined.last().unwrap(), 1);
    recipe.payments = vec![fan.clone()];
    world.submit(&recipe.make()).unwrap();
    let pay = |index: u64| {
        let from = output(&fan, usize::try_from(index).unwrap());
        let left = share - 60 - index % 20;
        spend(&[from], 1, &[(1, left / 2), (2, left - left / 2)])
    };
    (world, (0..payments).map(pay).collect())
}

fn with_pending(payments: u64) -> (World, Transaction) {
    let (mut world, mut transactions) = funded(payments + 1);
    let last = transactions.pop().unwrap();
    let answers = world.chain.submit_transactions(NOW, transactions).unwrap();
    answers.into_iter().for_each(|answer| assert!(answer.is_ok(), "{answer:?}"));
    (world, last)
}

fn request() -> TemplateRequest {
    TemplateRequest { pay_to: key(5).public(), extra: Vec::new(), difficulty: None }
}

fn templates(criterion: &mut Criterion) {
    let (mut world, _) = with_pending(PENDING / 2);
    let (mut full, _) = with_pending(PENDING);
    let mut group = criterion.benchmark_group("template");
    let mut number = 0;
    group.bench_function("reused", |bencher| {
        bencher.iter(|| world.chain.template(NOW, &request()).unwrap());
    });
    // A new header on the side changes what templates depend on, and costs little itself.
    let genesis = full.genesis();
    group.bench_function("rebuilt from 10,000 pending", |bencher| {
        bencher.iter_batched(
            || {
                number += 1;
                let mut recipe = plain(&genesis, 1);
                (recipe.nonce, recipe.work) = (number, 1);
                recipe.make().block.header
            },
            |header| {
                full.chain.submit_headers(NOW, &[header]).unwrap();
                black_box(full.chain.template(NOW, &request()).unwrap())
            },
            BatchSize::PerIteration,
        );
    });
    let mut seed = 1;
    group.bench_function("for another miner", |bencher| {
        bencher.iter(|| {
            seed = seed % 200 + 1;
            full.chain.template(NOW, &TemplateRequest { pay_to: key(seed).public(), ..request() }).unwrap()
        });
    });
    group.finish();
}

/// One block of 1,000 payments, whose signatures were checked on the way in or not.
fn connecting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connect 1,000 payments");
    group.sample_size(10);
    let block_of = |world: &mut World| -> Block {
        let template = world.chain.template(NOW, &request()).unwrap();
        world.chain.assemble(&template, Solution { nonce: 1, rolled: 0 }).unwrap()
    };
    group.bench_function("that waited in the mempool", |bencher| {
        bencher.iter_batched(
            || {
                let (mut world, _) = with_pending(1000);
                let block = block_of(&mut world);
                (world, block)
            },
            |(mut world, block)| {
                world.chain.submit_block(LATER, block).unwrap();
                world
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("never seen before", |bencher| {
        bencher.iter_batched(
            || {
                let block = block_of(&mut with_pending(1000).0);
                (funded(1001).0, block)
            },
            |(mut world, block)| {
                world.chain.submit_block(LATER, block).unwrap();
                world
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, templates, connecting);
criterion_main!(benches);
