//! What the rules note on a block for those after it.

use adit_plugin_sdk::space::Registration;
use adit_plugin_sdk::{Decode, Hash256, canonical_struct};

/// The notes on a block: its placement's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notes {
    /// The generation signature.
    pub generation: Hash256,
    /// The plots that the block registers.
    pub registrations: Vec<Registration>,
}

canonical_struct!(Notes { generation, registrations });

impl Notes {
    /// Reads a block's notes. `None` where nobody took any: the block was never placed, since history was cut off above it.
    pub fn read(state: &[u8]) -> Option<Self> {
        Self::from_bytes(state).ok()
    }
}
