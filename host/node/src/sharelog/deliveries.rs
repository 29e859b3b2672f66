//! What is owed to the network: an answer for each item that it brought. And what each peer may have this node do.

use adit_network::shares::BatchId;
use adit_network::{Acceptance, Event, Moment, NodeId, Ticket};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a batch that cannot be judged keeps its sender waiting.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Peers that are counted at once.
const PEERS_MAX: usize = 1_024;

/// Open deliveries, and the batches that they wait for.
#[derive(Default)]
pub struct Deliveries {
    open: BTreeMap<Ticket, Delivery>,
    waiting: BTreeMap<BatchId, Vec<Waiting>>,
}

struct Delivery {
    answers: Vec<Acceptance>,
    left: usize,
}

/// An item whose batch is being judged.
struct Waiting {
    ticket: Ticket,
    place: usize,
    from: NodeId,
    since: Moment,
}

impl Deliveries {
    /// Begins a delivery of so many items.
    pub fn begin(&mut self, ticket: Ticket, items: usize) {
        self.open.insert(ticket, Delivery { answers: vec![Acceptance::Ignore; items], left: items });
    }

    /// Answers for one item. Returns what to tell the network once all are answered.
    pub fn answer(&mut self, ticket: Ticket, place: usize, acceptance: Acceptance) -> Option<Event> {
        let delivery = self.open.get_mut(&ticket)?;
        *delivery.answers.get_mut(place)? = acceptance;
        delivery.left -= 1;
        if delivery.left > 0 {
            return None;
        }
        let Delivery { answers, .. } = self.open.remove(&ticket)?;
        Some(Event::ItemsJudged { ticket, answers })
    }

    /// Notes that an item is answered for when its batch is judged.
    pub fn wait(&mut self, now: Moment, batch: BatchId, ticket: Ticket, place: usize, from: NodeId) {
        self.waiting.entry(batch).or_default().push(Waiting { ticket, place, from, since: now });
    }

    /// Returns who brought a batch that is being judged: the first, where several did.
    pub fn bringer(&self, batch: BatchId) -> Option<NodeId> {
        self.waiting.get(&batch)?.first().map(|item| item.from)
    }

    /// Answers for all items that are a batch, each by who sent it.
    pub fn judged(&mut self, batch: BatchId, acceptance: impl Fn(NodeId) -> Acceptance) -> Vec<Event> {
        let waiting = self.waiting.remove(&batch).unwrap_or_default();
        waiting.into_iter().filter_map(|item| self.answer(item.ticket, item.place, acceptance(item.from))).collect()
    }

    /// Gives up on batches that could not be judged for long.
    pub fn expire(&mut self, now: Moment) -> Vec<Event> {
        let old = |items: &Vec<Waiting>| items.iter().any(|item| now.since(item.since) >= WAIT_MAX);
        let late: Vec<BatchId> = self.waiting.iter().filter(|(_, items)| old(items)).map(|(id, _)| *id).collect();
        late.into_iter().flat_map(|batch| self.judged(batch, |_| Acceptance::Ignore)).collect()
    }
}

/// What one kind of work a peer may cause: a sum that is given back with time.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub units_per_second: u64,
    pub burst: u64,
}

/// What each peer has caused of it lately.
pub struct Allowances {
    rate: Rate,
    /// In thousandths of a unit, with the moment at which that was so.
    spent: BTreeMap<NodeId, (u64, Moment)>,
}

impl Allowances {
    pub const fn new(rate: Rate) -> Self {
        Self { rate, spent: BTreeMap::new() }
    }

    /// Tells whether a peer may cause more.
    pub fn has_left(&mut self, now: Moment, node: NodeId) -> bool {
        self.settle(now, node) < self.rate.burst.saturating_mul(1_000)
    }

    /// Notes what a peer caused. It may be more than was left: then nothing is left until that is given back.
    pub fn charge(&mut self, now: Moment, node: NodeId, units: u64) {
        let spent = self.settle(now, node).saturating_add(units.saturating_mul(1_000));
        if self.spent.len() >= PEERS_MAX && !self.spent.contains_key(&node) {
            let rate = self.rate;
            self.spent.retain(|_, (spent, at)| Self::left(rate, now, *spent, *at) > 0);
        }
        self.spent.insert(node, (spent, now));
    }

    fn settle(&self, now: Moment, node: NodeId) -> u64 {
        self.spent.get(&node).map_or(0, |(spent, at)| Self::left(self.rate, now, *spent, *at))
    }

    /// Returns what of a sum is not given back yet.
    fn left(rate: Rate, now: Moment, spent: u64, at: Moment) -> u64 {
        let millis = now.to_millis().saturating_sub(at.to_millis());
        spent.saturating_sub(millis.saturating_mul(rate.units_per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);
    const OTHER: NodeId = NodeId([2; 32]);

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn a_delivery_is_answered_once_all_its_items_are() {
        let mut deliveries = Deliveries::default();
        let (batch, other) = (BatchId([1; 32]), BatchId([2; 32]));
        deliveries.begin(Ticket(7), 3);
        deliveries.wait(at(0), batch, Ticket(7), 0, NODE);
        deliveries.wait(at(0), other, Ticket(7), 2, OTHER);
        assert!(deliveries.answer(Ticket(7), 1, Acceptance::Accept).is_none());
        assert!(
            deliveries
                .judged(batch, |from| if from == NODE { Acceptance::Reject } else { Acceptance::Ignore })
                .is_empty()
        );
        let told = deliveries.judged(other, |_| Acceptance::Accept);
        let [Event::ItemsJudged { ticket, answers }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(
            (*ticket, &answers[..]),
            (Ticket(7), &[Acceptance::Reject, Acceptance::Accept, Acceptance::Accept][..])
        );
        assert!(deliveries.open.is_empty() && deliveries.waiting.is_empty());
    }

    #[test]
    fn what_cannot_be_judged_is_let_go_after_a_while() {
        let mut deliveries = Deliveries::default();
        deliveries.begin(Ticket(1), 1);
        deliveries.wait(at(0), BatchId([1; 32]), Ticket(1), 0, NODE);
        assert!(deliveries.expire(at(9_999)).is_empty());
        let told = deliveries.expire(at(10_000));
        assert!(matches!(&told[..], [Event::ItemsJudged { answers, .. }] if answers[..] == [Acceptance::Ignore]));
    }

    #[test]
    fn who_caused_more_than_it_may_waits_and_others_do_not() {
        let mut allowances = Allowances::new(Rate { units_per_second: 10, burst: 100 });
        assert!(allowances.has_left(at(0), NODE));
        allowances.charge(at(0), NODE, 150);
        assert!(!allowances.has_left(at(0), NODE) && allowances.has_left(at(0), OTHER));
        assert!(!allowances.has_left(at(5_000), NODE));
        assert!(allowances.has_left(at(5_001), NODE));
    }
}
