//! Hostile and broken plugins: none takes the host down, none passes for a verdict, each is told what is wrong.

#![allow(clippy::unwrap_used, reason = "clippy exempts test functions, but not their helpers")]

mod anything;
mod bundled;
mod calls;
mod guest;
mod kernels;
mod loading;
mod payout;
mod rules;
mod service;
mod shares;
