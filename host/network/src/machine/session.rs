//! One session, and the table of all.

use crate::bucket::Bucket;
use crate::id::{Address, Direction, Moment, NodeId, RequestId, SessionId, Tip};
use crate::known::Slots;
use crate::settings::SESSIONS_LIMIT;
use crate::view::PeerView;
use crate::wire::{
    ADDRESS_BYTES_MAX, BLOCK_BYTES_MAX, BLOCKS_BYTES_MAX, BlockNotice, Features, HEADERS_BYTES_MAX, ItemId, PEERS_MAX,
    ROUNDS_ANSWER_BYTES_MAX,
};
use adit_primitives::{BlockId, TxId};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// A connection with a node.
#[derive(Debug)]
pub(super) struct Session {
    pub id: SessionId,
    pub node: NodeId,
    pub address: Address,
    pub direction: Direction,
    pub since: Moment,
    /// When a frame last came.
    pub heard: Moment,
    /// What it said of itself; none before its hello.
    pub peer: Option<Peer>,
    pub allowance: Bucket,
    pub score: i32,
    /// Up to when the score was given back.
    pub score_at: Moment,
    pub latency: Option<Duration>,
    /// The ping that is out.
    pub ping: Option<(u64, Moment)>,
    pub ping_next: Moment,
    pub slow_since: Option<Moment>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub dropped: u64,
    /// Its questions that the host is answering.
    pub serving: usize,
    /// This node's questions to it.
    pub asked: Vec<Asked>,
    /// Transactions to be asked of it, once it has answered for others.
    pub transactions_wanted: Vec<TxId>,
    pub outbound: Outbound,
    pub links: [Link; 2],
    pub follow: Follow,
    /// The nodes that it has as peers, as it told last, in order.
    pub neighbours: Vec<NodeId>,
    /// Sessions whose nodes told that they have this one's as a peer.
    pub beside: Slots,
    /// In which bucket the node lies: how many leading bits of its id are this node's.
    pub bucket: u8,
    /// Bytes of it that the host is judging, or that wait for that.
    pub judging_bytes: usize,
    /// Blocks that it announced, at the host.
    pub notices_judged: usize,
    /// Blocks that it announced, and that wait for those.
    pub notices: VecDeque<BlockNotice>,
    /// It is to be asked for what waits in its pool, once this node is synchronised.
    pub pool_wanted: bool,
}

/// What a peer said of itself.
#[derive(Debug)]
pub(super) struct Peer {
    /// Escaped: printable ASCII.
    pub agent: String,
    pub features: Features,
    pub listen: Vec<Address>,
    pub tip: Tip,
}

/// What a transaction that is asked for is thought to have, in bytes.
const TRANSACTION_BYTES: usize = 4 << 10;
/// Announced blocks without parents that are followed for each peer.
const ORPHANS_MAX: usize = 16;

/// What synchronisation knows of a peer beyond its claim.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// The claim that was followed to its end, or that cannot be followed.
    pub done: Option<BlockId>,
    /// Blocks that it announced and whose parents are not here, the last [`ORPHANS_MAX`].
    pub orphans: Vec<BlockId>,
    /// Headers are not asked of it before.
    pub headers_from: Moment,
    /// Bodies are not asked of it before, nor is it blamed again for keeping some back.
    pub bodies_from: Moment,
    /// Pages of headers in a row that brought nothing new.
    pub idle_pages: u32,
}

impl Follow {
    /// Notes a block whose parents are not here.
    pub fn orphan(&mut self, id: BlockId) {
        if !self.orphans.contains(&id) {
            self.orphans.truncate(ORPHANS_MAX - 1);
            self.orphans.insert(0, id);
        }
    }
}

/// A question to a peer, and when it must be answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub request: RequestId,
    pub what: Ask,
    pub deadline: Moment,
}

/// What a peer was asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// A page, as part of following the peer for the `following`th time.
    Headers {
        claim: Tip,
        following: u64,
        /// How often this node had forgotten headers: its locator holds for as long as that stands.
        forgettings: u64,
    },
    Blocks {
        ids: Vec<BlockId>,
    },
    Transactions {
        ids: Vec<TxId>,
    },
    Peers,
    Rounds {
        tag: u64,
    },
}

/// What waits to be sent together.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Ids, not yet known to be with the peer.
    pub transactions: Vec<TxId>,
    /// Of [`super::items::Kind`]: shares, votes.
    pub items: [Vec<ItemId>; 2],
    pub have: [Vec<ItemId>; 2],
}

