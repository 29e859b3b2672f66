//! What somebody without plots can do: make what a challenge asks for when it is asked, and keep nothing.
//!
//! The rounds of a block are known when its parent is: all their challenges are answered by one making.

use super::{Folder, SpaceBenchArguments, make_plain, per_second, read_whole, timed};
use crate::bench::{grouped, median};
use crate::engine::cpu_time;
use adit_kernels::space::Backend;
use adit_primitives::space::{LEAF_BYTES, NONCE_BYTES, SCOOP_BYTES, SCOOPS, ScoreHash, SpaceEngine};
use anyhow::Result;
use std::time::Duration;

/// Leaves that are made at once.
const LEAVES: usize = 1 << 19;

/// How fast one core is, in bytes of a plot a second.
#[derive(Default)]
struct Core {
    /// Makes leaves and scores them, by each hash.
    made: [Vec<u64>; 2],
    /// Scores leaves that are there: each round after the first.
    scored: [Vec<u64>; 2],
    /// Makes nonces and scores a scoop of each.
    nonces: Vec<u64>,
}

/// Measures one core against a disk, and prints how many such disks it replaces.
pub fn run(arguments: &SpaceBenchArguments) -> Result<()> {
    let folder = Folder::make(&arguments.dir)?;
    let (engine, mut core, mut reads) = (Backend::widest(), Core::default(), Vec::new());
    let plot = make_plain(&folder.0, &engine, [0; 32], arguments.size)?;
    for _ in 0..arguments.rounds {
        core.measure(engine);
        reads.push(per_second(arguments.size, timed(|| read_whole(&plot))?));
    }
    let read = median(reads);
    let (time, rounds) = (u64::from(arguments.block_time), u64::from(arguments.rounds_of_a_block()));
    println!("\na disk, read past the cache: {:>16} bytes/s", grouped(read));
    println!(
        "\nwhat one core without a plot stands for, {time} seconds between blocks and {rounds} challenges in them"
    );
    let rows = core.rows(rounds);
    for Row { name, plot, .. } in &rows {
        let size = gib(*plot, time);
        println!("  {name:<22} makes {:>14} bytes of plot a second: a plot of {size}", grouped(*plot));
    }
    // A disk answers a challenge by reading everything of a plain plot, and one scoop of 4,096 of a hard one.
    println!("what it replaces: a plain plot is read whole for each challenge, of a hard one each 4,096th byte");
    for Row { name, read: own, .. } in &rows {
        let millionths = u128::from(*own) * 1_000_000 / u128::from(read.max(1));
        let (whole, part) = (millionths / 1_000_000, millionths % 1_000_000);
        let own = grouped(*own);
        println!("  {name:<22} as much as a disk that reads {own:>16} bytes a second: {whole}.{part:06} of this one");
    }
    Ok(())
}

/// What a core stands for in one scheme, in a second.
struct Row {
    name: &'static str,
    /// Bytes of plot that it makes for a block.
    plot: u64,
    /// Bytes that whoever has that plot reads for it.
    read: u64,
}

impl Core {
    fn measure(&mut self, engine: Backend) {
        let bytes = (LEAVES * LEAF_BYTES) as u64;
        let mut some = vec![0; LEAVES / 16 * LEAF_BYTES];
        engine.leaves(&[1; 32], 0, &mut some);
        for (hash, (made, scored)) in ScoreHash::ALL.into_iter().zip(self.made.iter_mut().zip(&mut self.scored)) {
            made.push(per_second(bytes, spent(|| engine.best_made(hash, &[2; 32], &[1; 32], 0, LEAVES))));
            scored.push(per_second(some.len() as u64, spent(|| engine.best_leaf(hash, &[2; 32], &some))));
        }
        let lanes = engine.lanes();
        let mut scoops = vec![0; lanes * SCOOP_BYTES];
        let mut qualities = vec![0; lanes];
        let took = spent(|| {
            engine.scoop(1, 0, 7, &mut scoops);
            engine.qualities(&[2; 32], &scoops, &mut qualities);
        });
        std::hint::black_box(qualities);
        self.nonces.push(per_second((lanes * NONCE_BYTES) as u64, took));
    }

    /// Says what it stands for where a block has so many challenges.
    fn rows(self, rounds: u64) -> Vec<Row> {
        let names = ["plain, SHA-256 scores", "plain, BLAKE3 scores"];
        let plain = names.into_iter().zip(self.made.into_iter().zip(self.scored)).map(|(name, (made, scored))| {
            let plot = over_rounds(median(made), median(scored), rounds);
            Row { name, plot, read: plot.saturating_mul(rounds) }
        });
        let mut rows: Vec<Row> = plain.collect();
        let plot = median(self.nonces);
        rows.push(Row { name: "hard", plot, read: plot.saturating_mul(rounds) / SCOOPS as u64 });
        rows
    }
}

/// Returns how much a second makes where each byte is made and scored once, and scored again in every other round.
fn over_rounds(made: u64, scored: u64, rounds: u64) -> u64 {
    let (made, scored) = (u128::from(made.max(1)), u128::from(scored.max(1)));
    // 1 / (1 / made + (rounds - 1) / scored)
    let plot = made * scored / (scored + made * u128::from(rounds.saturating_sub(1)));
    u64::try_from(plot).unwrap_or(u64::MAX)
}

fn spent<T>(work: impl FnOnce() -> T) -> Duration {
    let start = cpu_time();
    std::hint::black_box(work());
    cpu_time().saturating_sub(start)
}

fn gib(bytes_per_second: u64, seconds: u64) -> String {
    let mib = bytes_per_second.saturating_mul(seconds) >> 20;
    format!("{}.{:02} GiB", grouped(mib / 1024), mib % 1024 * 100 / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_once_answers_every_round_of_a_block() {
        assert_eq!(over_rounds(600, 1_200, 1), 600);
        // To make and score 400 takes two thirds of a second, and to score them again the third.
        assert_eq!(over_rounds(600, 1_200, 2), 400);
        let core = Core { made: [vec![600], vec![900]], scored: [vec![1_200], vec![3_600]], nonces: vec![8_192] };
        let rows = core.rows(4);
        assert_eq!(rows.iter().map(|row| row.plot).collect::<Vec<_>>(), [240, 514, 8_192]);
        assert_eq!(rows.iter().map(|row| row.read).collect::<Vec<_>>(), [960, 2_056, 8]);
    }
}
