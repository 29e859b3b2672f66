//! What of a pool's job is searched: one header after another, each with an extranonce2 that no other has.

use adit_primitives::contract::PowInput;
use adit_protocol::stratum::client::Assignment;
use adit_protocol::stratum::job::Choice;
use std::sync::Arc;

/// How far a job's time may be moved on, in seconds: what pools bear.
const TIME_AHEAD_MAX: u64 = 7_000;

/// Where the nonce lies in a header.
const NONCE_OFFSET: u32 = 76;

/// A job, and how much of it was handed out.
#[derive(Debug)]
pub struct Inputs {
    job: Arc<Assignment>,
    used: u64,
}

/// One header to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub extranonce2: Box<[u8]>,
    /// Seconds since the epoch.
    pub time: u32,
    pub pow: PowInput,
}

impl Inputs {
    /// Begins with a job.
    pub fn new(job: Arc<Assignment>) -> Self {
        Self { job, used: 0 }
    }

    /// Returns the job.
    pub fn job(&self) -> &Arc<Assignment> {
        &self.job
    }

    /// Returns the next header. `counter` goes up by one from call to call, over all jobs, because pools give out the same job twice; where the pool
    /// leaves so few bytes that it comes round within one job, the time goes on by a second. `None` when pools would bear no later time.
    pub fn next(&mut self, counter: u64) -> Option<Input> {
        let bytes = self.job.extranonce2_bytes;
        let rounds = u32::try_from(8 * bytes).ok().and_then(|bits| self.used.checked_shr(bits)).unwrap_or(0);
        if rounds > TIME_AHEAD_MAX {
            return None;
        }
        self.used += 1;
        let ahead = u32::try_from(rounds).expect("at most TIME_AHEAD_MAX");
        let extranonce2: Box<[u8]> =
            counter.to_le_bytes().into_iter().chain(std::iter::repeat(0)).take(bytes).collect();
        let job = &self.job.notify.job;
        let choice = Choice { version: job.version, time: job.time.checked_add(ahead)?, nonce: 0 };
        let pow = PowInput {
            bytes: self.job.header(&extranonce2, choice).to_vec(),
            nonce_offset: NONCE_OFFSET,
            nonce_bytes: 4,
            roll_offset: 0,
            roll_mask: self.job.version_mask,
        };
        Some(Input { extranonce2, time: choice.time, pow })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::Target;
    use adit_protocol::stratum::job::{Job, Notify};
    use std::collections::BTreeSet;

    fn inputs(extranonce2_bytes: usize) -> Inputs {
        let job = Job {
            previous: [7; 32],
            coinbase_head: vec![1, 2],
            coinbase_tail: vec![3],
            branches: vec![[9; 32]],
            version: 0x2000_0000,
            bits: 0x1d00_ffff,
            time: 1_700_000_000,
        };
        let notify = Notify { id: "a".into(), job, clean: true };
        let (target, extranonce1) = (Target::MAX, Box::from([5, 6]));
        Inputs::new(Arc::new(Assignment { notify, target, extranonce1, extranonce2_bytes, version_mask: 0x1fff_e000 }))
    }

    #[test]
    fn no_header_comes_twice() {
        for (bytes, taken) in [(0, 7_001), (1, 3_000), (2, 3_000), (8, 3_000), (12, 3_000)] {
            let mut inputs = inputs(bytes);
            let headers: BTreeSet<_> = (0..taken).map(|turn| inputs.next(turn).unwrap().pow.bytes).collect();
            assert_eq!(headers.len(), usize::try_from(taken).unwrap(), "{bytes} bytes");
        }
    }

    #[test]
    fn a_counter_that_began_anywhere_fills_the_space_before_the_time_goes_on() {
        let mut inputs = inputs(1);
        let first: Vec<_> = (0..256_u64).map(|turn| inputs.next(turn.wrapping_sub(100)).unwrap()).collect();
        assert!(first.iter().all(|input| input.time == 1_700_000_000));
        assert_eq!(first.iter().map(|input| input.extranonce2.clone()).collect::<BTreeSet<_>>().len(), 256);
        assert_eq!(inputs.next(156).unwrap().time, 1_700_000_001);
    }

    #[test]
    fn the_end_comes_before_a_time_that_pools_refuse() {
        let mut inputs = inputs(0);
        let times: Vec<_> = std::iter::from_fn(|| inputs.next(0)).map(|input| input.time).collect();
        assert_eq!((times.len(), times.last()), (7_001, Some(&1_700_007_000)));
    }

    #[test]
    fn the_header_is_the_pools_and_its_version_may_be_rolled_as_granted() {
        let input = inputs(4).next(0x0102).unwrap();
        assert_eq!((input.extranonce2.as_ref(), input.pow.roll_mask), ([2, 1, 0, 0].as_slice(), 0x1fff_e000));
        assert_eq!(input.pow.bytes[..4], 0x2000_0000_u32.to_le_bytes());
        assert_eq!(input.pow.bytes[4..36], [7; 32]);
        assert!(input.pow.is_sound());
    }
}
