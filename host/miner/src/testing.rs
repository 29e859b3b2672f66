//! Engines for tests: double SHA-256, and the same with a fault of each kind.

use crate::job::{JobId, MiningJob};
use adit_primitives::contract::{Found, PowInput, Scan, SearchJob};
use adit_primitives::engine::{Fault, FaultClass, HashEngine};
use adit_primitives::{Hash256, Target, U256, sha256d};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Double SHA-256, one after another.
#[derive(Debug, Clone)]
pub struct Sha256d {
    stops_after: u64,
    /// How many digests were asked for.
    pub digests: u64,
}

impl Default for Sha256d {
    fn default() -> Self {
        Self { stops_after: u64::MAX, digests: 0 }
    }
}

impl Sha256d {
    pub fn stopping_after(nonces: u64) -> Self {
        Self { stops_after: nonces, digests: 0 }
    }
}

impl HashEngine for Sha256d {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        digests.extend(inputs.chunks_exact(each).map(|input| Hash256(sha256d(input))));
        self.digests += (inputs.len() / each) as u64;
        Ok(())
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
        let scanned = count.min(self.stops_after);
        let mut found = Vec::new();
        for (input, base) in (0..).zip(&job.inputs) {
            let mut bytes = base.clone();
            for nonce in (0..scanned).map(|step| first.wrapping_add(step) & mask) {
                job.write_nonce(&mut bytes, nonce);
                if job.target.is_met_by(&sha256d(&bytes)) {
                    found.push(Found { nonce, input });
                }
            }
        }
        Ok(Scan { scanned, found })
    }
}

/// What is wrong with an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    DigestInLane(usize),
    DigestOfLength(usize),
    DigestMissing,
    MissesInLane(u64),
    StopsAtCarry(u32),
    MixesInputs,
    FalseFind,
    RepeatsFinds,
    TargetExclusive,
    MissesHardTargets,
    ScansNothing,
    ScansTooMuch,
    Faults,
    /// Gives no digest at the first calls for one, then is right.
    FaultsAtFirst(u64),
    /// Right for so many calls, then every find is lost.
    AfterCalls(u64),
}

/// Double SHA-256 with a fault.
pub struct WrongEngine {
    wrong: Wrong,
    right: Sha256d,
    pub calls: Arc<AtomicU64>,
}

impl WrongEngine {
    pub fn new(wrong: Wrong) -> Self {
        Self { wrong, right: Sha256d::default(), calls: Arc::default() }
    }

    /// The number of a lane's nonce in a search, for kernels that take 48 at once.
    fn lane(job: &SearchJob, first: u64, nonce: u64) -> u64 {
        crate::proof::steps_between(job, first, nonce) % 48
    }
}

impl HashEngine for WrongEngine {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        let begin = digests.len();
        self.right.digest_many(inputs, each, digests)?;
        let digests_now = &mut digests[begin..];
        match self.wrong {
            Wrong::DigestInLane(lane) => {
                digests_now.iter_mut().skip(lane).step_by(16).for_each(|digest| digest.0[31] ^= 1)
            }
            Wrong::DigestOfLength(length) if length == each => {
                digests_now.iter_mut().for_each(|digest| digest.0[0] ^= 128)
            }
            Wrong::DigestMissing => drop(digests.pop()),
            Wrong::Faults => return Err(fault()),
            Wrong::FaultsAtFirst(calls) if self.calls.fetch_add(1, Ordering::Relaxed) < calls => return Err(fault()),
            _ => (),
        }
        Ok(())
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut scan = self.right.search(job, first, count)?;
        let found = &mut scan.found;
        match self.wrong {
            Wrong::MissesInLane(lane) => found.retain(|find| Self::lane(job, first, find.nonce) != lane),
            Wrong::StopsAtCarry(64) => found.retain(|find| find.nonce >= first),
            Wrong::StopsAtCarry(bits) => found.retain(|find| find.nonce >> bits == first >> bits),
            Wrong::MixesInputs if job.inputs.len() > 1 => found.iter_mut().for_each(|find| find.input /= 2),
            Wrong::FalseFind => found.extend(false_find(job, first)),
            Wrong::RepeatsFinds => found.extend(found.first().copied()),
            Wrong::TargetExclusive => {
                let below = SearchJob { target: Target(job.target.0.saturating_sub(U256::ONE)), ..job.clone() };
                return self.right.search(&below, first, count);
            }
            Wrong::MissesHardTargets if job.target.0.leading_zeros() >= 32 => found.clear(),
            Wrong::ScansNothing => scan.scanned = 0,
            Wrong::ScansTooMuch => scan.scanned += 1,
            Wrong::Faults => return Err(fault()),
            Wrong::AfterCalls(right) if calls >= right => found.clear(),
            _ => (),
        }
        Ok(scan)
    }
}

fn false_find(job: &SearchJob, first: u64) -> Option<Found> {
    let mut input = job.inputs[0].clone();
    job.write_nonce(&mut input, first);
    let is_false = !job.target.is_met_by(&sha256d(&input));
    is_false.then_some(Found { nonce: first, input: 0 })
}

pub fn fault() -> Fault {
    Fault {
        class: FaultClass::Plugin,
        plugin: "test".to_owned(),
        function: "search".to_owned(),
        detail: "out of order".to_owned(),
    }
}

/// A job with the nonce at the end of an 80-byte header.
pub fn search_job(inputs: u8, nonce_bytes: u32, target: Target) -> SearchJob {
    let inputs = (0..inputs).map(|version| vec![version; 80]).collect();
    SearchJob { inputs, nonce_offset: 76, nonce_bytes, target }
}

pub fn mining_job(id: u64, nonce_bytes: u32, roll_mask: u32, target: Target) -> MiningJob {
    let pow = PowInput { bytes: vec![9; 88], nonce_offset: 76, nonce_bytes, roll_offset: 0, roll_mask };
    MiningJob { id: JobId(id), pow, target }
}
