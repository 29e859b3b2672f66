//! Plain plots: leaves of one hash each under a Merkle tree, after the document that describes Spacetime.
//!
//! For study: a leaf costs one hash, so a processor makes leaves about as fast as a disk reads them (`adit bench space --attack` measures by how much).
//!
//! ```text
//! header, 4,096 bytes | leaves | nodes on level 10 | nodes on level 11 | … | root
//! ```
//! Reading order: [`mod@format`] is the layout, [`mod@make`] how a plot comes to be, [`read`] how it is checked, scanned and proved.

pub mod format;
pub mod make;
pub mod read;

pub use format::{Header, Layout};
pub use make::{Order, make};
pub use read::{PlainPlot, Proof};
