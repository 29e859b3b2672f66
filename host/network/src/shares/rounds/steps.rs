//! The rules by which a round is agreed on, each a small function that says whether it changed anything.
//!
//! Named after the lines of Tendermint's algorithm (figure 1 of the paper). Everything is decided from what [`super::views`] counted
//! and [`super::held`] recomputed; only [`Rounds::say`] speaks for this node.

use super::held::Standing;
use super::views::Step;
use super::{Effect, Past, Rounds, Views};
use crate::id::Moment;
use crate::shares::archive::CertifiedRound;
use crate::shares::batch::{Batch, BatchId};
use crate::shares::record::Base;
use crate::shares::votes::{
    Backing, Certificate, Close, Content, Credit, Kind, Message, Proposal, ROUND_BATCHES_MAX, ROUND_BYTES_MAX,
    ROUND_EVIDENCE_MAX, Signatures, Statement, root,
};
use adit_primitives::{Encode, Hash256};
use std::collections::HashSet;
use std::sync::Arc;

/// What this node thinks of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opinion {
    Good,
    /// Something of it is not here, or not recomputed yet.
    Pending,
    /// It breaks a rule.
    Bad,
}

impl Rounds {
    /// Applies the rules until none changes anything.
    pub(super) fn progress(&mut self, out: &mut Vec<Effect>) {
        while self.halted.is_none() && self.apply_one_rule(out) {
            self.clock.moved = self.clock.now;
        }
        self.arm();
    }

    fn apply_one_rule(&mut self, out: &mut Vec<Effect>) -> bool {
        self.decide(out)
            || self.skip_views()
            || self.propose(out)
            || self.prevote(out)
            || self.lock(out)
            || self.precommit_none(out)
            || self.end_step(out)
    }

    /// Returns the number of the round that is being agreed on.
    pub(super) fn round(&self) -> u64 {
        self.history.newest.round + 1
    }

    /// Returns when the round is due with what is at hand: none where nothing is.
    pub(super) fn due_at(&self) -> Option<Moment> {
        let shares: usize = self.eligible().map(|batch| batch.entries.len()).sum();
        let nothing = shares == 0 && self.views.evidence.is_empty();
        let at_once = self.block.is_some() || shares >= self.settings.round_shares;
        match (nothing, at_once) {
            (true, _) => None,
            (false, true) => Some(self.clock.certified),
            (false, false) => Some(self.clock.certified.after(self.settings.round)),
        }
    }

    fn is_due(&self) -> bool {
        self.due_at().is_some_and(|due| due <= self.clock.now)
    }

    /// Tells whether the round is under way: due here, or at others.
    pub(super) fn is_active(&self) -> bool {
        self.views.view > 0
            || self.views.proposal().is_some()
            || self.validators.has_honest(self.views.heard(&self.validators))
            || self.is_due()
    }

    /// Returns valid batches whose work still counts.
    fn eligible(&self) -> impl Iterator<Item = &Batch> {
        let valid = self.held.iter().map(|(_, item)| item).filter(|item| item.is_valid());
        valid.map(|item| item.batch.batch()).filter(|batch| self.takes(batch))
    }

    pub(super) fn takes(&self, batch: &Batch) -> bool {
        let settings = &self.settings;
        batch.jobs.iter().all(|job| self.history.takes(job.base, &settings.terms, settings.pool) == Some(true))
    }

    /// Says something for this node, once at each place: durable first.
    fn say(&mut self, kind: Kind, value: Option<Hash256>, out: &mut Vec<Effect>) {
        let (view, round) = (self.views.view, self.round());
        let may = round > self.silent_until && self.validators.weight(self.node) > 0;
        if !may || self.views.said.contains_key(&(view, kind)) {
            return;
        }
        let statement = Statement { round, view, kind, previous: self.history.newest.root, value };
        self.views.said.insert((view, kind), statement);
        let signed = statement.sign(self.settings.pool, &self.identity);
        self.views.vote(signed);
        out.push(Effect::Persist(self.memory()));
        out.push(Effect::Publish(Message::Vote(signed).to_bytes().into()));
    }

