//! Hard plots: PoC2 nonces in the files that Signum's own programs make and read (`account_start_nonces`).
//!
//! A nonce takes thousands of chained hashes to make and 64 bytes of it to win with, so nobody makes it between two blocks. The files have no header:
//! their name says what they hold, and their length whether they are whole.
//!
//! ```text
//! scoop 0 of all nonces | scoop 1 of all nonces | … | scoop 4,095 of all nonces
//! ```
//! Reading order: [`mod@name`] is what a name says, `pass` nonces in memory, [`mod@make`] how a plot comes to be, [`read`] how it is checked and scanned.

pub mod make;
pub mod name;
mod pass;
pub mod read;

pub use make::{Order, Start, make};
pub use name::{Name, account};
pub use read::{HardPlot, Sample};
