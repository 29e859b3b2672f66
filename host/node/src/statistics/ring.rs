//! One small entry for each of the newest blocks, the sums over them, and the names of the rules that were broken.

use adit_primitives::BlockId;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How many of the newest entries are searched for a block that gets a colour: what is merged has come lately.
const SEARCHED_MAX: usize = 16_384;

/// How many rules are told apart. The refusals of any more are counted as [`OTHER`].
const RULES_MAX: usize = 32;

/// How many bytes of a rule's name are kept.
const RULE_BYTES_MAX: usize = 40;

/// The name under which refusals are counted when there are too many rules.
const OTHER: &str = "other";

/// How the selected chain sees an accepted block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// It lies on the selected chain.
    Selected,
    /// The selected chain merges it as blue.
    Blue,
    /// The selected chain merges it as red.
    Red,
    /// The selected chain does not hold it.
    Unmerged,
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted(Colour),
    /// By the rule with this number in [`Refusals`].
    Refused(u8),
}

/// A block, and what happened between the one before it and itself. Numbers that do not fit stay at their largest.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// Eight bytes of the id: enough to find it among the newest, and no more is kept.
    key: u64,
    outcome: Option<Outcome>,
    found: bool,
    requests: u16,
    hits: u16,
    built: u16,
    selections: u16,
    merged: u16,
    transactions: Option<u16>,
    placement_us: u32,
    template_us: u32,
    template_us_max: u32,
    selection_us: u32,
}

/// The sums over all entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    pub found: u64,
    pub refused: u64,
    pub selected: u64,
    pub blue: u64,
    pub red: u64,
    pub unmerged: u64,
    pub merged: u64,
    pub transactions: u64,
    /// Blocks whose transactions are counted.
    pub bodies: u64,
    pub requests: u64,
    pub hits: u64,
    pub built: u64,
    pub selections: u64,
    pub placement_us: u64,
    pub template_us: u64,
    pub selection_us: u64,
}

/// The newest entries.
#[derive(Debug, Clone)]
pub struct Ring {
    entries: VecDeque<Entry>,
    capacity: usize,
    sums: Sums,
}

/// How often each rule was broken, over the entries of a ring.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    rules: Vec<(Box<str>, u64)>,
}

impl Entry {
    /// Makes this the entry of a block that was taken.
    pub fn accept(&mut self, id: BlockId, found: bool, transactions: Option<usize>, merged: usize) {
        self.key = key(id);
        self.outcome = Some(Outcome::Accepted(Colour::Unmerged));
        self.found = found;
        self.merged = small(merged);
        self.transactions = transactions.map(small);
    }

    /// Makes this the entry of a block that was refused.
    pub fn refuse(&mut self, rule: u8, found: bool) {
        self.outcome = Some(Outcome::Refused(rule));
        self.found = found;
    }

    /// Notes how long the rules took.
    pub fn place(&mut self, took: Duration) {
        self.placement_us = micros(took);
    }

    /// Notes a request for a template.
    pub fn serve(&mut self, hit: bool) {
        self.requests = self.requests.saturating_add(1);
        self.hits = self.hits.saturating_add(u16::from(hit));
    }

    /// Notes a template that was made.
    pub fn build(&mut self, took: Duration) {
        self.built = self.built.saturating_add(1);
        self.template_us = self.template_us.saturating_add(micros(took));
        self.template_us_max = self.template_us_max.max(micros(took));
    }

    /// Notes a choice of transactions.
    pub fn choose(&mut self, took: Duration) {
        self.selections = self.selections.saturating_add(1);
        self.selection_us = self.selection_us.saturating_add(micros(took));
    }

    /// Returns the longest that a template took.
    pub fn template_us_max(&self) -> u32 {
        self.template_us_max
    }

    /// Returns how long the rules took.
    pub fn placement_us(&self) -> u32 {
        self.placement_us
    }

    /// Returns how long choosing transactions took, all choices together.
    pub fn selection_us(&self) -> u32 {
        self.selection_us
    }
}

impl Sums {
    /// Returns how many blocks were accepted.
    pub fn accepted(&self) -> u64 {
        self.selected + self.blue + self.red + self.unmerged
    }

    /// Counts an entry in.
    pub fn add(&mut self, entry: &Entry) {
        self.each(entry, |sum, value| *sum += value);
    }

    /// Counts an entry out that was counted in.
    fn subtract(&mut self, entry: &Entry) {
        self.each(entry, |sum, value| *sum -= value);
    }

    fn each(&mut self, entry: &Entry, change: impl Fn(&mut u64, u64)) {
        match entry.outcome {
            Some(Outcome::Accepted(colour)) => change(self.of(colour), 1),
            Some(Outcome::Refused(_)) => change(&mut self.refused, 1),
            None => {}
        }
        change(&mut self.found, entry.found.into());
        change(&mut self.merged, entry.merged.into());
        change(&mut self.transactions, entry.transactions.unwrap_or_default().into());
        change(&mut self.bodies, entry.transactions.is_some().into());
        change(&mut self.requests, entry.requests.into());
        change(&mut self.hits, entry.hits.into());
        change(&mut self.built, entry.built.into());
        change(&mut self.selections, entry.selections.into());
        change(&mut self.placement_us, entry.placement_us.into());
        change(&mut self.template_us, entry.template_us.into());
        change(&mut self.selection_us, entry.selection_us.into());
    }

    fn of(&mut self, colour: Colour) -> &mut u64 {
        match colour {
            Colour::Selected => &mut self.selected,
            Colour::Blue => &mut self.blue,
            Colour::Red => &mut self.red,
            Colour::Unmerged => &mut self.unmerged,
        }
    }
}

