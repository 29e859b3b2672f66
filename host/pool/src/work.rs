//! From an upstream's template to a share in the log.
