//! The payments beside a model of a chain that reorganises, of a mempool that forgets, of a wallet that knows neither, and of a pool that
//! is killed at any moment: also after a commit and before what it allows, and after an effect and before it is recorded.

use super::*;
use crate::money::audit::audit;
use crate::money::testing::NOW;
use adit_primitives::accounts::{MemoryAccounts, ShareSequence};
use proptest::prelude::*;
use proptest::sample::select;

const CONFIRMATIONS: u64 = 3;
const THRESHOLD: u64 = 100;
const FEE: u64 = 7;
const PAYEES: [&str; 3] = ["alice", "bob", "carol"];

fn settings(fee_bearer: FeeBearer) -> PaymentSettings {
    PaymentSettings {
        threshold: Amount::from_atoms(THRESHOLD),
        outputs_max: 2,
        confirmations: CONFIRMATIONS,
        fee_bearer,
        operator: None,
        foundation: None,
        unpayable: BTreeSet::new(),
    }
}

/// A transaction of the model. Its bytes are its place among all that were ever made.
#[derive(Debug, Clone)]
struct Transaction {
    coin: u64,
    outputs: Vec<PaymentOutput>,
}

/// A node: each coin can be spent once in its chain and its mempool.
#[derive(Debug, Default)]
struct Node {
    made: Vec<Transaction>,
    /// Blocks of transactions, by their places in `made`.
    chain: Vec<Vec<usize>>,
    mempool: Vec<usize>,
    /// What was ever sent: others may have it, whatever this node forgets.
    sent: Vec<usize>,
    /// How many blocks were ever so deep that no reorganisation takes them.
    settled: usize,
}

impl Node {
    fn make(&mut self, coin: u64, outputs: Vec<PaymentOutput>) -> usize {
        self.made.push(Transaction { coin, outputs });
        self.made.len() - 1
    }

    /// Returns the first coin that neither chain nor mempool spends: the wallet forgets what the mempool forgets.
    fn free_coin(&self) -> u64 {
        let taken = |coin| self.chain.iter().flatten().chain(&self.mempool).any(|at| self.made[*at].coin == coin);
        (0..).find(|coin| !taken(*coin)).unwrap()
    }

    fn spent_in_chain(&self, coin: u64) -> bool {
        self.chain.iter().flatten().any(|at| self.made[*at].coin == coin)
    }

    fn send(&mut self, at: usize) {
        self.sent.push(at);
        let coin = self.made[at].coin;
        let taken = self.spent_in_chain(coin) || self.mempool.iter().any(|other| self.made[*other].coin == coin);
        if !taken {
            self.mempool.push(at);
        }
    }

    fn mine(&mut self, block: Vec<usize>) {
        let coins: Vec<_> = block.iter().map(|at| self.made[*at].coin).collect();
        self.mempool.retain(|at| !coins.contains(&self.made[*at].coin));
        self.chain.push(block);
        let depth = usize::try_from(CONFIRMATIONS).unwrap();
        self.settled = self.settled.max((self.chain.len() + 1).saturating_sub(depth));
    }

    fn reorganise(&mut self, blocks: usize) {
        let keep = self.chain.len().saturating_sub(blocks).max(self.settled);
        let undone: Vec<_> = self.chain.drain(keep..).flatten().collect();
        let known: Vec<_> = undone.into_iter().filter(|at| self.sent.contains(at)).collect();
        known.into_iter().for_each(|at| self.send(at));
    }

    /// Returns the oldest transaction that was ever sent and can be mined.
    fn stray(&self) -> Option<usize> {
        self.sent.iter().copied().find(|at| !self.spent_in_chain(self.made[*at].coin))
    }

    fn look_up(&self, at: usize) -> Sighting {
        let depth = |height: usize| (self.chain.len() - height) as u64;
        let find =
            |wanted: &dyn Fn(usize) -> bool| self.chain.iter().position(|block| block.iter().any(|at| wanted(*at)));
        if let Some(height) = find(&|other| other == at) {
            return Sighting::Confirmed { confirmations: depth(height) };
        }
        if self.mempool.contains(&at) {
            return Sighting::Waiting;
        }
        match find(&|other| self.made[other].coin == self.made[at].coin) {
            Some(height) => Sighting::Conflicted { confirmations: depth(height) },
            None => Sighting::Unknown,
        }
    }

    fn received(&self, address: &str) -> u64 {
        let outputs = self.chain.iter().flatten().flat_map(|at| &self.made[*at].outputs);
        outputs.filter(|output| output.address == address).map(|output| output.amount.to_atoms()).sum()
    }
}

