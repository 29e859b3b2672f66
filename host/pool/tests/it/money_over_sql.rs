//! A pool's money from a share to a confirmed payment, over the books in SQL and the log on disk, opened anew between any two steps.

use adit_pool::money::audit::audit;
use adit_pool::money::fees::{BasisPoints, Fees};
use adit_pool::money::payments::{self, FeeBearer, PaymentSettings, Sighting, Step};
use adit_pool::money::rounds::{RoundSettings, Rounds, Standing};
use adit_pool::money::schemes::{Schemes, switch};
use adit_pool::money::settlement::{owe, settle_due};
use adit_pool::work::log::{NewShare, ShareLog};
use adit_primitives::accounts::{
    Accounts, Block, BlockState, Era, PaymentState, Reserved, ShareSequence, SignedPayment, WorkerId,
};
use adit_primitives::contract::payout::{
    AccountId, Credit, Economics, FoundBlock, PayoutPlan, Pays, ShareToWeigh, Weight, Window,
};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::engine::{Fault, PayoutEngine};
use adit_primitives::{Amount, BlockId, Height, Timestamp, TxId, U256, Work};
use adit_store::{Books, Options, Store};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const CONFIRMATIONS: u64 = 6;

/// Splits blocks by work, or pays for shares, as its plan says; each part is rounded down.
struct ByWork(Pays);

fn parts(weights: &[Weight], atoms: u64, whole: U256) -> Vec<Credit> {
    let part = |weight: &Weight| weight.weight * U256::from(atoms) / whole;
    weights.iter().map(|weight| Credit { account: weight.account, atoms: part(weight).to() }).collect()
}

impl PayoutEngine for ByWork {
    fn plan(&mut self) -> Result<PayoutPlan, Fault> {
        Ok(PayoutPlan { pays: self.0, window: Window::LastWork { thousandths: 2_000 }, weighs: false })
    }

    fn weigh(&mut self, shares: &[ShareToWeigh]) -> Result<Vec<u64>, Fault> {
        Ok(shares.iter().map(|share| share.work).collect())
    }

    fn split(&mut self, block: &FoundBlock, weights: &[Weight]) -> Result<Vec<Credit>, Fault> {
        let all = weights.iter().fold(U256::ZERO, |sum, weight| sum + weight.weight);
        Ok(parts(weights, block.distributable, all))
    }

    fn settle(&mut self, shares: &[Weight], economics: &Economics) -> Result<Vec<Credit>, Fault> {
        Ok(parts(shares, economics.subsidy, economics.work.0))
    }
}

/// A pool's folder, opened for one step and closed again.
struct Opened {
    books: Books,
    log: ShareLog,
    schemes: Schemes,
}

impl Opened {
    fn new(folder: &Path) -> Self {
        let options = Options { path: folder.join("store"), cache_bytes: 1 << 20 };
        let log = ShareLog::open(Arc::new(Store::open(&options).unwrap())).unwrap();
        let mut schemes = Schemes::new();
        schemes.insert("blocks".to_owned(), Box::new(ByWork(Pays::Blocks)));
        schemes.insert("shares".to_owned(), Box::new(ByWork(Pays::Shares)));
        Self { books: Books::open(&folder.join("pool.sqlite")).unwrap(), log, schemes }
    }

    fn rounds(&self) -> Rounds<'_> {
        let fees = Fees::new(Fees::FOUNDATION_DEFAULT, BasisPoints(100)).unwrap();
        Rounds {
            books: &self.books,
            history: &self.log,
            settings: RoundSettings { fees, confirmations: CONFIRMATIONS, pays_miners: false },
        }
    }

    fn adopt(&mut self, scheme: &str, economics: Option<Economics>) {
        let plan = self.schemes.get_mut(scheme).unwrap().plan().unwrap();
        let era = Era { from: self.log.next(), scheme: scheme.to_owned(), plan, began: NOW };
        assert!(switch(&self.books, era, economics, None).unwrap());
    }

    /// Logs one share each for some accounts, the first of whom then finds a block.
    fn find(&self, number: u8, accounts: &[AccountId]) -> BlockId {
        let share = |account: &AccountId| NewShare {
            account: *account,
            worker: WorkerId(1),
            time: NOW,
            difficulty: ShareDifficulty::from_log2_hashes(10),
        };
        let shares: Vec<_> = accounts.iter().map(share).collect();
        self.log.append(&shares).unwrap();
        let block = Block {
            id: BlockId([number; 32]),
            height: Height(number.into()),
            reward: Amount::from_atoms(5_000_000_007),
            fees: Amount::from_atoms(7),
            work: Work(U256::from(4_096)),
            finder: accounts[0],
            worker: WorkerId(1),
            shares_end: self.log.next(),
            found: NOW,
            state: BlockState::Found,
            split: false,
            bytes: vec![number; 500],
        };
        assert!(self.rounds().found(&block).unwrap());
        block.id
    }

    fn split_due(&mut self) {
        let mut schemes = std::mem::take(&mut self.schemes);
        self.rounds().split_due(&mut schemes, NOW).unwrap();
        self.schemes = schemes;
    }

    fn total(&self, account: AccountId) -> i64 {
        self.books.account(account).unwrap().unwrap().balance.total
    }

    #[track_caller]
    fn check(&self) {
        assert_eq!(audit(&self.books).unwrap().difference, None);
    }
}

