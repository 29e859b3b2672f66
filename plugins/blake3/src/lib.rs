//! BLAKE3.
