//! What is kept of one address.

use super::super::backoff::Backoff;
use super::super::place::Place;
use super::table::Bucket;
use crate::id::{Moment, NodeId};
use std::net::IpAddr;
use std::time::Duration;

/// Failures in a row after which an address at which nobody was ever met is hopeless.
const FAILURES_UNMET_MAX: u32 = 3;
/// Failures in a row after which an address at which nobody was met for [`MET_AGE_MAX`] is hopeless.
const FAILURES_MAX: u32 = 10;
const MET_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// An address that was called so lately is not given up before it is known how that ended.
const CALL_TIME: Duration = Duration::from_secs(60);

/// Waits between calls of one address.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(20), max: Duration::from_secs(3600) };
/// The same for what an operator named: never given up.
const BACKOFF_NAMED: Backoff = Backoff { first: Duration::from_secs(2), max: Duration::from_secs(60) };

/// Seconds since the process began, negative before it. In the book's file it is the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub(super) i64);

/// Who told an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An operator: a bootstrap node.
    Named,
    /// It was heard in the local network.
    Lan,
    /// The distributed table, where anybody may write.
    Table,
    /// A peer whose machine is `teller`: `None` where that is not known.
    Exchange { teller: Option<IpAddr> },
    /// The node itself, which called from `from` and says that it listens there.
    Inbound { from: IpAddr },
}

/// Which part of the book an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Named,
    In(Bucket),
}

/// An address and its past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub place: Place,
    /// Who told it first.
    pub source: Source,
    /// When somebody was connected with it, as far as anybody says.
    pub heard: Stamp,
    /// When it was called last.
    pub tried: Option<Stamp>,
    /// When this node was connected with it last, or a node came from there.
    pub met: Option<Stamp>,
    /// Calls that failed since then.
    pub failures: u32,
    /// Who answered there last.
    pub node: Option<NodeId>,
    /// The shortest round trip of the last session.
    pub latency: Option<Duration>,
    /// Until when it is avoided, since it is of another chain.
    pub foreign_until: Option<Stamp>,
    pub banned_until: Option<Stamp>,
    /// When it may be called again.
    pub(super) due: Stamp,
    pub(super) standing: Standing,
}

impl Stamp {
    /// Returns the second of a moment.
    pub fn at(moment: Moment) -> Self {
        Self(i64::try_from(moment.to_millis() / 1000).unwrap_or(i64::MAX))
    }

    /// Returns how long ago it was, whole seconds.
    pub fn age(self, now: Moment) -> Duration {
        Duration::from_secs(u64::try_from(Self::at(now).0.saturating_sub(self.0)).unwrap_or(0))
    }

    pub(super) fn before(self, age: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(age.as_secs()))
    }

    pub(super) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(time.as_secs()))
    }
}

impl Entry {
    pub(super) fn new(place: Place, source: Source, heard: Stamp) -> Self {
        Self {
            place,
            source,
            heard,
            tried: None,
            met: None,
            failures: 0,
            node: None,
            latency: None,
            foreign_until: None,
            banned_until: None,
            due: Stamp(i64::MIN),
            standing: Standing::Named,
        }
    }

    /// Tells whether an operator named it: it is never given up.
    pub fn is_named(&self) -> bool {
        self.standing == Standing::Named
    }

    /// Tells whether it is in the table of addresses that answered.
    pub fn is_tried(&self) -> bool {
        matches!(self.standing, Standing::In(bucket) if bucket.is_met())
    }

    /// Tells whether nobody is to be called there: banned, or of another chain.
    pub(super) fn is_avoided(&self, now: Stamp) -> bool {
        [self.foreign_until, self.banned_until].into_iter().flatten().any(|until| until > now)
    }

    /// Tells whether the address may give its place to another.
    pub(super) fn is_hopeless(&self, now: Stamp) -> bool {
        let since = |stamp: Stamp| now.0.saturating_sub(stamp.0);
        let longer = |stamp: Stamp, time: Duration| since(stamp) > i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        if self.is_named() || self.tried.is_some_and(|tried| !longer(tried, CALL_TIME)) {
            return false;
        }
        match self.met {
            None => self.failures >= FAILURES_UNMET_MAX || longer(self.heard, super::AGE_MAX),
            Some(met) => longer(met, super::AGE_MAX) || self.failures >= FAILURES_MAX && longer(met, MET_AGE_MAX),
        }
    }

    /// Returns until when it is left alone after a call that failed now.
    pub(super) fn rests_until(&self, now: Stamp, random: u64) -> Stamp {
        let backoff = if self.is_named() { BACKOFF_NAMED } else { BACKOFF };
        now.after(backoff.wait(self.failures, random))
    }

    /// Tells whether it may be called: nobody is avoided there, and it was left alone for long enough.
    pub fn may_be_called(&self, now: Moment) -> bool {
        let now = Stamp::at(now);
        self.due <= now && !self.is_avoided(now)
    }

    /// Tells whether it is of use at all, now or later.
    pub fn has_hope(&self, now: Moment) -> bool {
        let now = Stamp::at(now);
        !self.is_avoided(now) && (self.is_named() || !self.is_hopeless(now))
    }
}