    /// Whose turn it is proposes what was prevoted before, else what is at hand (lines 14 to 19).
    fn propose(&mut self, out: &mut Vec<Effect>) -> bool {
        let (view, base) = (self.views.view, self.history.newest);
        let is_turn = self.validators.proposer(self.settings.pool, base, view) == Some(self.node);
        let said = self.views.said.contains_key(&(view, Kind::Propose));
        if self.views.step != Step::Propose || said || !is_turn || self.round() <= self.silent_until {
            return false;
        }
        let proposal = match self.views.valid.clone() {
            Some((backing, content)) => Some((Some(backing), content)),
            None if self.is_due() => self.build().map(|content| (None, content)),
            None => None,
        };
        let Some((backing, content)) = proposal else { return false };
        let proposal = Proposal::sign(content, view, backing, self.settings.pool, &self.identity);
        self.views.said.insert((view, Kind::Propose), proposal.signed().statement);
        out.push(Effect::Persist(self.memory()));
        out.push(Effect::Publish(Message::Proposal(Box::new(proposal.clone())).to_bytes().into()));
        self.views.propose(proposal);
        true
    }

    /// Puts a round together from valid batches in the order in which they came.
    fn build(&mut self) -> Option<Content> {
        let (mut batches, mut bytes) = (Vec::new(), 0);
        for item in self.held.valid().into_iter().filter(|item| self.takes(item.batch.batch())) {
            bytes += item.batch.bytes().len();
            if bytes > ROUND_BYTES_MAX || batches.len() >= ROUND_BATCHES_MAX {
                break;
            }
            batches.push(item.batch.id());
        }
        let credits = self.credits(&batches)?;
        let evidence: Vec<_> = self.views.evidence.values().copied().take(ROUND_EVIDENCE_MAX).collect();
        if credits.is_empty() && evidence.is_empty() {
            return None;
        }
        let block = self.block.filter(|block| credits.iter().any(|credit| credit.share == *block));
        let close = match block {
            Some(share) => Close::Block(share),
            None if credits.len() >= self.settings.round_shares => Close::Count,
            None => Close::Time,
        };
        let (round, previous) = (self.round(), self.history.newest.root);
        let mut content = Content { round, previous, close, batches, evidence, root: Hash256::default() };
        content.root = root(self.settings.pool, &content, &credits);
        Some(content)
    }

    /// Returns the shares that batches credit, in order, each once, without those credited before. `None` where ids are missing.
    fn credits(&mut self, batches: &[BatchId]) -> Option<Vec<Credit>> {
        let (mut credits, mut counted) = (Vec::new(), HashSet::new());
        for id in batches {
            let item = self.held.get(id)?;
            let (shares, batch) = (Arc::clone(item.shares.as_ref()?), Arc::clone(&item.batch));
            for (share, found) in shares.iter().zip(batch.batch().shares()) {
                if counted.insert(*share) && !self.history.has_credited(share) {
                    credits.push(Credit {
                        share: *share,
                        base: found.job.base.round,
                        node: found.node,
                        account: found.payee.account.clone(),
                        worker: found.payee.worker.clone(),
                        difficulty: found.payee.difficulty,
                    });
                }
            }
        }
        Some(credits)
    }

    /// Recomputes a content.
    pub(super) fn weigh(&mut self, content: &Content) -> Opinion {
        let digest = Hash256(*blake3::hash(&content.to_bytes()).as_bytes());
        if let Some(known) = self.opinions.get(&digest) {
            return *known;
        }
        let opinion = self.form_opinion(content);
        if opinion != Opinion::Pending {
            self.opinions.insert(digest, opinion);
        }
        opinion
    }

