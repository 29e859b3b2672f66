//! The names of the rules that a header can break.

use adit_plugin_sdk::Violation;

/// A rule of the chain. Its name is what users, logs and tests see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `header-length`: a header has the length of the chain's format.
    HeaderLength,
    /// `version`: in the `adit` format the version outside of the rolled bits is 1; in both formats a miner rolls no other bits.
    Version,
    /// `genesis`: the one block without a parent is the genesis of the configuration.
    Genesis,
    /// `parent-unknown`: the parent has been placed. A block has one parent.
    ParentUnknown,
    /// `history-unknown`: the host shows every ancestor that a rule asks for, down to its horizon.
    HistoryUnknown,
    /// `bits`: the difficulty is the one that the retarget rule computes, or another that it admits.
    Bits,
    /// `proof-of-work`: the proof-of-work digest does not exceed the target.
    ProofOfWork,
    /// `time-too-old`: the time is later than the median of the blocks before.
    TimeTooOld,
    /// `time-range`: a time can be written in the header format.
    TimeRange,
    /// `nonce-range`: a nonce fits the header's nonce field.
    NonceRange,
    /// `difficulty-override`: a difficulty is asked for only where the retarget rule admits it.
    DifficultyOverride,
}

impl Rule {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::HeaderLength => "header-length",
            Self::Version => "version",
            Self::Genesis => "genesis",
            Self::ParentUnknown => "parent-unknown",
            Self::HistoryUnknown => "history-unknown",
            Self::Bits => "bits",
            Self::ProofOfWork => "proof-of-work",
            Self::TimeTooOld => "time-too-old",
            Self::TimeRange => "time-range",
            Self::NonceRange => "nonce-range",
            Self::DifficultyOverride => "difficulty-override",
        }
    }

    /// Says that this rule was broken: what was found and what would have been right.
    pub fn broken(self, detail: String) -> Violation {
        Violation { rule: self.name().to_owned(), detail }
    }
}
