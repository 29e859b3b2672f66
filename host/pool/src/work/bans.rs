//! Bans: whoever sends too many invalid shares is turned away for a while, by address of origin and by name.
//!
//! Names are free to choose. So an address is banned whatever names it used, and a banned name is still served from an address in good
//! standing: who sends nonsense under another's name does not stop that one's work. Bans are lifted by time, or by the operator; those in
//! force are values that the pool's books keep over a restart.

use crate::work::limits::network_of;
use adit_primitives::Timestamp;
use adit_primitives::accounts::{Ban, Banned};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// When somebody is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BanRules {
    /// Percent of invalid shares above which one is banned.
    pub invalid_percent_max: u8,
    /// Shares before that is asked.
    pub shares_min: u64,
    /// Shares of the last one to two of such spans are counted, in milliseconds.
    pub window_ms: u64,
    /// How long a ban lasts, in milliseconds.
    pub ban_ms: u64,
    /// Senders counted, and bans in force, at once. Beyond them the one silent for longest is forgotten, and the ban that ends first is lifted.
    pub known_max: usize,
}

/// Who is banned, and who is on the way there.
#[derive(Debug)]
pub struct Bans {
    rules: BanRules,
    bans: BTreeMap<Banned, Ban>,
    counts: BTreeMap<Banned, Counts>,
    /// By when they were last counted: who is forgotten first.
    by_age: BTreeSet<(Timestamp, Banned)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    last: Timestamp,
    /// The number of the span that is counted: the time divided by its length.
    span: u64,
    now: Tally,
    before: Tally,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    shares: u64,
    invalid: u64,
}

impl Bans {
    /// Goes on with the bans that were kept. Those that are over are dropped.
    pub fn new(rules: BanRules, kept: Vec<Ban>, now: Timestamp) -> Self {
        let mut bans = Self { rules, bans: BTreeMap::new(), counts: BTreeMap::new(), by_age: BTreeSet::new() };
        kept.into_iter().filter(|ban| ban.until > now).for_each(|ban| bans.put(ban));
        bans
    }

    /// Counts shares of a sender under a name, `invalid` of them invalid; returns the bans that follow, to be kept.
    pub fn note(&mut self, origin: IpAddr, user: &str, shares: u64, invalid: u64, now: Timestamp) -> Vec<Ban> {
        let senders = [Banned::Origin(network_of(origin)), Banned::User(user.to_owned())];
        senders.into_iter().filter_map(|who| self.count(who, Tally { shares, invalid }, now)).collect()
    }

    /// Returns the ban that keeps a sender out under that name.
    pub fn find(&self, origin: IpAddr, user: &str, now: Timestamp) -> Option<&Ban> {
        self.find_origin(origin, now).or_else(|| {
            let named = self.in_force(&Banned::User(user.to_owned()), now)?;
            (!self.in_good_standing(origin, now)).then_some(named)
        })
    }

    /// Returns the ban that keeps a sender out whatever its name: asked before it may say one.
    pub fn find_origin(&self, origin: IpAddr, now: Timestamp) -> Option<&Ban> {
        self.in_force(&Banned::Origin(network_of(origin)), now)
    }

    /// Puts a ban in force, whoever made it.
    pub fn put(&mut self, ban: Ban) {
        self.bans.insert(ban.who.clone(), ban);
        if self.bans.len() > self.rules.known_max.max(1)
            && let Some(who) = self.bans.values().min_by_key(|ban| ban.until).map(|ban| ban.who.clone())
        {
            self.bans.remove(&who);
        }
    }

    /// Lifts a ban before its time. Whose it was begins anew: none of the shares that were counted counts any more.
    pub fn lift(&mut self, who: &Banned) -> Option<Ban> {
        let ban = self.bans.remove(who)?;
        if let Some(counts) = self.counts.remove(who) {
            self.by_age.remove(&(counts.last, who.clone()));
        }
        Some(ban)
    }

