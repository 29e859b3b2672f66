//! A hash algorithm in the sandbox.

use crate::abi::{HashContract, v0_1};
use crate::breaker::Breaker;
use crate::instance::{Guest, Instance};
use crate::load::{ConfigureError, Loaded};
use crate::warm::Warm;
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::engine::{Fault, FaultClass, HashEngine};
use adit_primitives::{Decode, Encode, Hash256};
use std::sync::Arc;

/// The hashes of a search's first slice: quick even for an algorithm that makes a hundred a second.
const PACE_FIRST: u64 = 8;
/// The inputs of the first call: few enough for an algorithm that makes ten a second.
const BATCH_FIRST: usize = 8;
/// A call that took so many ticks of the watchdog is long enough.
const BATCH_TICKS: u64 = 10;
const DIGEST_BYTES: usize = 32;

/// A hash plugin at work. One worker owns it.
#[derive(Debug)]
pub struct SandboxedHash {
    warm: Warm<v0_1::Hash>,
    epoch: Option<(u64, Hash256)>,
    /// The hashes that take about a tick of the watchdog.
    pace: u64,
    /// The inputs that are hashed in one call: so many that the watchdog has no reason to end it, whatever the algorithm.
    batch: usize,
}

impl SandboxedHash {
    pub(crate) fn start(plugin: Arc<Loaded>, config: &str) -> Result<Self, ConfigureError> {
        Ok(Self {
            warm: Warm::start(plugin, config, Loaded::start_hash)?,
            epoch: None,
            pace: PACE_FIRST,
            batch: BATCH_FIRST,
        })
    }

    /// Makes ready for an epoch, where the algorithm has them. A new instance is made ready for the same one.
    pub fn prepare(&mut self, epoch: u64, seed: Hash256) -> Result<(), Fault> {
        self.epoch = Some((epoch, seed));
        self.warm.cool();
        self.ask("prepare", 0, |_, _| Ok(()), Ok)
    }

    /// What the failures so far have led to.
    pub fn breaker(&self) -> &Breaker {
        self.warm.breaker()
    }

    /// Calls a function and checks its answer. A new instance is made ready for the epoch before.
    fn ask<A, T>(
        &mut self,
        function: &'static str,
        rows: usize,
        call: impl FnOnce(&v0_1::Hash, &mut wasmtime::Store<Guest>) -> wasmtime::Result<A>,
        check: impl FnOnce(A) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let epoch = self.epoch;
        let wake = |instance: &mut Instance<v0_1::Hash>| match epoch {
            Some((epoch, seed)) => instance.call("prepare", 0, |contract, store| contract.prepare(store, epoch, seed)),
            None => Ok(()),
        };
        self.warm.ask_woken(function, rows, wake, call, check)
    }
}

impl SandboxedHash {
    /// Hashes what is hashed in one call, and learns from the time that it took.
    fn digest_batch(&mut self, inputs: &[u8], width: u32, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        let rows = inputs.len() / width as usize;
        let started = self.warm.plugin().sandbox.ticker.ticks();
        let hashed = self.ask(
            "digest-many",
            rows,
            |contract, store| contract.digest_many(store, inputs, width),
            |answer| {
                let (found, left) = answer.as_chunks::<DIGEST_BYTES>();
                if found.len() != rows || !left.is_empty() {
                    return Err(format!("{} bytes of digests for {rows} inputs", answer.len()));
                }
                digests.extend(found.iter().copied().map(Hash256));
                Ok(())
            },
        );
        let ticks = self.warm.plugin().sandbox.ticker.ticks().wrapping_sub(started);
        let rows_max = self.warm.plugin().sandbox.services.limits.rows_max.max(1);
        self.batch = match ticks {
            0..BATCH_TICKS if rows == self.batch => self.batch.saturating_mul(2).min(rows_max),
            0..=BATCH_TICKS => self.batch,
            _ => (self.batch / 2).max(1),
        };
        hashed
    }
}

impl HashEngine for SandboxedHash {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        if inputs.is_empty() {
            return Ok(());
        }
        assert!(each > 0 && inputs.len().is_multiple_of(each), "{} bytes are not inputs of {each} bytes", inputs.len());
        let width = u32::try_from(each).map_err(|_| Fault {
            class: FaultClass::Environment,
            plugin: self.warm.plugin().label.clone(),
            function: "digest-many".to_owned(),
            detail: format!("inputs of {each} bytes are longer than the contract can say"),
        })?;
        let mut all = Vec::with_capacity(inputs.len() / each);
        let mut left = inputs;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(left.len().min(each.saturating_mul(self.batch)));
            self.digest_batch(batch, width, &mut all)?;
            left = rest;
        }
        digests.append(&mut all);
        Ok(())
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        let inputs = u64::try_from(job.inputs.len()).unwrap_or(u64::MAX).max(1);
        let slice = (self.pace / inputs).max(1).min(count);
        let packed = job.to_bytes();
        let rows_max = self.warm.plugin().sandbox.services.limits.rows_max;
        let started = self.warm.plugin().sandbox.ticker.ticks();
        let scan = self.ask(
            "search",
            usize::try_from(slice.saturating_mul(inputs)).unwrap_or(usize::MAX),
            |contract, store| contract.search(store, &packed, first, slice),
            |answer| check_scan(&answer, job, first, slice, rows_max),
        );
        let ticks = self.warm.plugin().sandbox.ticker.ticks().wrapping_sub(started);
        self.pace = match (&scan, ticks) {
            (Err(_), _) => (self.pace / 16).max(1),
            (Ok(_), 0) if slice.saturating_mul(inputs) >= self.pace / 2 => self.pace.saturating_mul(2),
            (Ok(_), 0 | 1) => self.pace,
            (Ok(_), _) => (self.pace / 2).max(1),
        };
        scan
    }

    fn digest(&mut self, input: &[u8]) -> Result<Hash256, Fault> {
        self.ask("digest", 1, |contract, store| contract.digest(store, input), Ok)
    }
}

/// Holds a search's answer against its question. Whether the nonces meet the target is for the caller to see.
fn check_scan(answer: &[u8], job: &SearchJob, first: u64, slice: u64, rows_max: usize) -> Result<Scan, String> {
    let scan = Scan::from_bytes(answer).map_err(|error| error.to_string())?;
    if scan.scanned == 0 || scan.scanned > slice {
        return Err(format!("{} nonces tried of {slice}", scan.scanned));
    }
    if scan.found.len() > rows_max {
        return Err(format!("{} nonces found, {rows_max} are allowed", scan.found.len()));
    }
    let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
    for found in &scan.found {
        if found.nonce & !mask != 0 || found.nonce.wrapping_sub(first) & mask >= scan.scanned {
            return Err(format!("nonce {} is not among the {} tried from {first}", found.nonce, scan.scanned));
        }
        if found.input as usize >= job.inputs.len() {
            return Err(format!("input {} of {}", found.input, job.inputs.len()));
        }
    }
    Ok(scan)
}