    fn form_opinion(&mut self, content: &Content) -> Opinion {
        let (mut bytes, mut pending) = (0, false);
        for id in &content.batches {
            let Some(item) = self.held.get(id) else {
                if self.held.is_wrong(id) {
                    return Opinion::Bad;
                }
                pending = true;
                continue;
            };
            bytes += item.batch.bytes().len();
            match item.standing {
                Standing::Wrong { .. } => return Opinion::Bad,
                _ if !self.takes(item.batch.batch()) => return Opinion::Bad,
                _ => pending |= !item.is_valid(),
            }
        }
        let pool = self.settings.pool;
        let convicts = |evidence: &crate::shares::votes::Evidence| {
            self.validators.weight(evidence.node()) > 0 && evidence.is_proof(pool)
        };
        if bytes > ROUND_BYTES_MAX || !content.evidence.iter().all(convicts) {
            return Opinion::Bad;
        }
        match self.credits(&content.batches) {
            Some(credits) if !pending => {
                let has_block = match content.close {
                    Close::Block(share) => credits.iter().any(|credit| credit.share == share),
                    Close::Count | Close::Time => true,
                };
                let is_something = !credits.is_empty() || !content.evidence.is_empty();
                let is_right = has_block && is_something && root(pool, content, &credits) == content.root;
                if is_right { Opinion::Good } else { Opinion::Bad }
            }
            _ => Opinion::Pending,
        }
    }

    /// Prevotes a proposal that is right and that no lock forbids, else none (lines 22 to 33).
    fn prevote(&mut self, out: &mut Vec<Effect>) -> bool {
        if self.views.step != Step::Propose {
            return false;
        }
        let Some(proposal) = self.views.proposal().cloned() else { return false };
        let content = proposal.content;
        // A backing that came with the proposal was checked when it came.
        let allowed = self.views.locked.is_none_or(|(locked_view, locked)| {
            locked == content.root || proposal.backing.is_some_and(|backing| locked_view <= backing.view)
        });
        let value = match self.weigh(&content) {
            Opinion::Pending => return false,
            Opinion::Good if allowed => Some(content.root),
            Opinion::Good | Opinion::Bad => None,
        };
        self.enter(Step::Prevote);
        self.say(Kind::Prevote, value, out);
        true
    }

    /// Locks on what a quorum prevoted, and precommits it (lines 36 to 43).
    fn lock(&mut self, out: &mut Vec<Effect>) -> bool {
        let view = self.views.view;
        let is_newer = self.views.valid.as_ref().is_none_or(|(backing, _)| backing.view < view);
        if self.views.step == Step::Propose || !is_newer {
            return false;
        }
        let prevoted = |content: &Content| {
            let weight = self.views.weight_for(&self.validators, view, Kind::Prevote, Some(content.root));
            self.validators.is_quorum(weight)
        };
        let Some(content) = self.views.at(view).map(|proposal| &proposal.content).find(|content| prevoted(content))
        else {
            return false;
        };
        let content = content.clone();
        if self.weigh(&content) != Opinion::Good {
            return false;
        }
        let root = content.root;
        let signatures = Signatures::of(self.views.votes_for(view, Kind::Prevote, root));
        self.views.valid = Some((Backing { view, signatures }, content));
        if self.views.step == Step::Prevote {
            self.views.locked = Some((view, root));
            self.enter(Step::Precommit);
            self.say(Kind::Precommit, Some(root), out);
        }
        true
    }

    /// Precommits none where a quorum prevoted none (lines 44 to 46).
    fn precommit_none(&mut self, out: &mut Vec<Effect>) -> bool {
        let weight = self.views.weight_for(&self.validators, self.views.view, Kind::Prevote, None);
        if self.views.step != Step::Prevote || !self.validators.is_quorum(weight) {
            return false;
        }
        self.enter(Step::Precommit);
        self.say(Kind::Precommit, None, out);
        true
    }

    /// Ends a step whose time is up (lines 57 to 67).
    fn end_step(&mut self, out: &mut Vec<Effect>) -> bool {
        if self.views.timer.is_none_or(|timer| timer > self.clock.now) {
            return false;
        }
        match self.views.step {
            Step::Propose => {
                self.enter(Step::Prevote);
                self.say(Kind::Prevote, None, out);
            }
            Step::Prevote => {
                self.enter(Step::Precommit);
                self.say(Kind::Precommit, None, out);
            }
            Step::Precommit => self.start_view(self.views.view + 1),
        }
        true
    }

    fn enter(&mut self, step: Step) {
        self.views.step = step;
        self.views.timer = None;
    }

    fn start_view(&mut self, view: u32) {
        self.views.begin(view);
    }

    /// Follows to the view in which somebody honest is (lines 55 and 56).
    fn skip_views(&mut self) -> bool {
        match self.views.reached(&self.validators) {
            Some(view) if view > self.views.view => {
                self.start_view(view);
                true
            }
            _ => false,
        }
    }

