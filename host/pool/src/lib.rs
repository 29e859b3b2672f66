//! The pool's rules: what miners are given to do, what their shares are worth, and who is owed what.
//!
//! Nothing here opens a socket or reads a clock, and no float touches money. What a plugin answers is a proposal that is checked here.
//!
//! Reading order: [`work`] from an upstream's template to a share in the log, [`money`] from the log to a payment that is confirmed.

pub mod money;
pub mod work;