/// The state of a session for one class of items.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// The peer wants whole items.
    pub push: bool,
    /// This node wants whole items of it.
    pub pull: bool,
    /// Items that it brought first, lately.
    pub firsts: u32,
    /// Items that it brought when they were here, lately.
    pub agains: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { push: true, pull: true, firsts: 0, agains: 0 }
    }
}

impl Ask {
    /// Returns the bytes for which an answer is given time: as many as it may have; of transactions, as many as they mostly have.
    pub fn answer_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Headers { .. } => HEADERS_BYTES_MAX,
            Self::Blocks { ids } => BLOCKS_BYTES_MAX.min(ids.len() * BLOCK_BYTES_MAX),
            Self::Transactions { ids } => ids.len() * TRANSACTION_BYTES,
            Self::Peers => PEERS_MAX * ADDRESS_BYTES_MAX,
            Self::Rounds { .. } => ROUNDS_ANSWER_BYTES_MAX,
        };
        bytes as u64
    }
}

impl Session {
    /// Tells whether the handshake is done.
    pub fn ready(&self) -> bool {
        self.peer.is_some()
    }

    /// Returns how many questions for blocks are open.
    pub fn block_requests(&self) -> usize {
        self.asked.iter().filter(|asked| matches!(asked.what, Ask::Blocks { .. })).count()
    }

    /// Returns the bytes for which the answers to all that it was asked are given time.
    pub fn asked_bytes(&self) -> u64 {
        self.asked.iter().map(|asked| asked.what.answer_bytes()).sum()
    }

    /// Returns how many questions for transactions are open.
    pub fn transaction_requests(&self) -> usize {
        self.asked.iter().filter(|asked| matches!(asked.what, Ask::Transactions { .. })).count()
    }

    /// Returns the peer's claimed tip; none before its hello.
    pub fn tip(&self) -> Option<Tip> {
        self.peer.as_ref().map(|peer| peer.tip)
    }

    /// Tells whether the peer offers `features`.
    pub fn offers(&self, features: Features) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.features.has(features))
    }

    /// Returns what people see, once the handshake is done.
    pub fn view(&self) -> Option<PeerView> {
        let peer = self.peer.as_ref()?;
        Some(PeerView {
            session: self.id,
            node: self.node,
            address: self.address.clone(),
            direction: self.direction,
            agent: peer.agent.clone(),
            features: peer.features,
            listen: peer.listen.clone(),
            latency: self.latency,
            score: self.score,
            tip: peer.tip,
            since: self.since,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            dropped: self.dropped,
        })
    }
}

/// The sessions, each in a slot: sets of sessions are bits of one number.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    slots: Vec<Option<Session>>,
    by_id: HashMap<SessionId, usize>,
}

/// Returns the set of one slot.
pub(super) fn bit(slot: usize) -> Slots {
    1 << slot
}

/// Goes through a set of slots.
pub(super) fn slots(mut set: Slots) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let slot = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (slot < SESSIONS_LIMIT).then_some(slot)
    })
}

impl Sessions {
    /// Puts a session into a free slot. None where there is none, or the session is here.
    pub fn insert(&mut self, session: Session) -> Option<usize> {
        if self.by_id.contains_key(&session.id) {
            return None;
        }
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if free >= SESSIONS_LIMIT {
            return None;
        }
        if free == self.slots.len() {
            self.slots.push(None);
        }
        self.by_id.insert(session.id, free);
        self.slots[free] = Some(session);
        Some(free)
    }

    /// Takes a session out.
    pub fn remove(&mut self, slot: usize) -> Option<Session> {
        let session = self.slots.get_mut(slot)?.take()?;
        self.by_id.remove(&session.id);
        Some(session)
    }

    /// Returns the slot of a session.
    pub fn slot(&self, id: SessionId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// Returns the session of a slot.
    pub fn get(&self, slot: usize) -> Option<&Session> {
        self.slots.get(slot)?.as_ref()
    }

    /// Returns the session of a slot.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Session> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Goes through all sessions with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Session)> {
        self.slots.iter().enumerate().filter_map(|(slot, session)| session.as_ref().map(|session| (slot, session)))
    }

    /// Goes through all sessions.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().flatten()
    }

    /// Goes through the sessions whose handshake is done.
    pub fn ready(&self) -> impl Iterator<Item = (usize, &Session)> {
        self.iter().filter(|(_, session)| session.ready())
    }

    /// Lets what links brought count half from now.
    pub fn halve_links(&mut self) {
        for link in self.iter_mut().flat_map(|session| &mut session.links) {
            link.firsts /= 2;
            link.agains /= 2;
        }
    }
}
