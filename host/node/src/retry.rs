//! What the client does after a request failed: how long to wait, and for which node. Pure: attempt and randomness come in.

use std::time::Duration;

/// The longest wait between two attempts.
pub const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// How a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing listens there, or the name is unknown.
    #[error("no connection: {detail}")]
    Refused { detail: String },
    /// No answer in time.
    #[error("no answer within {limit:?}")]
    Timeout { limit: Duration },
    /// The certificate does not stand up to verification, or the peer speaks no TLS.
    #[error("the node's certificate was refused: {detail}")]
    Tls { detail: String },
    /// The node asks for patience.
    #[error("the node does not serve this now (status {status}){}", said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
    Busy { status: u16, wait: Option<Duration>, said: Option<String> },
    /// The node says that the request is wrong: asking again changes nothing.
    #[error("refused with status {status}: {code}: {message}")]
    Rejected { status: u16, code: String, message: String },
    /// The node failed by itself.
    #[error("the node failed with status {status}")]
    Broken { status: u16 },
    /// The answer is not what the API promises.
    #[error("the answer is not understood: {detail}")]
    Garbled { detail: String },
    /// The node has not the newest blocks.
    #[error("the node has {length} blocks, and block {mined} is mined")]
    Behind { length: u64, mined: u64 },
    /// The node is well, and another is preferred.
    #[error("another node has the turn")]
    Elsewhere,
    /// The node keeps another chain.
    #[error("the node keeps another chain: {}", differences.join("; "))]
    OtherChain { differences: Vec<String> },
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask the same node after this wait: nothing speaks against it.
    Again { wait: Duration },
    /// The node failed. Ask whoever has the turn then, after this wait where that is the same one.
    Failed { wait: Duration },
    /// Ask the next node, and this one never again.
    StrikeNode,
    /// Return the failure to whoever asked.
    GiveUp,
}

/// Returns how long the attempt with this number, from 0, may take: 10 s and 5 s more for each attempt, at most 30 s.
pub fn timeout(attempt: u32) -> Duration {
    Duration::from_secs((10 + 5 * u64::from(attempt)).min(30))
}

/// Returns an exponential wait with full jitter: between half of and the whole of 250 ms · 2^`attempt`, at most [`BACKOFF_MAX`].
pub fn backoff(attempt: u32, random: u32) -> Duration {
    let whole = Duration::from_millis(250).saturating_mul(1 << attempt.min(16)).min(BACKOFF_MAX);
    let half = whole / 2;
    half + Duration::from_millis(
        u64::from(random) * u64::try_from(half.as_millis()).unwrap_or(u64::MAX) / u64::from(u32::MAX),
    )
}

impl Failure {
    /// Tells whether every node would say the same of the request for as long as it asks: it has a fault of its own. Who may not ask now, or asks
    /// for what is not there now, may be answered later.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::Rejected { status: 400 | 413 | 422, .. })
    }

    /// Returns the rule for this kind of failure on the attempt with this number, from 0.
    pub fn rule(&self, attempt: u32, random: u32) -> Next {
        let wait = backoff(attempt, random);
        match self {
            // Time has passed already, and the next attempt gets more of it.
            Self::Timeout { .. } | Self::Elsewhere => Next::Failed { wait: Duration::ZERO },
            Self::Refused { .. } | Self::Broken { .. } | Self::Garbled { .. } | Self::Behind { .. } => {
                Next::Failed { wait }
            }
            // A certificate does not mend within seconds.
            Self::Tls { .. } => Next::Failed { wait: BACKOFF_MAX },
            Self::Busy { wait: asked, .. } => Next::Again { wait: asked.unwrap_or(wait).clamp(wait, 2 * BACKOFF_MAX) },
            Self::Rejected { .. } => Next::GiveUp,
            Self::OtherChain { .. } => Next::StrikeNode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failure: Failure, attempt: u32, want: Next) {
        assert_eq!(failure.rule(attempt, 0), want);
    }

    #[test]
    fn timeouts_grow_by_five_seconds_up_to_thirty() {
        let seconds: Vec<_> = (0..7).map(|attempt| timeout(attempt).as_secs()).collect();
        assert_eq!(seconds, [10, 15, 20, 25, 30, 30, 30]);
    }

    #[test]
    fn waits_double_and_stay_bounded() {
        for attempt in 0..40 {
            assert!(backoff(attempt, 0) <= backoff(attempt, u32::MAX));
            assert!(backoff(attempt, u32::MAX) <= BACKOFF_MAX);
            assert!(backoff(attempt, 0) <= backoff(attempt + 1, 0));
        }
        assert_eq!(backoff(2, u32::MAX), Duration::from_secs(1));
    }

    #[test]
    fn a_node_that_is_down_is_not_knocked_at_without_a_pause() {
        check(Failure::Refused { detail: String::new() }, 0, Next::Failed { wait: Duration::from_millis(125) });
        check(Failure::Broken { status: 500 }, 2, Next::Failed { wait: Duration::from_millis(500) });
    }

    #[test]
    fn a_slow_node_has_made_us_wait_already() {
        check(Failure::Timeout { limit: Duration::from_secs(10) }, 4, Next::Failed { wait: Duration::ZERO });
    }

    #[test]
    fn a_wrong_request_is_not_repeated() {
        let failure = Failure::Rejected { status: 400, code: String::new(), message: String::new() };
        check(failure, 0, Next::GiveUp);
    }

    #[test]
    fn a_busy_node_gets_the_time_it_asked_for() {
        let failure = Failure::Busy { status: 429, wait: Some(Duration::from_secs(3)), said: None };
        check(failure, 0, Next::Again { wait: Duration::from_secs(3) });
    }

    #[test]
    fn a_node_of_another_chain_is_never_asked_again() {
        check(Failure::OtherChain { differences: vec![] }, 0, Next::StrikeNode);
    }

    #[test]
    fn a_bad_certificate_is_not_hammered() {
        check(Failure::Tls { detail: String::new() }, 0, Next::Failed { wait: BACKOFF_MAX });
    }
}
