//! What nodes say to each other: the protocols of the network as one machine without I/O.
//!
//! Bytes, events and the time go in; effects come out. Nothing here opens a socket, reads a clock, starts a thread or draws a
//! random number that its seed does not determine: the node and the simulation run the same code. Blocks, transactions and
//! shares are bytes with an id that the host computes; what they mean is the host's.
//!
//! Reading order: [`id`] names nodes and sessions, [`wire`] is the bytes between them, [`event`] and [`effect`] are what goes
//! in and comes out, [`facts`] what the machine may ask, [`settings`] its bounds, [`machine`] the machine, [`view`] what
//! people see of it. Beside them stand [`peers`], whom to talk to, and [`shares`], the share log of a peer-to-peer pool.

mod bucket;
pub mod effect;
pub mod event;
pub mod facts;
pub mod id;
mod known;
pub mod machine;
pub mod peers;
mod random;
pub mod settings;
pub mod shares;
pub mod view;
pub mod wire;

pub use effect::{BanReason, CloseReason, Effect, Effects, JudgeBlock, Lane, Request};
pub use event::{Acceptance, Event, Verdict};
pub use facts::{BlockState, Facts};
pub use id::{Address, Class, Direction, Moment, NodeId, RequestId, SessionId, Ticket, Tip};
pub use machine::{Local, Machine};
pub use settings::{Allowance, Settings, Strategies, Strategy};
pub use view::{Counters, PeerView, Phase, SyncView};
