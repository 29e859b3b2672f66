//! The miners that are connected: how each is reached, what each has done lately, and how hard its next shares are to be.
//!
//! Connections are numbered, never reused in one run. What is told to a connection waits in its mailbox, whose length the session bounds.

use adit_pool::work::retarget::{ConnectionId, DifficultyBounds, Retargets};
use adit_primitives::Timestamp;
use adit_primitives::accounts::Banned;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::engine::ShareEngine;
use adit_protocol::stratum::message::Refusal;
use adit_protocol::stratum::server::Ticket;
use futures_channel::mpsc;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often connections whose difficulty may be due are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Connections that the validator is asked about at once.
const ASKED_AT_ONCE: usize = 4096;

/// What a connection is told by the rest of the pool.
#[derive(Debug)]
pub enum Note {
    /// Its shares were judged, in the order in which they came.
    Judged(Vec<(Ticket, Result<(), Refusal>)>),
    /// Its next shares are to be that hard.
    Difficulty(ShareDifficulty),
    /// It is banned, and is to go.
    Leave,
}

/// The connections that are open.
///
/// Their mailboxes take memory for what waits in them alone: most wait for nothing, most of the time. (A channel of Tokio's holds room for 32 notes.)
pub struct Connections {
    next: AtomicU64,
    reached: Mutex<HashMap<ConnectionId, Reached>>,
    retargets: Mutex<Retargets>,
}

struct Reached {
    mailbox: mpsc::UnboundedSender<Note>,
    origin: IpAddr,
    users: Vec<Arc<str>>,
}

impl Connections {
    /// Begins with none.
    pub fn new(retargets: Retargets) -> Self {
        Self { next: AtomicU64::new(0), reached: Mutex::default(), retargets: Mutex::new(retargets) }
    }

    /// Adds a connection, and returns its number and its mailbox.
    pub fn open(
        &self,
        origin: IpAddr,
        difficulty: ShareDifficulty,
        now: Timestamp,
    ) -> (ConnectionId, mpsc::UnboundedReceiver<Note>) {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        let (mailbox, notes) = mpsc::unbounded();
        self.reached().insert(id, Reached { mailbox, origin, users: Vec::new() });
        self.retargets().open(id, difficulty, now);
        (id, notes)
    }

    /// Notes a name under which a connection sends shares.
    pub fn name(&self, id: ConnectionId, user: &Arc<str>) {
        if let Some(reached) = self.reached().get_mut(&id)
            && !reached.users.contains(user)
        {
            reached.users.push(Arc::clone(user));
        }
    }

    /// Drops a connection.
    pub fn close(&self, id: ConnectionId) {
        self.reached().remove(&id);
        self.retargets().close(id);
    }

    /// Returns how many are open.
    pub fn count(&self) -> usize {
        self.reached().len()
    }

    /// Leaves a note. One that has gone hears nothing.
    pub fn tell(&self, id: ConnectionId, note: Note) {
        if let Some(reached) = self.reached().get(&id) {
            // A mailbox whose owner is about to close it.
            drop(reached.mailbox.unbounded_send(note));
        }
    }

    /// Has everybody leave whom a ban is about.
    pub fn turn_out(&self, who: &Banned) {
        for reached in self.reached().values() {
            let meant = match who {
                Banned::Origin(network) => adit_pool::work::limits::network_of(reached.origin) == *network,
                Banned::User(user) => reached.users.iter().any(|known| **known == **user),
            };
            if meant {
                drop(reached.mailbox.unbounded_send(Note::Leave));
            }
        }
    }

    /// Notes shares that counted.
    pub fn credit(&self, id: ConnectionId, shares: &[ShareDifficulty], now: Timestamp) {
        let mut retargets = self.retargets();
        shares.iter().for_each(|difficulty| retargets.credit(id, *difficulty, now));
    }

    /// Notes a difficulty that a miner asked for.
    pub fn set_difficulty(&self, id: ConnectionId, difficulty: ShareDifficulty) {
        self.retargets().set(id, difficulty);
    }

    /// Asks the validator about the connections that are due, and tells those whose difficulty changes. Returns the pause until the next look.
    pub fn retarget(&self, validator: &mut dyn ShareEngine, bounds: DifficultyBounds, now: Timestamp) -> Duration {
        let asked = self.retargets().ask(validator, bounds, ASKED_AT_ONCE, now);
        match asked {
            Ok(changed) => {
                let full = changed.len() >= ASKED_AT_ONCE;
                for change in changed {
                    self.tell(change.connection, Note::Difficulty(change.difficulty));
                }
                if full { Duration::ZERO } else { LOOK_INTERVAL }
            }
            Err(fault) => {
                tracing::error!(%fault, "the share validator gives no difficulties: miners keep theirs");
                Duration::from_secs(5)
            }
        }
    }

    fn reached(&self) -> MutexGuard<'_, HashMap<ConnectionId, Reached>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retargets(&self) -> MutexGuard<'_, Retargets> {
        self.retargets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
