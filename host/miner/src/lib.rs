//! The search over nonces.
