//! Cuts a stream of bytes into lines.
//!
//! A line that lies whole in what was read is handed on as it lies there; only what a read cut in two is copied. Between lines
//! nothing is held, so that a silent connection costs no buffer.

/// The longest line taken where the caller has no bound of its own: a job with twenty branches and a coinbase of several kilobytes fits.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// A line is longer than it may be: whoever sends it is to be disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {max} bytes")]
pub struct LineTooLong {
    pub max: usize,
}

/// The beginning of a line whose end has not come.
#[derive(Debug)]
pub struct LineBuffer {
    held: Vec<u8>,
    /// Whether `held` is a line that was handed out, and not the beginning of the next.
    spent: bool,
    max: u32,
}

impl LineBuffer {
    /// Starts at the beginning of a stream. Lines of more than `max` bytes are refused, their end not counted.
    pub fn new(max: usize) -> Self {
        Self { held: Vec::new(), spent: false, max: u32::try_from(max).unwrap_or(u32::MAX) }
    }

    /// Takes the next whole line off the front of `input`, without `\n` and a `\r` before it; empty lines are skipped. Returns
    /// `None` when `input` is used up; what it held of an unfinished line is kept.
    ///
    /// After an error the stream has no more lines that mean anything.
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Result<Option<&'a [u8]>, LineTooLong> {
        if self.spent {
            self.held = Vec::new();
            self.spent = false;
        }
        loop {
            let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
                self.hold(input)?;
                *input = &[];
                return Ok(None);
            };
            let (head, rest) = (&input[..end], &input[end + 1..]);
            *input = rest;
            if !self.held.is_empty() {
                self.hold(head)?;
                if self.held == b"\r" {
                    self.held.clear();
                    continue;
                }
                self.spent = true;
                return Ok(Some(without_return(&self.held)));
            }
            self.check(head.len())?;
            let line = without_return(head);
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }

    fn hold(&mut self, more: &[u8]) -> Result<(), LineTooLong> {
        self.check(self.held.len() + more.len())?;
        self.held.extend_from_slice(more);
        Ok(())
    }

    fn check(&self, length: usize) -> Result<(), LineTooLong> {
        let max = self.max as usize;
        if length > max { Err(LineTooLong { max }) } else { Ok(()) }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(reads: &[&[u8]], max: usize) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut buffer = LineBuffer::new(max);
        let mut lines = Vec::new();
        for read in reads {
            let mut input = *read;
            while let Some(line) = buffer.next(&mut input)? {
                lines.push(line.to_vec());
            }
        }
        Ok(lines)
    }

    #[track_caller]
    fn check(reads: &[&str], want: &[&str]) {
        let reads: Vec<_> = reads.iter().map(|read| read.as_bytes()).collect();
        let want: Vec<_> = want.iter().map(|line| line.as_bytes().to_vec()).collect();
        assert_eq!(lines(&reads, 100), Ok(want));
    }

    #[test]
    fn several_lines_of_one_read_come_one_by_one() {
        check(&["a\nb\r\n\n\r\nc\nd"], &["a", "b", "c"]);
    }

    #[test]
    fn a_line_in_pieces_comes_whole() {
        check(&["ab", "", "c", "d\ne", "\n"], &["abcd", "e"]);
    }

    #[test]
    fn a_line_at_the_bound_is_taken_and_one_byte_more_is_not() {
        assert_eq!(lines(&[b"abcd\n"], 4), Ok(vec![b"abcd".to_vec()]));
        assert_eq!(lines(&[b"abcde\n"], 4), Err(LineTooLong { max: 4 }));
        assert_eq!(lines(&[b"ab", b"cde"], 4), Err(LineTooLong { max: 4 }), "before its end came");
    }

    #[test]
    fn nothing_is_held_between_lines() {
        let mut buffer = LineBuffer::new(100);
        for mut read in [b"{\"id\"".as_slice(), b":1}\n"] {
            while buffer.next(&mut read).unwrap().is_some() {}
        }
        assert_eq!(buffer.held.capacity(), 0);
    }

    proptest! {
        #[test]
        fn where_reads_are_cut_changes_no_line(stream in "[ab\r\n]{0,60}", cuts in prop::collection::vec(0usize..60, 0..6)) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let reads: Vec<_> = cuts.windows(2).map(|pair| &stream.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(&reads, 100), lines(&[stream.as_bytes()], 100));
        }
    }
}