fn settings() -> PaymentSettings {
    PaymentSettings {
        threshold: Amount::from_atoms(1_000),
        outputs_max: 100,
        confirmations: CONFIRMATIONS,
        fee_bearer: FeeBearer::Operator,
        operator: Some("operators-own".to_owned()),
        foundation: None,
        unpayable: BTreeSet::new(),
    }
}

/// Opens the pool for one step.
fn once<T>(folder: &TempDir, step: impl FnOnce(&mut Opened) -> T) -> T {
    step(&mut Opened::new(folder.path()))
}

#[test]
fn a_share_becomes_a_confirmed_payment_over_any_number_of_restarts() {
    let folder = tempfile::tempdir().unwrap();
    once(&folder, |pool| pool.adopt("blocks", None));
    let [alice, bob] =
        ["alice", "bob"].map(|address| once(&folder, |pool| pool.books.account_of(address, NOW).unwrap()));
    let kept = once(&folder, |pool| pool.find(1, &[alice, bob, bob]));
    let lost = once(&folder, |pool| pool.find(2, &[bob]));
    assert_eq!(once(&folder, |pool| pool.books.block(kept).unwrap().unwrap().bytes), [1; 500]);
    for block in [kept, lost] {
        once(&folder, |pool| pool.rounds().accepted(block, NOW).unwrap());
    }
    once(&folder, Opened::split_due);
    once(&folder, |pool| pool.check());
    let follow = |block, standing| once(&folder, |pool| pool.rounds().follow(block, standing, NOW).unwrap());
    assert_eq!(follow(kept, Standing::OnChain { confirmations: CONFIRMATIONS }), BlockState::Confirmed);
    assert_eq!(follow(lost, Standing::OffChain { blocks_from_its_height: CONFIRMATIONS }), BlockState::Orphaned);
    once(&folder, |pool| pool.check());
    // 5,000,000,007 less 1 %, less 1 % of the rest: a third for Alice, two for Bob.
    assert_eq!(once(&folder, |pool| (pool.total(alice), pool.total(bob))), (1_633_500_002, 3_267_000_004));
    check_payment(&folder);
    let owed = once(&folder, |pool| [alice, bob, Reserved::Operator.id()].map(|account| pool.total(account)));
    assert_eq!(owed, [0, 0, -420]);
}

/// Pays what is due, and stops the pool before and after everything that is recorded.
#[track_caller]
fn check_payment(folder: &TempDir) {
    let payment = once(folder, |pool| payments::plan(&pool.books, &settings(), NOW).unwrap().unwrap());
    let addresses: Vec<_> = payment.outputs.iter().map(|output| output.address.as_str()).collect();
    assert_eq!(addresses, ["bob", "alice", "operators-own"]);
    let made = SignedPayment { id: TxId([7; 32]), raw: vec![7; 300], fee: Amount::from_atoms(420) };
    once(folder, |pool| payments::signed(&pool.books, payment.number, made.clone(), NOW).unwrap());
    let again = once(folder, |pool| payments::next(&pool.books.payment(payment.number).unwrap().unwrap()));
    assert_eq!(again, Step::LookUp { id: made.id });
    let observe = |sighting| {
        once(folder, |pool| payments::observed(&pool.books, payment.number, sighting, &settings(), NOW).unwrap())
    };
    assert_eq!(observe(Sighting::Unknown), Step::Send { id: made.id, raw: made.raw });
    once(folder, |pool| payments::sent(&pool.books, payment.number).unwrap());
    assert_eq!(observe(Sighting::Waiting), Step::Wait);
    let done = observe(Sighting::Confirmed { confirmations: CONFIRMATIONS });
    assert_eq!(done, Step::Done { state: PaymentState::Confirmed });
    once(folder, |pool| pool.check());
}

#[test]
fn shares_are_paid_for_once_over_any_number_of_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let settle = || {
        once(&folder, |pool| {
            settle_due(&pool.books, &pool.log, &mut pool.schemes, NOW).unwrap();
        });
    };
    once(&folder, |pool| pool.adopt("shares", None));
    let alice = once(&folder, |pool| pool.books.account_of("alice", NOW).unwrap());
    let block = once(&folder, |pool| pool.find(1, &[alice; 8]));
    let economics = Economics { subsidy: 4_000, mean_fees: 0, work: Work(U256::from(4_096)) };
    assert!(once(&folder, |pool| owe(&pool.books, ShareSequence(5), economics).unwrap()));
    settle();
    settle();
    assert_eq!(once(&folder, |pool| pool.total(alice)), 5_000);
    once(&folder, |pool| pool.adopt("blocks", Some(economics)));
    settle();
    assert_eq!(once(&folder, |pool| pool.total(alice)), 8_000);
    once(&folder, |pool| pool.rounds().accepted(block, NOW).unwrap());
    once(&folder, Opened::split_due);
    // The block is the operator's, who paid for every share of its window.
    assert_eq!(once(&folder, |pool| (pool.total(alice), pool.total(Reserved::Income.id()))), (8_000, 0));
    once(&folder, |pool| pool.check());
}