impl Ring {
    /// Keeps at most `capacity` entries, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), capacity: capacity.max(1), sums: Sums::default() }
    }

    /// Adds the newest entry, and returns the one that has to go for it.
    pub fn push(&mut self, entry: Entry) -> Option<Entry> {
        let gone = if self.entries.len() == self.capacity { self.pop() } else { None };
        if self.entries.len() == self.entries.capacity() {
            // By a quarter: doubling would leave half of the memory unused.
            let more = (self.entries.len() / 4 + 16).min(self.capacity - self.entries.len());
            self.entries.reserve_exact(more);
        }
        self.sums.add(&entry);
        self.entries.push_back(entry);
        gone
    }

    /// Takes up another capacity, and returns what has to go.
    pub fn resize(&mut self, capacity: usize) -> Vec<Entry> {
        self.capacity = capacity.max(1);
        let over = self.entries.len().saturating_sub(self.capacity);
        let gone = (0..over).filter_map(|_| self.pop()).collect();
        self.entries.shrink_to(self.capacity);
        gone
    }

    /// Gives a block its colour, where it is among the newest.
    pub fn paint(&mut self, id: BlockId, colour: Colour) {
        let key = key(id);
        let newest = self.entries.iter_mut().rev().take(SEARCHED_MAX);
        let mut accepted = newest.filter(|entry| entry.key == key);
        let found = accepted.find_map(|entry| match &mut entry.outcome {
            Some(Outcome::Accepted(colour)) => Some(colour),
            _ => None,
        });
        if let Some(before) = found {
            *self.sums.of(*before) -= 1;
            *self.sums.of(colour) += 1;
            *before = colour;
        }
    }

    /// Returns the entries, oldest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Returns the sums over the entries.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Returns how many entries are kept at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the memory of the entries.
    pub fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    fn pop(&mut self) -> Option<Entry> {
        let gone = self.entries.pop_front()?;
        self.sums.subtract(&gone);
        Some(gone)
    }
}

impl Refusals {
    /// Counts a refusal and returns its rule's number.
    pub fn number(&mut self, rule: &str) -> u8 {
        let name: String = rule.chars().take(RULE_BYTES_MAX / 4).collect();
        let name = if rule.len() <= RULE_BYTES_MAX { rule } else { &name };
        let known = self.rules.iter().position(|(known, _)| **known == *name);
        let number = known.or_else(|| self.room_for(name)).unwrap_or_default();
        self.rules[number].1 += 1;
        u8::try_from(number).expect("there are at most 32 rules")
    }

    /// Counts an entry out.
    pub fn forget(&mut self, entry: &Entry) {
        if let Some(Outcome::Refused(rule)) = entry.outcome {
            self.rules[usize::from(rule)].1 -= 1;
        }
    }

    /// Returns how often each rule was broken.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.rules.iter().filter(|(_, count)| *count > 0).map(|(rule, count)| (rule.to_string(), *count)).collect()
    }

    /// Returns the memory of the names.
    pub fn bytes(&self) -> usize {
        let names: usize = self.rules.iter().map(|(rule, _)| rule.len()).sum();
        self.rules.capacity() * size_of::<(Box<str>, u64)>() + names
    }

    /// Makes room for a rule: a new place, or that of a rule which none of the newest blocks breaks. The first is [`OTHER`]'s.
    fn room_for(&mut self, rule: &str) -> Option<usize> {
        if self.rules.is_empty() {
            self.rules.reserve_exact(RULES_MAX);
            self.rules.push((OTHER.into(), 0));
        }
        if self.rules.len() < RULES_MAX {
            self.rules.push((rule.into(), 0));
            return Some(self.rules.len() - 1);
        }
        let free = (1..RULES_MAX).find(|number| self.rules[*number].1 == 0)?;
        self.rules[free].0 = rule.into();
        Some(free)
    }
}

/// Takes bytes from the middle: ids have zeros at one end.
fn key(id: BlockId) -> u64 {
    let (middle, _) = id.0[12..].split_first_chunk().expect("an id has 32 bytes");
    u64::from_le_bytes(*middle)
}

fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

fn small(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rules_than_are_told_apart_are_counted_together() {
        let mut refusals = Refusals::default();
        for number in 0..100 {
            refusals.number(&format!("rule-{number}"));
        }
        let counts = refusals.counts();
        assert_eq!((counts.len(), counts[OTHER]), (RULES_MAX, 69));
    }

    #[test]
    fn an_endless_name_of_a_rule_is_cut() {
        let mut refusals = Refusals::default();
        refusals.number(&"ж".repeat(10_000));
        assert!(refusals.bytes() < RULES_MAX * size_of::<(Box<str>, u64)>() + 2 * RULE_BYTES_MAX);
    }

    #[test]
    fn the_sums_of_a_ring_are_those_of_its_entries() {
        let mut ring = Ring::new(3);
        for number in 0..10_u8 {
            let mut entry = Entry::default();
            entry.accept(BlockId([number; 32]), number % 2 == 0, Some(number.into()), 1);
            entry.place(Duration::from_micros(number.into()));
            entry.serve(true);
            ring.push(entry);
            ring.paint(BlockId([number; 32]), Colour::Blue);
        }
        let mut want = Sums::default();
        ring.entries().for_each(|entry| want.add(entry));
        assert_eq!(*ring.sums(), want);
        assert_eq!((want.blue, want.transactions, want.placement_us, want.found), (3, 24, 24, 1));
    }

    #[test]
    fn a_block_that_is_not_among_the_newest_gets_no_colour() {
        let mut ring = Ring::new(3);
        let mut refused = Entry::default();
        refused.refuse(0, true);
        ring.push(refused);
        ring.paint(BlockId([0; 32]), Colour::Red);
        assert_eq!(ring.sums().red, 0);
    }
}
