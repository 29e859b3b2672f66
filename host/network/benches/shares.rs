//! What a share costs on the wire and at a node: bytes with and without compressors, and microseconds to seal, open and recompute.
//!
//! `cargo bench -p adit-network --bench shares`; as a test it measures each once.

use adit_network::shares::{Base, Batch, Entry, Identity, Job, Payee, PoolId, Rotating, SealedBatch, Share, ShareId};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::{Amount, BlockId, Hash256, Height};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

/// A batch as a node of some miners sends it: two templates, noise where hashes and nonces are.
fn batch(identity: &Identity, shares: u32) -> Batch {
    let noise = |number: u32, tag: u8| *blake3::hash(&[&number.to_le_bytes()[..], &[tag]].concat()).as_bytes();
    let job = |number: u32| Job {
        base: Base { round: 1_000, root: Hash256(noise(number, 0)) },
        height: Height(123_456),
        reward: Amount::from_atoms(5_000_000_000),
        previous: BlockId(noise(number, 1)),
        bits: 0x1d00_ffff,
        branch: (2..7).map(|tag| Hash256(noise(number, tag))).collect(),
        tail: b"/adit/".to_vec(),
    };
    let payee = |number: u32| {
        let account = Hash256(noise(number, 10)).to_string()[..42].to_owned();
        Payee { account, worker: format!("rig{number}"), difficulty: ShareDifficulty::from_log2_hashes(32) }
    };
    let payees: Vec<Payee> = (0..shares.min(12)).map(payee).collect();
    let entry = |number: u32| {
        let bytes = noise(number, 20);
        let mut extranonce = [0; 12];
        extranonce[..8].copy_from_slice(&bytes[..8]);
        let nonce = u32::from_le_bytes([bytes[9], bytes[10], bytes[11], bytes[12]]);
        let payee = u16::try_from(number % shares.min(12)).expect("less than twelve");
        Entry { job: 0, payee, version: 0x2000_0000, extranonce, time: 1_700_000_000 + number % 7, nonce }
    };
    let entries = (0..shares).map(entry).collect();
    Batch { pool: PoolId([1; 32]), node: identity.node(), jobs: vec![job(0)], payees, entries }
}

/// Returns how long a call takes, in microseconds.
fn micros<T>(runs: u32, mut call: impl FnMut() -> T) -> f64 {
    let begin = Instant::now();
    (0..runs).for_each(|_| drop(black_box(call())));
    let took: Duration = begin.elapsed();
    took.as_secs_f64() * 1e6 / f64::from(runs)
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let runs = if is_bench { 300 } else { 1 };
    let identity = Identity::from_secret(&[1; 32]);
    println!("shares  bytes  a share   lz4  deflate | seal µs  open µs   lz4 µs  deflate µs  headers µs");
    for shares in [1, 5, 10, 30, 100] {
        let batch = batch(&identity, shares);
        let sealed = SealedBatch::seal(batch.clone(), &identity).expect("within bounds");
        let bytes = sealed.bytes();
        let headers = || -> Vec<ShareId> {
            batch.shares().map(|share: Share<'_>| ShareId::of(&share.header(batch.pool, &[7; 400]))).collect()
        };
        println!(
            "{shares:6} {:6} {:8} {:5} {:8} | {:7.1} {:8.1} {:8.1} {:11.1} {:11.1}",
            bytes.len(),
            bytes.len() / shares as usize,
            lz4_flex::compress(bytes).len(),
            deflated(bytes).len(),
            micros(runs, || SealedBatch::seal(batch.clone(), &identity)),
            micros(runs, || SealedBatch::open(bytes.clone(), batch.pool)),
            micros(runs, || lz4_flex::compress(bytes)),
            micros(runs, || deflated(bytes)),
            micros(runs, headers),
        );
    }
    let ids: Vec<ShareId> =
        (0u32..100_000).map(|number| ShareId(*blake3::hash(&number.to_le_bytes()).as_bytes())).collect();
    let mut filter = Rotating::new(ids.len(), 1);
    let took = micros(1, || ids.iter().for_each(|id| filter.insert(id, 1, 1)));
    println!("the filter takes a share in {:.0} ns and knows one in {:.0} ns", took / 100.0, {
        micros(1, || ids.iter().filter(|id| filter.may_have(id)).count()) / 100.0
    });
}
