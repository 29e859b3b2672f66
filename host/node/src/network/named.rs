//! What became of the addresses that the operator named: whoever names a wrong one is told.

use super::address::told;
use adit_network::{Address as Told, Moment, SessionId};
use adit_transport::{Address, Unreached};
use std::time::Duration;

/// Between two lines of the log that say the same of an address.
const SAME_INTERVAL: Duration = Duration::from_secs(3600);

/// Between two lines of the log about an address.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A named address as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedView {
    pub address: String,
    /// Whether there is a session with the node there.
    pub connected: bool,
    /// Why no session came of the last call.
    pub failure: Option<String>,
}

/// The named addresses, in the operator's order.
pub struct Named(Vec<Entry>);

struct Entry {
    /// As others are told it and sessions have it.
    told: Told,
    view: NamedView,
    /// The session that a call of this address brought.
    session: Option<SessionId>,
    /// What the log said last, and when.
    logged: Option<(Moment, String)>,
}

impl Named {
    pub fn new(addresses: &[Address]) -> Self {
        let entry = |address: &Address| Entry {
            told: told(&address.without_node()),
            view: NamedView { address: address.to_string(), connected: false, failure: None },
            session: None,
            logged: None,
        };
        Self(addresses.iter().map(entry).collect())
    }

    /// Returns what is known of each.
    pub fn views(&self) -> Vec<NamedView> {
        self.0.iter().map(|entry| entry.view.clone()).collect()
    }

    /// Takes in that a node of this chain answered at an address that was called.
    pub fn reached(&mut self, address: &Told, session: SessionId) {
        for entry in self.0.iter_mut().filter(|entry| entry.told == *address) {
            (entry.session, entry.view.connected, entry.view.failure) = (Some(session), true, None);
            // What comes after is news, even if it was so before.
            entry.logged.iter_mut().for_each(|(_, reason)| reason.clear());
        }
    }

    /// Takes in why no session came of a call.
    pub fn not_reached(&mut self, now: Moment, address: &Told, reason: &Unreached) {
        if *reason == Unreached::Twice {
            let entries = self.0.iter_mut().filter(|entry| entry.told == *address);
            return entries.for_each(|entry| (entry.view.connected, entry.view.failure) = (true, None));
        }
        self.failed(now, address, &reason.to_string());
    }

    /// Takes in what was wrong with an address. The log says it, though not each time. Tells whether it did.
    pub fn failed(&mut self, now: Moment, address: &Told, reason: &str) -> bool {
        let mut said = false;
        for entry in self.0.iter_mut().filter(|entry| entry.told == *address && entry.session.is_none()) {
            (entry.view.connected, entry.view.failure) = (false, Some(reason.to_owned()));
            let rest = |logged: &str| if logged == reason { SAME_INTERVAL } else { LOG_INTERVAL };
            if entry.logged.as_ref().is_none_or(|(at, logged)| now.since(*at) >= rest(logged)) {
                entry.logged = Some((now, reason.to_owned()));
                tracing::warn!(
                    address = entry.view.address,
                    reason,
                    "no session comes of an address of network.bootstrap"
                );
                said = true;
            }
        }
        said
    }

    /// Takes in that a session has ended. Tells whether it was one with a named address.
    pub fn closed(&mut self, session: SessionId) -> bool {
        let mut entries = self.0.iter_mut().filter(|entry| entry.session == Some(session)).peekable();
        let any = entries.peek().is_some();
        entries.for_each(|entry| (entry.session, entry.view.connected) = (None, false));
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> (Named, Told) {
        let address: Address = "203.0.113.7:8647".parse().unwrap();
        (Named::new(std::slice::from_ref(&address)), told(&address))
    }

    fn view(named: &Named) -> (bool, Option<String>) {
        let view = named.views().remove(0);
        (view.connected, view.failure)
    }

    #[test]
    fn a_failure_is_said_once_an_hour_and_another_one_a_minute_later() {
        let (mut named, address) = named();
        let mut said = |second: u64, reason| named.failed(Moment::from_millis(second * 1000), &address, reason);
        let all = [(0, "a"), (30, "a"), (59, "b"), (60, "b"), (90, "a"), (120, "a"), (3719, "a"), (3720, "a")];
        let heard: Vec<u64> = all.iter().filter(|(second, reason)| said(*second, reason)).map(|(at, _)| *at).collect();
        assert_eq!(heard, [0, 60, 120, 3720]);
        assert!(!named.failed(Moment::default(), &Told::default(), "of an address that nobody named"));
    }

    #[test]
    fn what_became_of_an_address_is_shown() {
        let (mut named, address) = named();
        assert_eq!(view(&named), (false, None));
        named.not_reached(Moment::default(), &address, &Unreached::Itself);
        assert_eq!(view(&named), (false, Some("it is this node itself".to_owned())));
        named.reached(&address, SessionId(1));
        assert_eq!(view(&named), (true, None));
        assert!(!named.failed(Moment::default(), &address, "another call"), "there is a session");
        assert!(named.closed(SessionId(1)) && !named.closed(SessionId(2)));
        assert_eq!(view(&named), (false, None));
        named.not_reached(Moment::default(), &address, &Unreached::Twice);
        assert_eq!(view(&named), (true, None));
    }

    #[test]
    fn a_node_that_was_there_is_said_to_be_gone_again() {
        let (mut named, address) = named();
        assert!(named.failed(Moment::default(), &address, "refused"));
        named.reached(&address, SessionId(1));
        named.closed(SessionId(1));
        assert!(named.failed(Moment::from_millis(60_000), &address, "refused"));
    }
}
