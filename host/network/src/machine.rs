//! The machine: every session of a node, what is passed on to whom, and what is asked of whom.

use crate::effect::Effects;
use crate::event::Event;
use crate::facts::Facts;
use crate::id::{Address, Moment, NodeId, SessionId};
use crate::settings::Settings;
use crate::view::{Counters, PeerView, SyncView};
use crate::wire::Features;
use adit_primitives::identity::Rules;

/// What this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    pub node: NodeId,
    pub rules: Rules,
    pub features: Features,
    /// Where the node listens, at most [`crate::wire::LISTEN_MAX`].
    pub listen: Vec<Address>,
}

/// The protocols of one node. The host hands it events one by one with the time, and carries out what comes out.
///
/// Two machines that get the same settings, seed, events, times and facts put out the same effects.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    local: Local,
    counters: Counters,
}

impl Machine {
    /// Makes a machine without sessions. What it draws at random follows from `seed`.
    pub fn new(settings: Settings, local: Local, seed: u64) -> Self {
        let _ = seed;
        Self { settings, local, counters: Counters::default() }
    }

    /// Handles one event at `now`, which never goes back, and appends what is to be done.
    pub fn handle(&mut self, now: Moment, event: Event, facts: &dyn Facts, effects: &mut Effects) {
        let _ = (now, event, facts, effects, &self.settings, &self.local);
    }

    /// Returns when [`Event::Tick`] is due at the latest; nothing where nothing waits.
    pub fn wake(&self) -> Option<Moment> {
        None
    }

    /// Returns the peers whose handshake is done, in the order in which they came.
    pub fn peers(&self) -> Vec<PeerView> {
        Vec::new()
    }

    /// Returns one peer.
    pub fn peer(&self, session: SessionId) -> Option<PeerView> {
        self.peers().into_iter().find(|peer| peer.session == session)
    }

    /// Returns how far the node is.
    pub fn sync(&self, now: Moment, facts: &dyn Facts) -> SyncView {
        let _ = now;
        SyncView {
            phase: crate::view::Phase::Idle,
            headers: facts.best_header().height,
            blocks: facts.tip().height,
            target: facts.best_header().height,
            blocks_per_second: 0.0,
            headers_per_second: 0.0,
        }
    }

    /// Returns what was counted since the machine was made.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
