//! What is mined: the fields of a job as the wire has them, and the header that a miner makes of them.
//!
//! The coinbase is split around the extranonces; its digest and the branches give the Merkle root; header and share are 80 bytes.
//! The only hash computed here is the one the format itself is made of, double SHA-256 of coinbase and branches.

use super::message::{self, Params};
use crate::hex;
use adit_primitives::sha256d;
use std::sync::Arc;

/// The pool's number of a job. A session writes it into the wire's job id, and gives it back with each share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

/// The bytes of a header that miners roll and hash.
pub const HEADER_BYTES: usize = 80;

/// A job, complete but for the extranonces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The previous block's id as the header has it.
    pub previous: [u8; 32],
    /// The coinbase before the extranonces, without witness.
    pub coinbase_head: Vec<u8>,
    /// The coinbase after the extranonces.
    pub coinbase_tail: Vec<u8>,
    /// What the coinbase's digest is hashed with, from the leaf to the root, in the byte order of the hash function.
    pub branches: Vec<[u8; 32]>,
    pub version: u32,
    /// The block's target in compact form.
    pub bits: u32,
    /// Seconds since the epoch.
    pub time: u32,
}

/// What a miner chooses in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    pub version: u32,
    /// Seconds since the epoch.
    pub time: u32,
    pub nonce: u32,
}

impl Job {
    /// Returns the coinbase of a miner.
    pub fn coinbase(&self, extranonce1: &[u8], extranonce2: &[u8]) -> Vec<u8> {
        [&self.coinbase_head, extranonce1, extranonce2, &self.coinbase_tail].concat()
    }

    /// Returns the Merkle root over a coinbase.
    pub fn merkle_root(&self, coinbase: &[u8]) -> [u8; 32] {
        self.branches.iter().fold(sha256d(coinbase), |root, branch| sha256d([root, *branch].as_flattened()))
    }

    /// Returns the bytes that are hashed.
    pub fn header(&self, merkle_root: &[u8; 32], choice: Choice) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&choice.version.to_le_bytes());
        header[4..36].copy_from_slice(&self.previous);
        header[36..68].copy_from_slice(merkle_root);
        header[68..72].copy_from_slice(&choice.time.to_le_bytes());
        header[72..76].copy_from_slice(&self.bits.to_le_bytes());
        header[76..].copy_from_slice(&choice.nonce.to_le_bytes());
        header
    }
}

/// Returns the version of a share: outside of `mask` the job's, inside what the miner rolled. A miner that says nothing of its
/// version left the job's.
pub fn rolled_version(job: u32, mask: u32, bits: Option<u32>) -> u32 {
    bits.map_or(job, |bits| job & !mask | bits & mask)
}

/// Reverses the bytes of each word of four: the order in which the wire has the previous block's id.
fn swap_words(bytes: &[u8; 32]) -> [u8; 32] {
    let mut swapped = *bytes;
    swapped.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
    swapped
}

/// A job's line, formatted once for every miner. Copies share it.
#[derive(Debug, Clone)]
pub struct Announcement {
    id: JobId,
    /// From the end of the job id to the comma before the time.
    line: Arc<[u8]>,
    /// Seconds since the epoch.
    time: u32,
    version_mask: u32,
}

impl Announcement {
    /// Formats a job. Whatever a session grants may be rolled in its version, unless [`Self::rolling`] says less.
    pub fn new(id: JobId, job: &Job) -> Self {
        let mut line = b"\",".to_vec();
        for bytes in [&swap_words(&job.previous)[..], &job.coinbase_head, &job.coinbase_tail] {
            message::write_hex(bytes, &mut line);
            line.push(b',');
        }
        line.push(b'[');
        for (index, branch) in job.branches.iter().enumerate() {
            if index > 0 {
                line.push(b',');
            }
            message::write_hex(branch, &mut line);
        }
        line.extend_from_slice(b"],");
        for number in [job.version, job.bits] {
            message::write_hex(&number.to_be_bytes(), &mut line);
            line.push(b',');
        }
        Self { id, line: line.into(), time: job.time, version_mask: u32::MAX }
    }

    /// Says which bits of the job's version may be rolled at most.
    #[must_use]
    pub fn rolling(self, version_mask: u32) -> Self {
        Self { version_mask, ..self }
    }

    /// Returns the bits of its version that may be rolled at most.
    pub fn version_mask(&self) -> u32 {
        self.version_mask
    }

    /// Returns the pool's number of the job.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Appends the line under the job id of one session, as it is sent for the `turn`-th time, counted from 0.
    ///
    /// Each turn's time is a second later. A miner begins anew with every job id, at extranonce2 0 and nonce 0: with the time of the
    /// turn before it would hash the same headers again, and what it finds would be refused as seen.
    pub(super) fn write(&self, wire_id: u64, turn: u8, clean: bool, out: &mut Vec<u8>) {
        let tail: &[u8] = if clean { b",true]}\n" } else { b",false]}\n" };
        out.reserve(NOTIFY.len() + 16 + self.line.len() + TIME_BYTES + tail.len());
        out.extend_from_slice(NOTIFY);
        hex::write_number(wire_id, out);
        out.extend_from_slice(&self.line);
        // Past the year 2106 no header has a time.
        message::write_hex(&self.time.saturating_add(turn.into()).to_be_bytes(), out);
        out.extend_from_slice(tail);
    }
}

/// A time with its quotation marks.
const TIME_BYTES: usize = 10;

const NOTIFY: &[u8] = b"{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"";

/// A job as another pool sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// The other pool's name of the job, to be given back with shares.
    pub id: Box<str>,
    pub job: Job,
    /// Whether work on earlier jobs is worth nothing any more.
    pub clean: bool,
}

/// The parameter of a job that is missing or cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{parameter} is missing or cannot be read")]
pub struct NotifyError {
    pub parameter: &'static str,
}

/// The most branches: a block with 2^24 transactions fits no chain of the family.
const BRANCHES_MAX: usize = 24;

impl Notify {
    /// Reads the parameters of `mining.notify`.
    pub fn parse(params: &Params<'_>) -> Result<Self, NotifyError> {
        let missing = |parameter| move || NotifyError { parameter };
        let bytes = |index| params.text(index).and_then(|text| hex::bytes(&text));
        let number = |index| params.bytes(index).map(u32::from_be_bytes);
        let branch = |text: &String| hex::array(text);
        let branches = params.read_as::<Vec<String>>(4).filter(|list| list.len() <= BRANCHES_MAX);
        let job = Job {
            previous: params.bytes(1).map(|bytes| swap_words(&bytes)).ok_or_else(missing("prevhash"))?,
            coinbase_head: bytes(2).ok_or_else(missing("coinb1"))?,
            coinbase_tail: bytes(3).ok_or_else(missing("coinb2"))?,
            branches: branches
                .and_then(|list| list.iter().map(branch).collect())
                .ok_or_else(missing("merkle_branch"))?,
            version: number(5).ok_or_else(missing("version"))?,
            bits: number(6).ok_or_else(missing("nbits"))?,
            time: number(7).ok_or_else(missing("ntime"))?,
        };
        let id = params.text(0).ok_or_else(missing("job_id"))?;
        Ok(Self { id: id.into(), job, clean: params.read_as(8).unwrap_or(false) })
    }
}