/// What the pool's process has in memory: a kill takes it.
#[derive(Debug)]
enum Hand {
    Empty,
    /// It was told what to do, and has not done it.
    Told(PaymentNumber, Step),
    /// It has done it, and has not recorded that.
    Made(PaymentNumber, usize),
    Sent(PaymentNumber),
    Seen(PaymentNumber, Sighting),
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// The process takes its next step: looks what there is to do, does it, or records what it did.
    Step,
    Plan,
    Kill,
    Earn(usize),
    /// A block with all of the mempool.
    Mine,
    /// A block without.
    MineEmpty,
    /// A block of somebody who remembers what this node forgot.
    MineStray,
    /// The mempool is lost.
    Forget,
    Reorganise(usize),
    /// Somebody with the pool's keys spends the coin of the newest transaction, in a block.
    Conflict,
}

struct World {
    books: MemoryAccounts,
    settings: PaymentSettings,
    node: Node,
    hand: Hand,
    turns: usize,
    earned: [u64; 3],
}

impl World {
    fn new(fee_bearer: FeeBearer) -> Self {
        let books = MemoryAccounts::default();
        for payee in PAYEES {
            books.account_of(payee, NOW).unwrap();
        }
        let (node, hand) = (Node::default(), Hand::Empty);
        Self { books, settings: settings(fee_bearer), node, hand, turns: 0, earned: [0; 3] }
    }

    /// The operator owes a payee more: the cause stands for whatever work that was.
    fn earn(&mut self, payee: usize) {
        let place = self.earned.iter().sum::<u64>();
        let (from, to) = (ShareSequence(place), ShareSequence(place + THRESHOLD + 1));
        let amount = Amount::from_atoms(to.0 - from.0);
        let account = self.books.account_of(PAYEES[payee], NOW).unwrap();
        let entries = [Entry::gives(Reserved::Operator.id(), amount), Entry::gets(account, amount)];
        let entries = entries.into_iter().map(Option::unwrap).collect();
        let posting = Posting::new(Cause::Settlement { from, to }, NOW, entries).unwrap();
        assert_eq!(self.books.commit(&[Change::Post(posting)]), Ok(Committed::Done));
        self.earned[payee] += amount.to_atoms();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step => self.step(),
            Event::Plan => {
                plan(&self.books, &self.settings, NOW).unwrap();
            }
            Event::Kill => self.hand = Hand::Empty,
            Event::Earn(payee) => self.earn(payee),
            Event::Mine => {
                let block = self.node.mempool.clone();
                self.node.mine(block);
            }
            Event::MineEmpty => self.node.mine(Vec::new()),
            Event::MineStray => {
                let block = self.node.stray().into_iter().collect();
                self.node.mine(block);
            }
            Event::Forget => self.node.mempool.clear(),
            Event::Reorganise(blocks) => self.node.reorganise(blocks),
            Event::Conflict => self.conflict(),
        }
    }

    fn conflict(&mut self) {
        let coin = self.node.made.last().map(|transaction| transaction.coin);
        if let Some(coin) = coin.filter(|coin| !self.node.spent_in_chain(*coin)) {
            let foreign = self.node.make(coin, Vec::new());
            self.node.mine(vec![foreign]);
        }
    }

    fn step(&mut self) {
        self.hand = match std::mem::replace(&mut self.hand, Hand::Empty) {
            Hand::Empty => self.begin(),
            Hand::Told(number, step) => self.act(number, step),
            Hand::Made(number, at) => {
                let id = TxId([u8::try_from(at).unwrap(); 32]);
                let made = SignedPayment { id, raw: at.to_be_bytes().to_vec(), fee: Amount::from_atoms(FEE) };
                Hand::Told(number, signed(&self.books, number, made, NOW).unwrap())
            }
            Hand::Sent(number) => {
                sent(&self.books, number).unwrap();
                Hand::Empty
            }
            Hand::Seen(number, sighting) => {
                Hand::Told(number, observed(&self.books, number, sighting, &self.settings, NOW).unwrap())
            }
        };
    }

    /// Looks after the open payments in turn, as a process does that was just started.
    fn begin(&mut self) -> Hand {
        let open = self.books.payments_open().unwrap();
        self.turns += 1;
        let Some(payment) = open.get(self.turns % open.len().max(1)) else { return Hand::Empty };
        Hand::Told(payment.number, next(payment))
    }

    fn act(&mut self, number: PaymentNumber, step: Step) -> Hand {
        let place = |id: TxId| usize::from(id.0[0]);
        match step {
            Step::Make { outputs } => {
                let coin = self.node.free_coin();
                Hand::Made(number, self.node.make(coin, outputs))
            }
            Step::LookUp { id } => Hand::Seen(number, self.node.look_up(place(id))),
            Step::Send { id, raw } => {
                assert_eq!(raw, place(id).to_be_bytes());
                self.node.send(place(id));
                Hand::Sent(number)
            }
            Step::Wait | Step::Done { .. } => Hand::Empty,
        }
    }

    /// Nobody ever has more in the chain than was earned, and the books add up.
    #[track_caller]
    fn check(&self) {
        for (payee, earned) in PAYEES.iter().zip(self.earned) {
            let received = self.node.received(payee);
            assert!(received <= earned, "{payee} earned {earned} and received {received}");
        }
        assert_eq!(audit(&self.books).unwrap().difference, None);
    }

    /// Lets the process run undisturbed, and checks that everybody has everything then.
    #[track_caller]
    fn settle(&mut self) {
        for _ in 0..40 {
            self.happen(Event::Plan);
            (0..30).for_each(|_| self.step());
            self.happen(Event::Mine);
        }
        self.check();
        assert_eq!(self.books.payments_open().unwrap(), []);
        for (payee, earned) in PAYEES.iter().zip(self.earned) {
            let paid = self.node.received(payee);
            let account = self.books.account_of(payee, NOW).unwrap();
            let owed = self.books.account(account).unwrap().unwrap().balance.total;
            assert_eq!(owed, 0, "{payee} earned {earned} and is owed still");
            let fees = self.fees_of(payee);
            assert_eq!(paid + fees, earned, "{payee} was paid {paid}");
        }
    }

    /// What was kept of a payee's confirmed outputs for the network's fees.
    fn fees_of(&self, payee: &str) -> u64 {
        let FeeBearer::Payees { each } = self.settings.fee_bearer else { return 0 };
        let payments = self.books.payments(0, 1_000).unwrap();
        let confirmed = payments.iter().filter(|payment| payment.state == PaymentState::Confirmed);
        let outputs = confirmed.flat_map(|payment| &payment.outputs).filter(|output| output.address == payee);
        outputs.count() as u64 * each.to_atoms()
    }
}

