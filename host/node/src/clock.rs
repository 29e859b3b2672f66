//! Time and randomness, handed down from `main`: nothing in this crate makes its own.

use adit_primitives::Timestamp;
use std::sync::Arc;

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Fills bytes from the system's generator of secrets.
pub type Entropy = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Draws a random number.
pub fn random_u32(entropy: &Entropy) -> u32 {
    let mut bytes = [0; 4];
    entropy(&mut bytes);
    u32::from_le_bytes(bytes)
}

/// Draws a random number.
pub fn random_u64(entropy: &Entropy) -> u64 {
    let mut bytes = [0; 8];
    entropy(&mut bytes);
    u64::from_le_bytes(bytes)
}
