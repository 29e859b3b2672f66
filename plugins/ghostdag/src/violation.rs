//! The names of the rules that a header can break.

use adit_plugin_sdk::Violation;

/// A rule of the chain. Its name is what users, logs and tests see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `header`: the bytes are a header of the chain's format, in the one form that it has.
    Header,
    /// `genesis`: the one block without parents is the genesis of the configuration.
    Genesis,
    /// `parent-unknown`: every parent has been placed.
    ParentUnknown,
    /// `history-unknown`: the host shows every ancestor that a rule asks for.
    HistoryUnknown,
    /// `parents-max`: a block names no more parents than allowed.
    ParentsMax,
    /// `parents-related`: no parent lies in the past of another.
    ParentsRelated,
    /// `merge-set-max`: a block merges no more blocks than allowed.
    MergeSetMax,
    /// `merge-depth`: no red block is merged from so deep that it could move what is final.
    MergeDepth,
    /// `daa-score`: where the header states its number in the difficulty's count, it is right.
    DaaScore,
    /// `bits`: the difficulty is the one that the rule computes.
    Bits,
    /// `blue-score`: where the header states its blue score, it is right.
    BlueScore,
    /// `blue-work`: where the header states its blue work, it is right.
    BlueWork,
    /// `proof-of-work`: the proof-of-work digest does not exceed the target.
    ProofOfWork,
    /// `time-too-old`: the time is later than the past median time.
    TimeTooOld,
    /// `pruning-point`: where the header states its pruning point, it is right.
    PruningPoint,
    /// `format`: headers of this format are judged, not built.
    Format,
    /// `difficulty-override`: no block may choose its difficulty.
    DifficultyOverride,
}

impl Rule {
    /// Returns the name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Genesis => "genesis",
            Self::ParentUnknown => "parent-unknown",
            Self::HistoryUnknown => "history-unknown",
            Self::ParentsMax => "parents-max",
            Self::ParentsRelated => "parents-related",
            Self::MergeSetMax => "merge-set-max",
            Self::MergeDepth => "merge-depth",
            Self::DaaScore => "daa-score",
            Self::Bits => "bits",
            Self::BlueScore => "blue-score",
            Self::BlueWork => "blue-work",
            Self::ProofOfWork => "proof-of-work",
            Self::TimeTooOld => "time-too-old",
            Self::PruningPoint => "pruning-point",
            Self::Format => "format",
            Self::DifficultyOverride => "difficulty-override",
        }
    }

    /// Says that this rule was broken: what was found and what would have been right.
    pub fn broken(self, detail: impl Into<String>) -> Violation {
        Violation { rule: self.name().to_owned(), detail: detail.into() }
    }
}