    /// Puts a ban in force again that was lifted, unless there is another by now.
    pub fn put_back(&mut self, ban: Ban) {
        if !self.bans.contains_key(&ban.who) {
            self.put(ban);
        }
    }

    /// Lifts the bans that are over and returns them. To be called now and then.
    pub fn lift_expired(&mut self, now: Timestamp) -> Vec<Ban> {
        let (over, left) = std::mem::take(&mut self.bans).into_iter().partition(|(_, ban)| ban.until <= now);
        self.bans = left;
        BTreeMap::into_values(over).collect()
    }

    /// Returns the bans in force.
    pub fn list(&self, now: Timestamp) -> impl Iterator<Item = &Ban> {
        self.bans.values().filter(move |ban| ban.until > now)
    }

    fn in_force(&self, who: &Banned, now: Timestamp) -> Option<&Ban> {
        self.bans.get(who).filter(|ban| ban.until > now)
    }

    fn in_good_standing(&self, origin: IpAddr, now: Timestamp) -> bool {
        let counts = self.counts.get(&Banned::Origin(network_of(origin))).copied().unwrap_or_default();
        let tally = counts.at(now, self.rules.window_ms).tally();
        tally.shares >= self.rules.shares_min && !tally.exceeds(self.rules.invalid_percent_max)
    }

    fn count(&mut self, who: Banned, more: Tally, now: Timestamp) -> Option<Ban> {
        let old = self.counts.get(&who).copied();
        if let Some(old) = old {
            self.by_age.remove(&(old.last, who.clone()));
        } else if self.counts.len() >= self.rules.known_max.max(1)
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.counts.remove(&oldest);
        }
        let mut counts = old.unwrap_or_default().at(now, self.rules.window_ms);
        counts.now = counts.now.plus(more);
        let tally = counts.tally();
        let banned = tally.shares >= self.rules.shares_min && tally.exceeds(self.rules.invalid_percent_max);
        // Who comes back after a ban begins anew.
        let counts = if banned { Counts { now: Tally::default(), before: Tally::default(), ..counts } } else { counts };
        self.by_age.insert((counts.last, who.clone()));
        self.counts.insert(who.clone(), counts);
        banned.then(|| {
            let until = Timestamp::from_millis(now.to_millis().saturating_add(self.rules.ban_ms));
            let reason = format!("{} of {} shares were invalid", tally.invalid, tally.shares);
            let ban = Ban { who, until, reason };
            self.put(ban.clone());
            ban
        })
    }
}

impl Counts {
    /// Returns the counts as they stand at a time: those of older spans are dropped.
    fn at(self, now: Timestamp, window_ms: u64) -> Self {
        let last = self.last.max(now);
        let span = last.to_millis() / window_ms.max(1);
        match span - self.span {
            0 => Self { last, ..self },
            1 => Self { last, span, now: Tally::default(), before: self.now },
            _ => Self { last, span, now: Tally::default(), before: Tally::default() },
        }
    }

    fn tally(self) -> Tally {
        self.now.plus(self.before)
    }
}

impl Tally {
    fn plus(self, more: Self) -> Self {
        Self { shares: self.shares.saturating_add(more.shares), invalid: self.invalid.saturating_add(more.invalid) }
    }

