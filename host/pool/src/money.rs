//! From the log of shares to a payment that is confirmed: fees, splits, rounds, settlements, payments, and the audit of all of them.
//!
//! Every sum that a payout scheme proposes is checked here before it is booked, and every movement of money is one posting of the
//! books, which name its cause: doing a thing twice changes nothing. Nothing here talks to a chain; what a chain said comes in as a
//! value, and what is to be said to it goes out as one.
//!
//! Reading order: [`fees`] and [`split`] are what is right, [`history`] and [`window`] whose shares count, [`rounds`] what happens to a
//! block that was found, [`settlement`] to shares that are paid for one by one, [`mean_fees`] what these may earn besides the subsidy,
//! [`schemes`] what happens when the operator chooses another scheme, [`retention`] which shares may be forgotten, [`payments`] how
//! money leaves, [`audit`] whether it all adds up. [`credited`] is what blocks of a peer-to-peer pool pay, which has no books of what
//! it owes.

pub mod audit;
pub mod credited;
pub mod fees;
pub mod history;
pub mod mean_fees;
pub mod payments;
pub mod retention;
pub mod rounds;
pub mod schemes;
pub mod settlement;
pub mod split;
#[cfg(test)]
mod testing;
pub mod window;