    /// Starts the current step's time where it runs: at once for a proposal, else from a quorum of whatever votes (lines 21, 34,
    /// 47).
    fn arm(&mut self) {
        let quorum = |kind| {
            let weight = self.views.weight_any(&self.validators, self.views.view, kind);
            self.validators.is_quorum(weight)
        };
        let runs = match self.views.step {
            Step::Propose => self.is_active(),
            Step::Prevote => quorum(Kind::Prevote),
            Step::Precommit => quorum(Kind::Precommit),
        };
        if runs && self.views.timer.is_none() {
            let wait = self.settings.view.saturating_add(self.settings.view_more.saturating_mul(self.views.view));
            self.views.timer = Some(self.clock.now.after(wait.min(self.settings.view_longest)));
        }
    }

    /// Takes a round that a quorum precommitted (lines 49 to 54).
    fn decide(&mut self, out: &mut Vec<Effect>) -> bool {
        let Some((view, root)) = self.views.decided(&self.validators) else { return false };
        let contents: Vec<Content> = self.views.contents(root).cloned().collect();
        let Some(content) = contents.into_iter().find(|content| self.weigh(content) == Opinion::Good) else {
            // Others have it, and go on: it is asked for.
            let next = self.round() + 1;
            let signed = self.views.votes_for(view, Kind::Precommit, root);
            signed.iter().for_each(|vote| self.ahead.note(vote.node, next));
            return false;
        };
        let signatures = Signatures::of(self.views.votes_for(view, Kind::Precommit, root));
        let certificate = Certificate { round: content.round, view, previous: content.previous, root, signatures };
        let credits = self.credits(&content.batches).expect("a content that was recomputed has all ids");
        self.certify(content, certificate, credits, out);
        true
    }

    /// Ends the round with a content that is certified, and what it credits.
    pub(super) fn certify(
        &mut self,
        content: Content,
        certificate: Certificate,
        credits: Vec<Credit>,
        out: &mut Vec<Effect>,
    ) {
        let mut punished = self.history.punished.clone();
        punished.extend(content.punished());
        let base = Base { round: content.round, root: content.root };
        let past = Arc::new(Past { base, credits: credits.clone(), punished: punished.into_iter().collect() });
        self.block = self.block.filter(|block| past.credits.iter().all(|credit| credit.share != *block));
        let round = Arc::new(CertifiedRound { content, certificate: certificate.clone(), credits });
        out.push(Effect::Certified { round, past: Arc::clone(&past) });
        if std::mem::take(&mut self.clock.waiting) {
            out.push(Effect::Resumed { round: base.round });
        }
        self.begin_after(&past, Some(certificate), out);
    }

    /// Begins the round after one that is certified.
    fn begin_after(&mut self, past: &Past, certificate: Option<Certificate>, out: &mut Vec<Effect>) {
        let terms = &self.settings.terms;
        self.history.add(past, terms, self.validators.clone(), certificate);
        self.validators = self.history.validators(terms);
        let mut evidence = std::mem::take(&mut self.views.evidence);
        evidence.retain(|node, _| self.validators.weight(*node) > 0);
        self.views = Views::new(evidence);
        self.opinions.clear();
        self.objected.clear();
        self.late.clear();
        self.clock.certified = self.clock.now;
        self.clock.active = None;
        self.forget_batches(out);
        self.retry(out);
        for message in std::mem::take(&mut self.early).into_values().flatten() {
            self.take_message(message, out);
        }
    }

    /// Forgets batches that no later round can credit with anything.
    fn forget_batches(&mut self, out: &mut Vec<Effect>) {
        let (settings, history) = (&self.settings, &mut self.history);
        let mut gone = Vec::new();
        for (id, item) in self.held.iter() {
            let jobs = &item.batch.batch().jobs;
            let stale = jobs.iter().any(|job| history.takes(job.base, &settings.terms, settings.pool) == Some(false));
            let done =
                item.shares.as_ref().is_some_and(|shares| shares.iter().all(|share| history.has_credited(share)));
            if stale || done {
                gone.push(*id);
            }
        }
        self.held.remove(&gone);
        if !gone.is_empty() {
            out.push(Effect::Forget { batches: gone });
        }
    }
}
