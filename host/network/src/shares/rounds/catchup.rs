//! How a node learns what it missed, and how it answers others that did.
//!
//! A certificate proves that more than two thirds signed a root; that the credits in the answer are those of the root is recomputed.
//! Which shares meet their targets is taken over from who certified, so nothing of the chain on which they were mined is needed.

use super::held::Item;
use super::history::RECENT_ROUNDS;
use super::{Effect, Halt, Plan, Rounds};
use crate::event::Acceptance;
use crate::shares::archive::{
    ANSWER_BYTES_MAX, ANSWER_ROUNDS_MAX, Answer, Archive, Ask, BASES_MAX, CertifiedRound, Question, WANTED_MAX,
};
use crate::shares::batch::{BatchId, SealedBatch};
use crate::shares::record::Base;
use crate::shares::votes::{Certificate, Message, root};
use adit_primitives::{Decode, Encode};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Rounds {
    /// Asks some peer what this node lacks.
    pub(super) fn ask(&mut self, out: &mut Vec<Effect>) {
        (self.clock.asked, self.clock.more) = (self.clock.now, false);
        let ask = Ask { pool: self.settings.pool, bases: self.history.bases(), wanted: self.wanted() };
        out.push(Effect::Ask(Question::Rounds(ask).to_bytes().into()));
    }

    /// Returns batches of proposed contents that are not here.
    pub(super) fn wanted(&self) -> Vec<BatchId> {
        let wanted = self.named().filter(|id| self.held.get(id).is_none() && !self.held.is_wrong(id));
        wanted.collect::<BTreeSet<_>>().into_iter().copied().take(WANTED_MAX).collect()
    }

    /// Returns the batches of proposed contents, some of them more than once.
    pub(super) fn named(&self) -> impl Iterator<Item = &BatchId> {
        let contents = self.views.all_contents().chain(self.views.valid.iter().map(|(_, content)| content));
        contents.flat_map(|content| &content.batches)
    }

    /// Answers another node's question: `None` for one that is of no use to answer.
    pub fn answer(&self, ask: &Ask, archive: &dyn Archive) -> Option<Bytes> {
        if ask.pool != self.settings.pool {
            return None;
        }
        let mut answer = Answer::default();
        let mut room = ANSWER_BYTES_MAX - 1024;
        let mut put = |list: &mut Vec<Vec<u8>>, bytes: Vec<u8>| {
            let fits = bytes.len() + 8 <= room;
            if fits {
                room -= bytes.len() + 8;
                list.push(bytes);
            }
            fits
        };
        let newest = self.history.newest;
        let asked = ask.bases.first()?;
        // The host remembers more rounds than this machine.
        let is_ours = |base: &&Base| self.history.has(**base, self.settings.pool) || archive.has(**base);
        let common = ask.bases.iter().take(BASES_MAX).find(is_ours);
        // One that is far ahead, or of another past, is given what is remembered: it may prove a split.
        let from =
            common.map_or_else(|| asked.round.saturating_sub(RECENT_ROUNDS), |base| base.round).saturating_add(1);
        for number in (from..=newest.round).take(ANSWER_ROUNDS_MAX) {
            match archive.round(number) {
                Some(bytes) if put(&mut answer.rounds, bytes.to_vec()) => {}
                _ => break,
            }
        }
        if *asked == newest {
            let (proposals, votes) = self.views.newest(self.node);
            let proposals = proposals.into_iter().map(|proposal| Message::Proposal(Box::new(proposal.clone())));
            for message in votes.into_iter().map(Message::Vote).chain(proposals) {
                put(&mut answer.messages, message.to_bytes());
            }
            let wanted = ask.wanted.iter().filter_map(|id| self.held.get(id));
            for item in wanted.chain(self.unheard()).take(WANTED_MAX) {
                put(&mut answer.batches, item.batch.bytes().to_vec());
            }
        }
        let is_empty = answer.rounds.is_empty() && answer.messages.is_empty() && answer.batches.is_empty();
        (!is_empty).then(|| answer.to_bytes().into())
    }

    /// Returns this node's own batches where no round takes them in: they may have left it before anybody was there to hear.
    fn unheard(&self) -> impl Iterator<Item = &Item> {
        let is_stuck = self.clock.active.is_some_and(|since| self.clock.now.since(since) >= self.settings.repair);
        let own = move |item: &&Item| is_stuck && item.is_valid() && item.batch.batch().node == self.node;
        self.held.iter().map(|(_, item)| item).filter(own)
    }

    /// Takes an answer in. Rejected where whoever made it lied.
    pub(super) fn take_answer(&mut self, bytes: &Bytes, out: &mut Vec<Effect>) -> Acceptance {
        let Ok(answer) = Answer::from_bytes(bytes) else { return Acceptance::Reject };
        for batch in answer.batches {
            match SealedBatch::open(batch.into(), self.settings.pool) {
                Ok(batch) => self.take_batch(Arc::new(batch), Plan::Local, out),
                Err(_) => return Acceptance::Reject,
            };
        }
        for round in answer.rounds.iter().take(ANSWER_ROUNDS_MAX) {
            let Ok(round) = CertifiedRound::from_bytes(round) else { return Acceptance::Reject };
            let number = round.content.round;
            if number <= self.history.newest.round {
                self.find_split(&round.certificate, out);
            } else if number == self.round() && self.take_over(round, out) == Acceptance::Reject {
                return Acceptance::Reject;
            }
            if self.halted.is_some() {
                return Acceptance::Accept;
            }
        }
        for message in answer.messages {
            match Message::from_bytes(&message) {
                Ok(message) => self.take_message(message, out),
                Err(_) => return Acceptance::Reject,
            };
        }
        Acceptance::Accept
    }

    /// Stops where a round has two certificates: more than a third of the weight lies.
    fn find_split(&mut self, theirs: &Certificate, out: &mut Vec<Effect>) {
        let Some(ours) = self.history.recent(theirs.round) else { return };
        let (pool, root) = (self.settings.pool, ours.base.root);
        if theirs.root == root || !theirs.is_valid(pool, &ours.validators) || self.halted.is_some() {
            return;
        }
        let signed_ours: BTreeSet<_> = ours.certificate.iter().flat_map(|ours| ours.signatures.nodes()).collect();
        let both = theirs.signatures.nodes().filter(|node| signed_ours.contains(node));
        let halt = Halt::Split { round: theirs.round, ours: root, theirs: theirs.root, signed_both: both.collect() };
        self.halt(halt, out);
    }

    pub(super) fn halt(&mut self, halt: Halt, out: &mut Vec<Effect>) {
        self.halted = Some(halt.clone());
        out.push(Effect::Persist(self.memory()));
        out.push(Effect::Halted(halt));
    }

    /// Takes over the next round, where others certified it.
    ///
    /// Rejected where somebody claims so who knows that it is not.
    fn take_over(&mut self, round: CertifiedRound, out: &mut Vec<Effect>) -> Acceptance {
        let CertifiedRound { content, certificate, credits } = round;
        // Of another past: what that means is seen where the pasts part.
        if content.previous != self.history.newest.root {
            return Acceptance::Ignore;
        }
        let pool = self.settings.pool;
        let is_certified = (certificate.round, certificate.previous, certificate.root)
            == (content.round, content.previous, content.root)
            && content.is_bounded()
            && root(pool, &content, &credits) == content.root
            && content.evidence.iter().all(|evidence| evidence.is_proof(pool))
            && certificate.is_valid(pool, &self.validators);
        if !is_certified {
            return Acceptance::Reject;
        }
        if let Some(batch) = content.batches.iter().find(|id| self.held.is_wrong(id)) {
            let halt = Halt::Contradicted { round: content.round, root: content.root, batch: Some(*batch) };
            self.halt(halt, out);
            return Acceptance::Accept;
        }
        self.certify(content, certificate, credits, out);
        self.clock.more = true;
        Acceptance::Accept
    }
}
