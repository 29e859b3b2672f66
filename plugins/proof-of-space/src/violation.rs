//! The names of the rules that a header can break.

use adit_plugin_sdk::Violation;

/// A rule of the chain. Its name is what users, logs and tests see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `header-length`: a header has 80 bytes, and a proof of bounded length behind them.
    HeaderLength,
    /// `version`: the version is 1.
    Version,
    /// `bits`: the difficulty is the one that the retarget rule computes.
    Bits,
    /// `genesis`: the one block without a proof is the genesis of the configuration.
    Genesis,
    /// `proof-form`: the bytes behind the 80 are one proof.
    ProofForm,
    /// `plot-kind`: the proof is of the kind of plots that the chain counts.
    PlotKind,
    /// `plot-size`: a plot has as many leaves as plots can have.
    PlotSize,
    /// `leaf`: the leaf has a place in the plot, and the path leads from it to the root.
    Leaf,
    /// `registrations`: a header registers no more plots than the chain allows, and none twice.
    Registrations,
    /// `signature`: the owner of the plot signed the header.
    Signature,
    /// `parent-unknown`: the parent has been placed. A block has one parent.
    ParentUnknown,
    /// `history-unknown`: the host shows every ancestor that a rule asks for, down to its horizon.
    HistoryUnknown,
    /// `time-too-old`: the time is later than the parent's.
    TimeTooOld,
    /// `challenge`: the proof answers the challenge of the round that the time lies in.
    Challenge,
    /// `registration`: the plot was registered on the chain, and long enough ago.
    Registration,
    /// `score`: the score does not exceed the target.
    Score,
    /// `difficulty-override`: nobody chooses a difficulty.
    DifficultyOverride,
    /// `proof-of-space`: blocks are won by plots; no nonce wins one.
    ProofOfSpace,
}

impl Rule {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::HeaderLength => "header-length",
            Self::Version => "version",
            Self::Bits => "bits",
            Self::Genesis => "genesis",
            Self::ProofForm => "proof-form",
            Self::PlotKind => "plot-kind",
            Self::PlotSize => "plot-size",
            Self::Leaf => "leaf",
            Self::Registrations => "registrations",
            Self::Signature => "signature",
            Self::ParentUnknown => "parent-unknown",
            Self::HistoryUnknown => "history-unknown",
            Self::TimeTooOld => "time-too-old",
            Self::Challenge => "challenge",
            Self::Registration => "registration",
            Self::Score => "score",
            Self::DifficultyOverride => "difficulty-override",
            Self::ProofOfSpace => "proof-of-space",
        }
    }

    /// Says that this rule was broken: what was found and what would have been right.
    pub fn broken(self, detail: String) -> Violation {
        Violation { rule: self.name().to_owned(), detail }
    }
}
