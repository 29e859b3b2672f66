//! The order in which a share's faults are named. Pools of the field agree on it, and miners count on it.

use crate::ConfigError;
use adit_primitives::contract::shares::{Claim, ShareVerdict};

/// How far ahead of its job's time a share may be, in seconds: miners roll the time when they run out of nonces.
pub const TIME_AHEAD_S: i64 = 7_000;

/// The longest grace that may be configured, in milliseconds.
pub const GRACE_MS_MAX: u64 = 60_000;

/// Judges a share by the host's facts alone: stale, then time (0 to 7,000 seconds after the job's), version, duplicate, low difficulty.
///
/// A share for the block before is still taken within `grace_ms` of the new tip: it was sent before its miner could know.
pub fn judge_facts(claim: &Claim, grace_ms: u64) -> ShareVerdict {
    if claim.stale_ms > grace_ms {
        ShareVerdict::Stale
    } else if !(0..=TIME_AHEAD_S).contains(&claim.time_offset_s) {
        ShareVerdict::Time
    } else if claim.version_outside {
        ShareVerdict::Version
    } else if claim.duplicate {
        ShareVerdict::Duplicate
    } else if !claim.meets {
        ShareVerdict::LowDifficulty
    } else {
        ShareVerdict::Accept
    }
}

/// Refuses a grace beyond [`GRACE_MS_MAX`].
pub fn check_grace(grace_ms: u64) -> Result<(), ConfigError> {
    match grace_ms {
        0..=GRACE_MS_MAX => Ok(()),
        _ => Err(ConfigError::new("grace-ms", format!("{grace_ms} ms, at most {GRACE_MS_MAX} are allowed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::contract::shares::{ShareDifficulty, WorkerRecord};

    fn good() -> Claim {
        Claim {
            difficulty: ShareDifficulty::from_log2_hashes(32),
            meets: true,
            duplicate: false,
            version_outside: false,
            time_offset_s: 0,
            stale_ms: 0,
            record: WorkerRecord::default(),
        }
    }

    #[track_caller]
    fn check(claim: Claim, grace_ms: u64, want: ShareVerdict) {
        assert_eq!(judge_facts(&claim, grace_ms), want);
    }

    #[test]
    fn each_fault_is_named_before_those_after_it() {
        let mut claim = good();
        check(claim, 0, ShareVerdict::Accept);
        claim.meets = false;
        check(claim, 0, ShareVerdict::LowDifficulty);
        claim.duplicate = true;
        check(claim, 0, ShareVerdict::Duplicate);
        claim.version_outside = true;
        check(claim, 0, ShareVerdict::Version);
        claim.time_offset_s = -1;
        check(claim, 0, ShareVerdict::Time);
        claim.stale_ms = 1;
        check(claim, 0, ShareVerdict::Stale);
    }

    #[test]
    fn time_runs_from_the_jobs_to_7000_seconds_later() {
        let at = |time_offset_s| Claim { time_offset_s, ..good() };
        check(at(0), 0, ShareVerdict::Accept);
        check(at(7_000), 0, ShareVerdict::Accept);
        check(at(7_001), 0, ShareVerdict::Time);
        check(at(i64::MIN), 0, ShareVerdict::Time);
        check(at(i64::MAX), 0, ShareVerdict::Time);
    }

    #[test]
    fn a_late_share_is_taken_within_the_grace() {
        let late = |stale_ms| Claim { stale_ms, ..good() };
        check(late(500), 500, ShareVerdict::Accept);
        check(late(501), 500, ShareVerdict::Stale);
    }

    #[test]
    fn a_grace_of_more_than_a_minute_is_refused() {
        assert_eq!(check_grace(60_000), Ok(()));
        assert_eq!(check_grace(60_001).unwrap_err().key, "grace-ms");
    }
}
