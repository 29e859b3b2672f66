//! Conversations as text files. What goes in stands in the file, what comes out is written behind it, and the whole must be the file.
//!
//! | a line begins with | and is |
//! |---|---|
//! | `>` | a line from the other side |
//! | `~` | bytes from the other side, with no end of line |
//! | `@` | something that the caller does |
//! | `<` | a line sent |
//! | `*` | an effect, or an event |
//! | `#` | a remark |
//!
//! `UPDATE_EXPECT=1` writes the files anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One side of a conversation, and a caller that does what scripts say.
pub trait Side {
    /// Takes bytes from the other side.
    fn hear(&mut self, bytes: &[u8], log: &mut Log);

    /// Does what a line with `@` says.
    fn act(&mut self, words: &[&str], log: &mut Log);
}

/// What a side said and asked for.
#[derive(Default)]
pub struct Log(String);

impl Log {
    /// Notes what was sent, line by line.
    pub fn sent(&mut self, bytes: &mut Vec<u8>) {
        let text = String::from_utf8(std::mem::take(bytes)).expect("what is sent is text");
        assert!(text.is_empty() || text.ends_with('\n'), "half a line is sent: {text}");
        text.lines().for_each(|line| writeln!(self.0, "< {line}").unwrap());
    }

    /// Notes an effect or an event.
    pub fn happened(&mut self, what: impl std::fmt::Display) {
        writeln!(self.0, "* {what}").unwrap();
    }
}

/// Plays each file of a folder beside this one, each with a side of its own.
pub fn play<S: Side>(folder: &str, side: impl Fn() -> S) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds conversations", folder.display());
    for file in files {
        let played = play_one(&std::fs::read_to_string(&file).unwrap(), side());
        expect_test::expect_file![&file].assert_eq(&played);
    }
}

fn play_one(text: &str, mut side: impl Side) -> String {
    let mut log = Log::default();
    for line in text.lines().filter(|line| !line.starts_with(['<', '*'])) {
        writeln!(log.0, "{line}").unwrap();
        match line.split_at_checked(2) {
            Some(("> ", line)) => side.hear(format!("{line}\n").as_bytes(), &mut log),
            Some(("~ ", part)) => side.hear(part.as_bytes(), &mut log),
            Some(("@ ", words)) => side.act(&words.split(' ').collect::<Vec<_>>(), &mut log),
            _ => assert!(line.is_empty() || line.starts_with('#'), "a script says {line:?}"),
        }
    }
    log.0
}
