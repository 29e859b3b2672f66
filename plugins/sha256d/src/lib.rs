//! Double SHA-256.
