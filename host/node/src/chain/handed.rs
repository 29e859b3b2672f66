//! Templates that are out: those that a find may name by number.
//!
//! Nobody can make a number unknown that another one searches for. Each address has its share of what is remembered: past that it loses its own, those
//! that are worth least first. Where no room is left, a template goes that is stale, expired or replaced; where all are good, the next one is refused.
//! Whoever keeps a template as such, a subscriber or this process's own miner, needs no room here.

use adit_chain::{TemplateRequest, WorkTemplate};
use adit_pool::work::limits::network_of;
use adit_primitives::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Weak};

/// An address may hold one of so many parts of what is remembered.
const SHARES: usize = 4;

/// Templates made so many states ago go: no find for them is to be expected, and each state may hold the payments of a whole block.
const STATES_KEPT: u64 = 64;

/// Who asks for a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// This process's own miner: it keeps the template, and submits that.
    Own,
    /// A subscriber at an address. Its connection keeps the newest templates while it stands.
    Subscriber(IpAddr),
    /// Whoever asks from an address for one template.
    Visitor(IpAddr),
}

/// All that can be remembered are templates that are still good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full;

/// How the chain stands: what makes a template stale or expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub now: Timestamp,
    pub state_version: u64,
}

/// What is out.
#[derive(Debug)]
pub struct Handed {
    templates_max: usize,
    /// Each address's own, the oldest first.
    remembered: BTreeMap<IpAddr, VecDeque<Remembered>>,
    count: usize,
    /// The oldest state of which templates are remembered.
    oldest: u64,
    /// What subscribers keep.
    kept: BTreeMap<u64, Weak<WorkTemplate>>,
}

#[derive(Debug)]
struct Remembered {
    request: TemplateRequest,
    /// The same address has a newer one for the same request.
    replaced: bool,
    template: Arc<WorkTemplate>,
}

/// What a template is worth: the least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// The chain has gone on.
    Stale,
    /// Its holder has asked for another, or should have.
    Spent,
    Good,
}

impl Handed {
    /// Makes room for so many templates of visitors.
    pub fn new(templates_max: usize) -> Self {
        Self { templates_max, remembered: BTreeMap::new(), count: 0, oldest: 0, kept: BTreeMap::new() }
    }

    /// Changes the room, and forgets what has none any more.
    pub fn set_max(&mut self, templates_max: usize, moment: Moment) {
        self.templates_max = templates_max;
        while self.count > self.templates_max.max(1) && self.forget_worst(moment, Worth::Good) {}
    }

    /// Returns the template of a number while somebody may search it.
    pub fn get(&self, id: u64) -> Option<Arc<WorkTemplate>> {
        let kept = self.kept.get(&id).and_then(Weak::upgrade);
        let remembered = || self.remembered.values().flatten().find(|held| held.template.id == id);
        kept.or_else(|| remembered().map(|held| Arc::clone(&held.template)))
    }

    /// Notes that a template goes out.
    pub fn hand(
        &mut self,
        client: Client,
        request: &TemplateRequest,
        template: &Arc<WorkTemplate>,
        moment: Moment,
    ) -> Result<(), Full> {
        match client {
            Client::Own => Ok(()),
            Client::Visitor(address) => self.remember(address, request, template, moment),
            Client::Subscriber(address) => {
                self.kept.retain(|_, kept| kept.strong_count() > 0);
                self.kept.insert(template.id, Arc::downgrade(template));
                // For a find that comes when its connection has broken: where there is room.
                drop(self.remember(address, request, template, moment));
                Ok(())
            }
        }
    }

    fn remember(
        &mut self,
        address: IpAddr,
        request: &TemplateRequest,
        template: &Arc<WorkTemplate>,
        moment: Moment,
    ) -> Result<(), Full> {
        self.forget_old(moment);
        let address = network_of(address);
        let share = (self.templates_max / SHARES).max(1);
        let own = self.remembered.get(&address);
        if own.is_some_and(|own| own.iter().any(|held| held.template.id == template.id)) {
            return Ok(());
        }
        if own.is_some_and(|own| own.len() >= share) {
            self.forget_worst_of(address, moment);
        } else if self.count >= self.templates_max && !self.forget_worst(moment, Worth::Spent) {
            return Err(Full);
        }
        let own = self.remembered.entry(address).or_default();
        own.iter_mut().filter(|held| held.request == *request).for_each(|held| held.replaced = true);
        own.push_back(Remembered { request: request.clone(), replaced: false, template: Arc::clone(template) });
        self.count += 1;
        Ok(())
    }

    fn forget_old(&mut self, moment: Moment) {
        let oldest = moment.state_version.saturating_sub(STATES_KEPT);
        if oldest <= self.oldest {
            return;
        }
        self.oldest = oldest;
        self.remembered.retain(|_, own| {
            let before = own.len();
            own.retain(|held| held.template.state_version >= oldest);
            self.count -= before - own.len();
            !own.is_empty()
        });
    }

    /// Forgets the template that is worth least of all, if that is no more than `most`. Tells whether there was one.
    fn forget_worst(&mut self, moment: Moment, most: Worth) -> bool {
        let worth = |held: &Remembered| (held.worth(moment), held.template.id);
        let worst = |own: &VecDeque<Remembered>| own.iter().map(worth).min();
        let all = self.remembered.iter().filter_map(|(address, own)| Some((worst(own)?, *address)));
        match all.min().filter(|((worth, _), _)| *worth <= most) {
            Some((_, address)) => self.forget_worst_of(address, moment),
            None => return false,
        }
        true
    }

    fn forget_worst_of(&mut self, address: IpAddr, moment: Moment) {
        let Some(own) = self.remembered.get_mut(&address) else { return };
        let worst = own.iter().enumerate().min_by_key(|(place, held)| (held.worth(moment), *place));
        if let Some(place) = worst.map(|(place, _)| place) {
            own.remove(place);
            self.count -= 1;
        }
        if own.is_empty() {
            self.remembered.remove(&address);
        }
    }
}

impl Remembered {
    fn worth(&self, moment: Moment) -> Worth {
        if self.template.state_version != moment.state_version {
            Worth::Stale
        } else if self.replaced || self.template.expires <= moment.now {
            Worth::Spent
        } else {
            Worth::Good
        }
    }
}

#[cfg(test)]
mod tests;
