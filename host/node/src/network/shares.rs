//! What goes between the network and the share log of a pool, where this process keeps one.
//!
//! The log judges items and answers questions; the network passes on, asks and blames. Neither waits for the other.

use super::NetworkHandle;
use super::actor::{Actor, Inbox};
use crate::sharelog::{Brought, ShareLogHandle};
use adit_network::shares::Identity;
use adit_network::wire::{Features, Frame, ItemId};
use adit_network::{Acceptance, Class, Effects, Event, NodeId, PeerView, RequestId, SessionId, Ticket};
use bytes::Bytes;
use tokio::sync::oneshot;

/// A question that a share log puts to a peer.
pub struct Question {
    /// Comes back with the answer.
    pub tag: u64,
    /// Whom it is for: another peer each time where nobody is named.
    pub node: Option<NodeId>,
    pub ask: Bytes,
}

impl NetworkHandle {
    /// Returns what this node signs with: the key that is its name.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the share log of this process's pool, while there is one.
    pub fn share_log(&self) -> Option<ShareLogHandle> {
        self.shares.borrow().clone()
    }

    /// Has items brought to a share log from now on; to none, where `log` is `None`.
    pub(crate) fn attach(&self, log: Option<ShareLogHandle>) {
        self.shares.send_replace(log);
    }

    /// Tells the machine something. Lost where the network has ended.
    pub(crate) fn tell(&self, event: Event) {
        drop(self.inbox.send(Inbox::Machine(event)));
    }

    /// Puts a question to a peer. The answer is brought to the share log that is attached then.
    pub(crate) fn ask(&self, question: Question) {
        drop(self.inbox.send(Inbox::Question(question)));
    }
}

impl Actor {
    /// Has items judged by the share log. A node that keeps none has no use for them.
    pub(super) fn deliver(&self, ticket: Ticket, class: Class, session: SessionId, items: Vec<(ItemId, Bytes)>) {
        let count = items.len();
        let from = self.sessions.get(&session).map(|open| open.node);
        let items = items.into_iter().map(|(_, bytes)| bytes).collect();
        let taken = from.is_some_and(|from| self.bring(Brought::Items { ticket, class, from, items }));
        if !taken {
            let answers = vec![Acceptance::Ignore; count];
            drop(self.back.send(Inbox::Machine(Event::ItemsJudged { ticket, answers })));
        }
    }

    /// Puts a question of the share log to a peer.
    pub(super) fn ask_rounds(&mut self, question: Question, effects: &mut Effects) {
        let Question { tag, node, ask } = question;
        match self.whom_to_ask(node) {
            Some(session) => self.handle(Event::AskRounds { session, tag, ask }, effects),
            None => {
                self.bring(Brought::Answer { tag, from: None, answer: None });
            }
        }
    }

    /// Returns the session of a node, or of the next one in turn that keeps a share log.
    fn whom_to_ask(&mut self, node: Option<NodeId>) -> Option<SessionId> {
        let peers = self.machine.peers();
        let mut able = peers.iter().filter(|peer| peer.features.has(Features::SHARES));
        if let Some(node) = node {
            return able.find(|peer| peer.node == node).map(|peer| peer.session);
        }
        let mut sessions: Vec<SessionId> = able.map(|peer| peer.session).collect();
        sessions.sort_unstable();
        let next = sessions.iter().find(|session| Some(**session) > self.asked_last).or(sessions.first()).copied();
        self.asked_last = next.or(self.asked_last);
        next
    }

    /// Brings a peer's answer to the share log.
    pub(super) fn answered(&self, session: SessionId, tag: u64, answer: Option<Bytes>) {
        let from = self.sessions.get(&session).map(|open| open.node);
        self.bring(Brought::Answer { tag, from, answer });
    }

    /// Has the share log answer a peer's question: nothing comes where it does not.
    pub(super) fn question(&self, from: NodeId, ask: Bytes) -> oneshot::Receiver<Bytes> {
        let (reply, answer) = oneshot::channel();
        self.bring(Brought::Question { from, ask, reply });
        answer
    }

    /// Has the share log ask a new peer that keeps one, too.
    pub(super) fn met(&self, peer: &PeerView) {
        if peer.features.has(Features::SHARES) {
            self.bring(Brought::Peer);
        }
    }

    fn bring(&self, brought: Brought) -> bool {
        self.shares.borrow().as_ref().is_some_and(|log| log.bring(brought))
    }
}

/// Waits for the share log's answer to a peer.
pub async fn answer(request: RequestId, answer: oneshot::Receiver<Bytes>) -> Frame {
    answer.await.map_or(Frame::Busy { request }, |answer| Frame::Rounds { request, answer })
}
