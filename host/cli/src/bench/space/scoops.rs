//! How fast what a challenge asks of a hard plot is read and scored: one scoop of all its nonces.
//!
//! Nothing but the scoops that are scanned is written, so a plot of gigabytes takes some megabytes of the disk. What is written comes from no account: to a scan it is
//! all the same, and a nonce that it proposes is not made again here.

use super::{SCANNED, per_second, read_part, timed};
use crate::bench::{grouped, median};
use adit_primitives::space::{LEAF_BYTES, SCOOP_BYTES, SpaceEngine};
use adit_space::farm::THREADS;
use adit_space::hard::name::NONCES_STEP;
use adit_space::hard::{HardPlot, Name};
use anyhow::Result;
use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How many challenges share the bytes that a bench may write.
const CHALLENGES: u64 = 16;

/// Scoops of a nonce.
const SCOOPS: u64 = 4_096;

/// Scans a scoop in each round, of so many bytes that sixteen make `bytes`, and prints how fast, against reading it alone before and after.
pub fn print(folder: &Path, engine: &dyn SpaceEngine, rounds: u16, bytes: u64) -> Result<()> {
    std::fs::create_dir(folder)?;
    let nonces = (bytes / CHALLENGES / SCOOP_BYTES as u64 / NONCES_STEP).max(1) * NONCES_STEP;
    let name = Name { account: 1, start: 0, nonces };
    let path = folder.join(name.to_string());
    let file = File::create(&path)?;
    file.set_len(name.bytes())?;
    let plot = HardPlot::open(&path)?;
    let (mut scans, mut shares) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let scoop = u64::from(round) * 1_237 % SCOOPS;
        let part = name.at(scoop, 0)..name.at(scoop, nonces);
        let length = part.end - part.start;
        write(&file, engine, part.clone())?;
        let visit = |_: u64, scoops: &[u8]| {
            let mut qualities = vec![0; scoops.len() / SCOOP_BYTES];
            engine.qualities(&[4; 32], scoops, &mut qualities);
            std::hint::black_box(qualities.into_iter().min());
            ControlFlow::Continue(())
        };
        let before = timed(|| read_part(&path, part.clone()))?;
        let scan = per_second(length, timed(|| Ok(plot.show(scoop, 0..nonces, THREADS, &visit)?))?);
        let read = per_second(2 * length, before + timed(|| read_part(&path, part))?);
        scans.push(scan);
        shares.push(scan.saturating_mul(100) / read.max(1));
    }
    let what = format!("a hard plot's scoop of {} nonces", grouped(nonces));
    println!("  {what:<34} {:>16} bytes/s, {} % of reading it", grouped(median(scans)), median(shares));
    Ok(())
}

/// Fills a part of a file with what no disk makes smaller.
fn write(file: &File, engine: &dyn SpaceEngine, part: Range<u64>) -> Result<()> {
    let mut bytes = vec![0; SCANNED];
    for at in part.clone().step_by(SCANNED) {
        engine.leaves(&[2; 32], at / LEAF_BYTES as u64, &mut bytes);
        let length = usize::try_from((part.end - at).min(SCANNED as u64))?;
        file.write_all_at(&bytes[..length], at)?;
    }
    Ok(file.sync_data()?)
}
