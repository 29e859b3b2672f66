//! A farm: the plots of some folders, and who looks through them when a challenge comes.
//!
//! Knows files, threads and how leaves are scored; never a chain, a socket or a secret key. What it finds it proposes: the chain's plugin computes it again.
//!
//! Reading order: [`question`] is what a farm is asked, [`answer`] what it says, [`figures`] what it tells of itself.

pub mod answer;
pub mod figures;
pub mod question;

use std::path::PathBuf;
use std::time::Duration;

pub use answer::{Answer, Best, Finished};
pub use figures::{Figures, PlotFigures, Standing};
pub use question::{EngineFactory, Question, Scoring};

/// How a farm works. All of it may change while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where plots lie: in the folders, not below them.
    pub folders: Vec<PathBuf>,
    /// How many plots are scanned at once, over all disks; one at least. From one disk one plot is read at a time.
    pub concurrent: usize,
    /// How many threads score what is read of one plot; one at least.
    pub scorers: usize,
    /// How often the folders are looked at again.
    pub rescan: Duration,
    /// The most time for a challenge. `None` where its own deadline is enough.
    pub timeout: Option<Duration>,
}
