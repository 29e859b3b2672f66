//! What commands print to standard output, until nobody reads it any more.
//!
//! Whoever reads may go before the end, as `head` does after its lines: that is no error, and a program told so by a panic would say it in a
//! message that nobody asked for. Here the command ends, in order, so that what it started ends with it.
//!
//! `println!` and `print!` mean this module's throughout the binary: they are defined before every other module, over the standard library's.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

/// Ends the command. No panic's hook hears of it.
struct ReaderGone;

/// Prints a line to standard output.
macro_rules! println {
    () => { $crate::out::write(format_args!("\n")) };
    ($($text:tt)*) => { $crate::out::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints to standard output.
macro_rules! print {
    ($($text:tt)*) => { $crate::out::write(format_args!($($text)*)) };
}

/// Writes to standard output. Returns only if that is done.
pub fn write(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => resume_unwind(Box::new(ReaderGone)),
        Err(error) => panic!("failed to write to standard output: {error}"),
    }
}

/// Runs a command: to its end, or until nobody reads what it prints.
pub fn while_read(command: impl FnOnce() -> ExitCode) -> ExitCode {
    match catch_unwind(AssertUnwindSafe(command)) {
        Ok(code) => code,
        Err(cause) if cause.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(cause) => resume_unwind(cause),
    }
}