const OPERATOR: FeeBearer = FeeBearer::Operator;
const PAYEES_BEAR: FeeBearer = FeeBearer::Payees { each: Amount::from_atoms(3) };

#[test]
fn from_every_stage_every_order_of_three_events_pays_everybody_once() {
    const EVENTS: [Event; 9] = [
        Event::Step,
        Event::Plan,
        Event::Kill,
        Event::Mine,
        Event::MineEmpty,
        Event::MineStray,
        Event::Forget,
        Event::Reorganise(2),
        Event::Conflict,
    ];
    // Stages: planned, told to make, made, signed, sent, noted, looked up, mined once, twice, and thrice.
    let path = |stage: usize| {
        let begun = [Event::Earn(0), Event::Earn(1), Event::Plan];
        let run = std::iter::repeat_n(Event::Step, 7).chain([Event::Mine; 3]);
        begun.into_iter().chain(run.take(stage))
    };
    for stage in 0..=10 {
        for order in 0..EVENTS.len().pow(3) {
            let mut world = World::new(OPERATOR);
            path(stage).for_each(|event| world.happen(event));
            for place in 0..3 {
                world.happen(EVENTS[order / EVENTS.len().pow(place) % EVENTS.len()]);
                world.check();
            }
            world.settle();
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Step),
        2 => Just(Event::Plan),
        2 => Just(Event::Kill),
        2 => (0..3usize).prop_map(Event::Earn),
        3 => Just(Event::Mine),
        1 => Just(Event::MineEmpty),
        2 => Just(Event::MineStray),
        1 => Just(Event::Forget),
        2 => (1..5usize).prop_map(Event::Reorganise),
        2 => Just(Event::Conflict),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_paid_twice_and_nobody_is_forgotten(
        events in prop::collection::vec(event(), 0..120), bearer in select(&[OPERATOR, PAYEES_BEAR][..]),
    ) {
        let mut world = World::new(bearer);
        for event in events {
            world.happen(event);
            world.check();
        }
        world.settle();
    }
}

#[track_caller]
fn planned(world: &World) -> Payment {
    plan(&world.books, &world.settings, NOW).unwrap().expect("a balance is due")
}

#[test]
fn what_is_below_the_threshold_or_does_not_fit_waits() {
    let mut world = World::new(OPERATOR);
    [0, 1, 1, 2].into_iter().for_each(|payee| world.earn(payee));
    let addresses: Vec<_> = planned(&world).outputs.into_iter().map(|output| (output.address, output.amount)).collect();
    assert_eq!(addresses, [("bob".to_owned(), Amount::from_atoms(202)), ("alice".to_owned(), Amount::from_atoms(101))]);
    assert!(plan(&world.books, &world.settings, NOW).unwrap().is_none(), "one payment is made at a time");
    world.settings.threshold = Amount::from_atoms(102);
    cancel(&world.books, PaymentNumber(1), None, NOW).unwrap();
    assert_eq!(planned(&world).outputs.len(), 1);
    world.check();
}

#[test]
fn an_address_that_nobody_can_pay_holds_up_no_other() {
    let mut world = World::new(OPERATOR);
    [0, 1].into_iter().for_each(|payee| world.earn(payee));
    world.settings.unpayable.insert("alice".to_owned());
    let addresses: Vec<_> = planned(&world).outputs.into_iter().map(|output| output.address).collect();
    assert_eq!(addresses, ["bob"]);
    world.check();
}

#[test]
fn a_payment_that_is_written_off_gives_everything_back_and_says_who_did_it() {
    let note =
        || OperatorChange { time: NOW, who: "op".into(), what: "payment 1".into(), reason: "inputs gone".into() };
    for (steps, state) in [(0, PaymentState::Cancelled), (1, PaymentState::Failed), (2, PaymentState::Failed)] {
        let mut world = World::new(OPERATOR);
        world.earn(0);
        let balances = || [Reserved::Operator, Reserved::NetworkFees, Reserved::Paid].map(|account| account.id());
        let sums = |world: &World| balances().map(|id| world.books.account(id).unwrap().unwrap().balance.total);
        let before = sums(&world);
        planned(&world);
        if steps > 0 {
            let transaction = SignedPayment { id: TxId([1; 32]), raw: vec![1], fee: Amount::from_atoms(FEE) };
            signed(&world.books, PaymentNumber(1), transaction, NOW).unwrap();
        }
        if steps > 1 {
            sent(&world.books, PaymentNumber(1)).unwrap();
        }
        assert_eq!(write_off(&world.books, PaymentNumber(1), note()).unwrap(), state);
        assert_eq!(sums(&world), before);
        assert_eq!(world.books.notes(0, 10).unwrap(), [note()]);
        let again = write_off(&world.books, PaymentNumber(1), note());
        assert!(matches!(again, Err(PaymentError::Final { found, .. }) if found == state), "{again:?}");
        assert_eq!(planned(&world).outputs.len(), 1, "who was to be paid is owed it again");
    }
}

#[test]
fn the_networks_fee_is_booked_to_who_bears_it() {
    for (bearer, output, operator) in [(OPERATOR, 101, -7), (PAYEES_BEAR, 98, 3 - 7)] {
        let mut world = World::new(bearer);
        world.earn(0);
        let before = world.books.account(Reserved::Operator.id()).unwrap().unwrap().balance.total;
        let payment = planned(&world);
        assert_eq!(payment.outputs[0].amount, Amount::from_atoms(output));
        (0..4).for_each(|_| world.step());
        let of = |account: Reserved| world.books.account(account.id()).unwrap().unwrap().balance.total;
        assert_eq!(of(Reserved::Operator) - before, operator);
        assert_eq!(of(Reserved::NetworkFees), 7);
        assert_eq!(of(Reserved::Paid), i64::try_from(output).unwrap());
    }
}

#[test]
fn the_pools_own_balances_are_paid_where_they_have_an_address() {
    let mut world = World::new(PAYEES_BEAR);
    let amount = Amount::from_atoms(500);
    let entries = [(Reserved::Foundation, Reserved::Blocks)]
        .map(|(to, from)| [Entry::gets(to.id(), amount).unwrap(), Entry::gives(from.id(), amount).unwrap()].to_vec());
    let cause = Cause::Settlement { from: ShareSequence(0), to: ShareSequence(1) };
    let posting = Posting::new(cause, NOW, entries.concat()).unwrap();
    world.books.commit(&[Change::Post(posting)]).unwrap();
    assert!(plan(&world.books, &world.settings, NOW).unwrap().is_none());
    world.settings.foundation = Some("foundation-address".to_owned());
    let outputs = planned(&world).outputs;
    assert_eq!(outputs[0].address, "foundation-address");
    assert_eq!(outputs[0].amount, Amount::from_atoms(497));
}

#[test]
fn what_was_signed_can_neither_be_made_again_nor_cancelled() {
    let mut world = World::new(OPERATOR);
    world.earn(0);
    let number = planned(&world).number;
    let made = |byte| SignedPayment { id: TxId([byte; 32]), raw: vec![byte], fee: Amount::ZERO };
    signed(&world.books, number, made(1), NOW).unwrap();
    let again = signed(&world.books, number, made(2), NOW).unwrap_err();
    assert!(matches!(again, PaymentError::State { found: PaymentState::Signed, .. }), "{again}");
    let cancelled = cancel(&world.books, number, None, NOW).unwrap_err();
    assert!(matches!(cancelled, PaymentError::State { found: PaymentState::Signed, .. }), "{cancelled}");
    assert_eq!(next(&world.books.payment(number).unwrap().unwrap()), Step::LookUp { id: TxId([1; 32]) });
}
