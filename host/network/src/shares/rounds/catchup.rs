//! How a node learns what it missed, and how it answers others that did.
//!
//! A certificate proves that more than two thirds signed a root; that the shares in the answer are those of the root is recomputed.
//! Which shares meet their targets is taken over from who certified.

use super::held::{Item, Standing};
use super::history::RECENT_ROUNDS;
use super::{Effect, Halt, Plan, Rounds};
use crate::event::Acceptance;
use crate::shares::archive::{
    ANSWER_BYTES_MAX, ANSWER_ROUNDS_MAX, Answer, Archive, Ask, BASES_MAX, CertifiedRound, Question, WANTED_MAX,
};
use crate::shares::batch::{BatchId, SealedBatch};
use crate::shares::judge::Which;
use crate::shares::votes::{Certificate, Close, Content, Message};
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
        let named = self.views.all_contents().chain(self.views.valid.iter().map(|(_, content)| content));
        let wanted = named.flat_map(|content| &content.batches).filter(|id| self.held.get(id).is_none());
        wanted.collect::<BTreeSet<_>>().into_iter().copied().take(WANTED_MAX).collect()
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
        let common = ask.bases.iter().take(BASES_MAX).find(|base| self.history.has(**base, self.settings.pool));
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
        for round in answer.rounds {
            let Ok(round) = CertifiedRound::from_bytes(&round) else { return Acceptance::Reject };
            let number = round.content.round;
            if number <= self.history.newest.round {
                self.find_split(&round.certificate, out);
            } else if number == self.round() + self.catching.len() as u64 && self.catching.len() < ANSWER_ROUNDS_MAX {
                self.catching.push_back(round);
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

    /// Takes over the next round that others certified, once its headers are built.
    pub(super) fn catch_up(&mut self, out: &mut Vec<Effect>) -> bool {
        while self.catching.front().is_some_and(|round| round.content.round < self.round()) {
            self.catching.pop_front();
        }
        let Some(round) = self.catching.front().filter(|round| round.content.round == self.round()) else {
            self.catching.clear();
            return false;
        };
        let round = round.clone();
        let is_certified = self.certified == Some(round.content.root) || self.is_certified(&round);
        // Checked once, not with each batch that is judged.
        self.certified = is_certified.then_some(round.content.root);
        if !is_certified || !self.take_over_batches(&round, out) {
            self.catching.clear();
            return false;
        }
        let Some(credits) = self.credits(&round.content.batches) else { return false };
        let has_block = match round.content.close {
            Close::Block(share) => credits.iter().any(|credit| credit.share == share),
            Close::Count | Close::Time => true,
        };
        if !has_block || self.root_of(&round.content, &credits) != round.content.root {
            self.catching.clear();
            return false;
        }
        self.catching.pop_front();
        let wrong =
            |id: &&BatchId| self.held.get(id).is_some_and(|item| matches!(item.standing, Standing::Wrong { .. }));
        if let Some(batch) = round.content.batches.iter().find(wrong) {
            let Content { round, root, .. } = round.content;
            self.halt(Halt::Contradicted { round, root, batch: Some(*batch) }, out);
            return true;
        }
        self.certify(round.content, round.certificate, out);
        self.clock.more = true;
        true
    }

    /// Tells whether the certificate is one of the open round, and of this content.
    fn is_certified(&self, round: &CertifiedRound) -> bool {
        let CertifiedRound { content, certificate, batches } = round;
        let of_content = (certificate.round, certificate.previous, certificate.root)
            == (content.round, content.previous, content.root);
        of_content
            && content.previous == self.history.newest.root
            && content.is_bounded()
            && batches.len() == content.batches.len()
            && content.evidence.iter().all(|evidence| evidence.is_proof(self.settings.pool))
            && certificate.is_valid(self.settings.pool, &self.validators)
    }

    /// Has the headers built of those batches of the round that are not here yet. `false` where a batch is not what the content names.
    fn take_over_batches(&mut self, round: &CertifiedRound, out: &mut Vec<Effect>) -> bool {
        for (id, bytes) in round.content.batches.iter().zip(&round.batches) {
            match self.held.get_mut(id) {
                Some(item) if item.shares.is_some() || item.awaited > 0 || item.standing == Standing::Later => {}
                // Wrong by one of its shares, so its headers were not all built.
                Some(item) if item.which != Which::None => {
                    (item.which, item.awaited) = (Which::None, 1);
                    out.push(Effect::Judge { batch: Arc::clone(&item.batch), which: Which::None });
                }
                Some(_) => return false,
                None => match SealedBatch::open(bytes.clone().into(), self.settings.pool) {
                    Ok(batch) if batch.id() == *id => {
                        let batch = Arc::new(batch);
                        self.held.put(Arc::clone(&batch), Which::None, true);
                        out.push(Effect::Judge { batch, which: Which::None });
                    }
                    _ => return false,
                },
            }
        }
        true
    }
}