    fn exceeds(self, percent: u8) -> bool {
        u128::from(self.invalid) * 100 > u128::from(self.shares) * u128::from(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BanRules =
        BanRules { invalid_percent_max: 10, shares_min: 100, window_ms: 600_000, ban_ms: 3_600_000, known_max: 4 };
    const START: u64 = 1_000_000_000;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(START + ms)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn bans() -> Bans {
        Bans::new(RULES, Vec::new(), at(0))
    }

    #[test]
    fn more_than_a_tenth_of_a_hundred_is_banned_for_an_hour() {
        let mut bans = bans();
        assert_eq!(bans.note(address(1), "a.x", 99, 99, at(0)), [], "too few to tell");
        let made = bans.note(address(1), "a.x", 1, 0, at(1));
        let who: Vec<_> = made.iter().map(|ban| ban.who.clone()).collect();
        assert_eq!(who, [Banned::Origin(address(1)), Banned::User("a.x".to_owned())]);
        assert_eq!(made[0].reason, "99 of 100 shares were invalid");
        assert!(bans.find(address(1), "b", at(2)).is_some(), "another name does not help");
        assert!(bans.find(address(2), "a.x", at(2)).is_some(), "another address does not help");
        assert!(bans.find(address(2), "b", at(2)).is_none());
        assert!(bans.find(address(1), "a.x", at(3_600_000)).is_some());
        assert!(bans.find(address(1), "a.x", at(3_600_001)).is_none(), "lifted by time");
        assert_eq!(bans.lift_expired(at(3_600_001)).len(), 2);
    }

    #[test]
    fn a_tenth_is_not_more_than_a_tenth() {
        assert_eq!(bans().note(address(1), "a", 1000, 100, at(0)), []);
        assert_eq!(bans().note(address(1), "a", 1000, 101, at(0)).len(), 2);
    }

    #[test]
    fn shares_of_long_ago_do_not_count() {
        let mut bans = bans();
        bans.note(address(1), "a", 99, 99, at(0));
        assert_eq!(bans.note(address(1), "a", 1, 1, at(2 * RULES.window_ms)), []);
    }

    #[test]
    fn bans_survive_a_restart() {
        let mut before = bans();
        let made = before.note(address(1), "a", 100, 100, at(0));
        let after = Bans::new(RULES, made.clone(), at(1000));
        assert_eq!(after.find(address(1), "b", at(1000)), Some(&made[0]));
        let late = Bans::new(RULES, made, at(RULES.ban_ms));
        assert_eq!(late.list(at(RULES.ban_ms)).count(), 0);
    }

    #[test]
    fn who_is_lifted_begins_anew() {
        let mut bans = bans();
        let made = bans.note(address(1), "a", 100, 100, at(0));
        // What was on its way when the ban came.
        assert_eq!(bans.note(address(1), "a", 99, 99, at(1)), []);
        for ban in &made {
            assert_eq!(bans.lift(&ban.who), Some(ban.clone()));
        }
        assert_eq!(bans.lift(&made[0].who), None, "nothing is left to lift");
        assert!(bans.find(address(1), "a", at(2)).is_none());
        assert!(bans.counts.is_empty() && bans.by_age.is_empty());
        assert_eq!(bans.note(address(1), "a", 99, 99, at(2)), [], "the shares before count no more");
        assert_eq!(bans.note(address(1), "a", 1, 1, at(3)).len(), 2);
    }

    #[test]
    fn a_ban_that_is_put_back_replaces_none() {
        let mut bans = bans();
        let first = bans.note(address(1), "a", 100, 100, at(0)).remove(0);
        bans.lift(&first.who);
        let second = bans.note(address(1), "b", 100, 100, at(5)).remove(0);
        bans.put_back(first.clone());
        assert_eq!(bans.find_origin(address(1), at(6)), Some(&second));
        bans.lift(&first.who);
        bans.put_back(first.clone());
        assert_eq!(bans.find_origin(address(1), at(6)), Some(&first));
    }

    #[test]
    fn nonsense_under_anothers_name_does_not_stop_an_honest_miner() {
        let mut bans = bans();
        bans.note(address(1), "honest", 500, 3, at(0));
        let made = bans.note(address(2), "honest", 1000, 1000, at(1));
        assert_eq!(made.len(), 2);
        assert!(bans.find(address(1), "honest", at(2)).is_none());
        assert!(bans.find(address(3), "honest", at(2)).is_some());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut bans = bans();
        for sender in 0..=255 {
            bans.note(address(sender), &format!("user {sender}"), 100, 100, at(sender.into()));
        }
        assert!(bans.counts.len() <= RULES.known_max && bans.by_age.len() == bans.counts.len());
        assert!(bans.list(at(255)).count() <= RULES.known_max);
        assert!(bans.find_origin(address(255), at(255)).is_some(), "the newest bans stay");
    }
}
