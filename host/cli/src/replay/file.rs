//! Files of recorded headers: which form a file has, and the headers in it.

use super::kaspa;
use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::Path;

/// The most bytes that a file may hold, compressed or not.
const FILE_BYTES_MAX: u64 = 1 << 31;

/// Headers in an order in which parents stand before their children.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub counted: Counted,
    /// The number of the first; each of the others has one more than the one before it.
    pub first: u64,
    pub headers: Vec<Vec<u8>>,
}

/// What numbers the headers of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Heights: each header stands on the one before it.
    Heights,
    /// The lines of the file, of a DAG that begins with its genesis.
    Lines,
}

impl Counted {
    /// Returns the word for one number.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Heights => "height",
            Self::Lines => "line",
        }
    }

    /// Returns the word for several.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Heights => "heights",
            Self::Lines => "lines",
        }
    }
}

impl Run {
    /// Whether it begins in the middle of a chain.
    pub fn is_anchored(&self) -> bool {
        self.counted == Counted::Heights && self.first > 0
    }

    /// Returns the number of a header by its place, from 0.
    pub const fn number(&self, place: usize) -> u64 {
        self.first.saturating_add(place as u64)
    }
}

/// Reads a file of headers, compressed by gzip or not. A raw one holds headers of `length` bytes, the first at height `first`.
pub fn read(path: &Path, length: usize, first: u64) -> Result<Run> {
    let file = std::fs::File::open(path).with_context(|| format!("failed to read {}", path.display()))?;
    let bytes = read_bounded(file).with_context(|| format!("failed to read {}", path.display()))?;
    let bytes = match bytes.as_slice() {
        [0x1f, 0x8b, ..] => read_bounded(MultiGzDecoder::new(bytes.as_slice()))
            .with_context(|| format!("failed to unpack {}", path.display()))?,
        _ => bytes,
    };
    read_run(&bytes, length, first).with_context(|| format!("{} holds no run of headers", path.display()))
}

fn read_bounded(source: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("it holds more than {FILE_BYTES_MAX} bytes");
    }
    Ok(bytes)
}

/// Reads raw headers of `length` bytes, lines of `height,…,hex`, or Kaspa's lines of JSON.
fn read_run(bytes: &[u8], length: usize, first: u64) -> Result<Run> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.trim_start().starts_with('{') => {
            let (first, headers) = kaspa::headers(text)?;
            Ok(Run { counted: Counted::Lines, first, headers })
        }
        Ok(text) if text.bytes().any(|byte| byte == b',') => read_lines(text),
        _ => {
            if length == 0 || bytes.is_empty() || !bytes.len().is_multiple_of(length) {
                bail!("{} bytes are no whole number of headers of {length} bytes", bytes.len());
            }
            Ok(Run { counted: Counted::Heights, first, headers: bytes.chunks(length).map(<[u8]>::to_vec).collect() })
        }
    }
}

fn read_lines(text: &str) -> Result<Run> {
    let mut run = Run { counted: Counted::Heights, first: 0, headers: Vec::new() };
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = number + 1;
        let (height, rest) = line.split_once(',').with_context(|| format!("line {number} has no comma"))?;
        let Ok(height) = height.trim().parse::<u64>() else {
            if run.headers.is_empty() {
                continue; // the names of the columns
            }
            bail!("line {number} does not begin with a height");
        };
        let hex = rest.rsplit(',').next().unwrap_or(rest).trim();
        let header = parse_hex(hex).with_context(|| format!("line {number} does not end in hexadecimal digits"))?;
        if run.headers.is_empty() {
            run.first = height;
        }
        let expected = run.first + run.headers.len() as u64;
        if height != expected {
            bail!("line {number} has height {height}, but {expected} is next: a run has no gaps");
        }
        run.headers.push(header);
    }
    if run.headers.is_empty() {
        bail!("there is no line with a height and a header");
    }
    Ok(run)
}

/// Reads pairs of hexadecimal digits, at least one.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() || text.is_empty() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_headers_are_cut_at_the_chains_length() {
        let run = read_run(&[7; 6], 3, 5).unwrap();
        assert_eq!(run, Run { counted: Counted::Heights, first: 5, headers: vec![vec![7; 3]; 2] });
        assert!(read_run(&[7; 5], 3, 0).is_err());
    }

    #[test]
    fn lines_say_their_own_height_and_may_have_fields_between() {
        let run = read_run(b"height,hash,header\n9,ffff,0102\n10,eeee,0304\n", 2, 0).unwrap();
        assert_eq!(run, Run { counted: Counted::Heights, first: 9, headers: vec![vec![1, 2], vec![3, 4]] });
    }

    #[test]
    fn a_gap_is_named_with_its_line() {
        let error = read_run(b"1,00\n3,00\n", 1, 0).unwrap_err();
        assert_eq!(error.to_string(), "line 2 has height 3, but 2 is next: a run has no gaps");
    }

    #[test]
    fn what_is_no_hexadecimal_is_named_with_its_line() {
        assert!(read_run(b"1,0g\n", 1, 0).unwrap_err().to_string().starts_with("line 1"));
    }
}
