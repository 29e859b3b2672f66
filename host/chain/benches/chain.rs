//! How long a template takes with 10,000 transactions waiting, when it can be reused; how long a block of payments takes to connect, and an empty
//! one that takes another's place; how long headers and small blocks of a node that syncs take.
//!
//! `cargo bench -p adit-chain`. Rules and storage are those of the tests, so that the chain's own share is seen.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]

#[allow(dead_code)]
#[path = "../tests/it/rules.rs"]
mod rules;
#[allow(dead_code)]
#[path = "../tests/it/world.rs"]
mod world;

use adit_chain::{Block, Solution, TemplateRequest, Transaction};
use adit_primitives::Timestamp;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rules::{SUBSIDY, TestHash, TestRules};
use std::time::{Duration, Instant};
use world::{MATURITY, Made, NOW, World, config, key, output, plain, spend};

const PENDING: u64 = 10_000;
/// More than a bench asks for in the time it is given.
const LATE: u64 = 8000;
const LATER: Timestamp = Timestamp::from_millis(2_000_000_000);

/// A world with outputs of key 1 to spend, and as many payments of one input and two outputs, which nothing holds yet.
fn funded(payments: u64) -> (World, Vec<Transaction>) {
    let mut config = config();
    config.mempool.transactions_max = usize::try_from(PENDING).unwrap();
    config.mempool.bytes_max = 20_000_000;
    config.mempool.fee_per_kilobyte_min = world::atoms(50);
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
        // Those made first pay least: where there is no room, they make it.
        let left = share - 10 - index * 20 / payments - index % 20;
        spend(&[from], 1, &[(1, left / 2), (2, left - left / 2)])
    };
    (world, (0..payments).map(pay).collect())
}

/// The same where some of the payments wait, and those that do not.
fn with_pending(pending: u64, late: u64) -> (World, Vec<Transaction>) {
    let (mut world, mut transactions) = funded(pending + late);
    let late = transactions.split_off(usize::try_from(pending).unwrap());
    let answers = world.chain.submit_transactions(NOW, transactions).unwrap();
    answers.into_iter().for_each(|answer| assert!(answer.is_ok(), "{answer:?}"));
    (world, late)
}

fn request() -> TemplateRequest {
    TemplateRequest { pay_to: key(5).public(), extra: Vec::new(), difficulty: None }
}

fn templates(criterion: &mut Criterion) {
    let (mut world, late) = with_pending(PENDING, LATE);
    // Every one drives out a worse one, so that the number stays.
    let mut late = late.into_iter();
    let mut group = criterion.benchmark_group("template");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(50);
    let ours = request();
    group.bench_function("reused", |bencher| {
        bencher.iter(|| world.chain.template(NOW, &ours).unwrap());
    });
    group.bench_function("rebuilt from 10,000 pending, one of them new", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds).fold(Duration::ZERO, |sum, _| {
                world.chain.submit_transaction(NOW, late.next().unwrap()).unwrap();
                let start = Instant::now();
                world.chain.template(NOW, &ours).unwrap();
                sum + start.elapsed()
            })
        });
    });
    let others: Vec<TemplateRequest> =
        (1..200).map(|seed| TemplateRequest { pay_to: key(seed).public(), ..request() }).collect();
    let mut other = others.iter().cycle();
    group.bench_function("for another miner", |bencher| {
        bencher.iter(|| world.chain.template(NOW, other.next().unwrap()).unwrap());
    });
    group.finish();
}

/// One block of 1,000 payments, whose signatures were checked on the way in or not.
fn connecting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connect 1,000 payments");
    group.sample_size(10);
    let block_of = |world: &mut World| -> Block {
        let template = world.chain.template(NOW, &request()).unwrap();
        world.chain.assemble(&template, Solution::Nonce { nonce: 1, rolled: 0 }).unwrap()
    };
    group.bench_function("that waited in the mempool", |bencher| {
        bencher.iter_batched(
            || {
                let (mut world, _) = with_pending(1000, 0);
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
                let block = block_of(&mut with_pending(1000, 0).0);
                (funded(1000).0, block)
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

/// A block displaces the selected tip, while transactions wait that neither touches: on a DAG as common as parallel blocks are.
fn changing_branch(criterion: &mut Criterion) {
    let (mut world, _) = with_pending(PENDING, 0);
    let mut group = criterion.benchmark_group("change of branch");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    group.bench_function("with 10,000 pending", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds).fold(Duration::ZERO, |sum, _| {
                let tip = world.chain.tip();
                let block = Block { header: Vec::new(), body: Vec::new() };
                let below = Made { id: tip.id, block, height: tip.height.0 };
                let mut better = plain(&below, 2);
                better.work += 1;
                world.submit(&plain(&below, 1).make()).unwrap();
                let better = better.make();
                let start = Instant::now();
                world.submit(&better).unwrap();
                sum + start.elapsed()
            })
        });
    });
    group.finish();
}

/// A node takes headers, and then the blocks that belong to them, as one group or one by one.
fn syncing(criterion: &mut Criterion) {
    const BLOCKS: usize = 1000;
    let mut line = vec![World::new().genesis()];
    for _ in 0..BLOCKS {
        line.push(plain(line.last().unwrap(), 1).make());
    }
    let blocks: Vec<Block> = line[1..].iter().map(|made| made.block.clone()).collect();
    let headers: Vec<Vec<u8>> = blocks.iter().map(|block| block.header.clone()).collect();
    let with_headers = || {
        let mut world = World::new();
        world.chain.submit_headers(NOW, &headers).unwrap();
        world
    };
    let mut group = criterion.benchmark_group("sync of 1,000 blocks");
    group.sample_size(10).throughput(Throughput::Elements(BLOCKS as u64));
    group.bench_function("headers", |bencher| {
        bencher.iter_batched(|| (), |()| with_headers(), BatchSize::PerIteration);
    });
    group.bench_function("blocks in groups of 250", |bencher| {
        let take = |mut world: World| {
            let mut checker = world.chain.checker(Box::new(TestHash));
            for group in blocks.chunks(250) {
                let checked = checker.check_all(group.to_vec()).into_iter().map(Result::unwrap).collect();
                world.chain.submit_blocks(NOW, checked).into_iter().for_each(|answer| drop(answer.unwrap()));
            }
            world
        };
        bencher.iter_batched(with_headers, take, BatchSize::PerIteration);
    });
    group.bench_function("blocks one by one", |bencher| {
        let take = |mut world: World| {
            blocks.iter().for_each(|block| drop(world.chain.submit_block(NOW, block.clone()).unwrap()));
            world
        };
        bencher.iter_batched(with_headers, take, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, templates, connecting, changing_branch, syncing);
criterion_main!(benches);
