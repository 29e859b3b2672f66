//! From the log of shares to a payment that is confirmed.
