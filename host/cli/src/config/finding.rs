//! What a check of `chain.toml` found, and how it is shown.

use std::fmt;
use std::ops::Range;

/// Where in the text something stands, in bytes; `None` for what is not written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(Option<usize>);

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// The chain does not start.
    Error,
    /// What works, and may not be what was meant.
    Warning,
    /// A value that was not written, and the one in its place.
    Default,
}

/// One thing found in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub gravity: Gravity,
    pub place: Place,
    /// The key, dotted from the top of the file.
    pub path: String,
    pub problem: String,
}

impl Place {
    /// The top of the file.
    pub const TOP: Self = Self(None);

    /// The beginning of a span, where there is one.
    pub fn of(span: Option<Range<usize>>) -> Self {
        Self(span.map(|span| span.start))
    }

    /// This place, or `other` where this one is unknown.
    pub fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }

    /// Returns the line, counted from 1.
    pub fn line(self, text: &str) -> usize {
        let before = text.get(..self.0.unwrap_or(0)).unwrap_or(text);
        before.matches('\n').count() + 1
    }
}

impl Finding {
    /// Something that keeps the chain from starting.
    pub fn error(place: Place, path: &str, problem: String) -> Self {
        Self { gravity: Gravity::Error, place, path: path.to_owned(), problem }
    }

    /// A value that was not written.
    pub fn default_used(place: Place, path: &str, value: String) -> Self {
        Self {
            gravity: Gravity::Default,
            place,
            path: path.to_owned(),
            problem: format!("is not set; {value} is used"),
        }
    }

    /// Tells whether the chain does not start because of this.
    pub fn is_error(&self) -> bool {
        self.gravity == Gravity::Error
    }

    /// Shows the finding with file, line and, where it is an error or a warning, the offending line.
    pub fn show(&self, file: &str, text: &str) -> String {
        let line = self.place.line(text);
        let head = format!("{}: {file}:{line}: `{}` {}", self.gravity, self.path, self.problem);
        match (self.gravity, self.place.0, text.lines().nth(line - 1)) {
            (Gravity::Error | Gravity::Warning, Some(_), Some(source)) => {
                format!("{head}\n    {line} | {}", source.trim_end())
            }
            _ => head,
        }
    }
}

impl fmt::Display for Gravity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Default => "default",
        })
    }
}
