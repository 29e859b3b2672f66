use super::*;
use crate::money::payments::{self, FeeBearer, PaymentSettings};
use crate::money::rounds::Standing;
use crate::money::settlement::{owe, settle_due};
use crate::money::testing::{ALICE, BOB, CAROL, CONFIRMATIONS, NOW, Pool, Scheme};
use adit_primitives::accounts::{
    Ban, Change, Committed, Entry, Era, MemoryAccounts, OperatorChange, PaymentNumber, Settlement, ShareSequence,
    SignedPayment, Worker, WorkerId,
};
use adit_primitives::contract::payout::{Economics, Pays, Window};
use adit_primitives::{Timestamp, TxId, U256, Work};
use std::collections::BTreeSet;

/// Books of which somebody has changed rows behind the pool's back.
#[derive(Clone, Copy)]
struct Tampered<'a> {
    books: &'a MemoryAccounts,
    accounts: fn(&mut Vec<Account>),
    journal: fn(&mut Vec<Posting>),
    blocks: fn(&mut Vec<Block>),
    payments: fn(&mut Vec<Payment>),
}

/// All rows are in the first page, whatever is taken out of it.
fn changed<T>(
    first: bool,
    rows: Result<Vec<T>, AccountsError>,
    change: fn(&mut Vec<T>),
) -> Result<Vec<T>, AccountsError> {
    let mut rows = if first { rows? } else { Vec::new() };
    if first {
        change(&mut rows);
    }
    Ok(rows)
}

macro_rules! as_they_are {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> Result<$answer, AccountsError> {
            self.books.$name($($argument),*)
        })*
    };
}

impl Accounts for Tampered<'_> {
    fn accounts(&self, after: Option<AccountId>, max: usize) -> Result<Vec<Account>, AccountsError> {
        changed(after.is_none(), self.books.accounts(after, max), self.accounts)
    }

    fn journal(&self, first: u64, max: usize) -> Result<Vec<Posting>, AccountsError> {
        changed(first == 0, self.books.journal(first, max), self.journal)
    }

    fn blocks(&self, skip: u64, max: usize) -> Result<Vec<Block>, AccountsError> {
        changed(skip == 0, self.books.blocks(skip, max), self.blocks)
    }

    fn payments(&self, skip: u64, max: usize) -> Result<Vec<Payment>, AccountsError> {
        changed(skip == 0, self.books.payments(skip, max), self.payments)
    }

    as_they_are! {
        commit(changes: &[Change]) -> Committed;
        account_of(address: &str, now: Timestamp) -> AccountId;
        worker_of(account: AccountId, name: &str, now: Timestamp) -> WorkerId;
        find_worker(address: &str, name: &str) -> Option<(AccountId, WorkerId)>;
        account(id: AccountId) -> Option<Account>;
        payable(at_least: Amount, max: usize) -> Vec<Account>;
        workers(after: Option<WorkerId>, max: usize) -> Vec<Worker>;
        posting(cause: &Cause) -> Option<Posting>;
        block(id: BlockId) -> Option<Block>;
        blocks_open() -> Vec<Block>;
        block_before(block: BlockId) -> Option<Block>;
        payment(number: PaymentNumber) -> Option<Payment>;
        payments_open() -> Vec<Payment>;
        settlements_due() -> Vec<Settlement>;
        owed_until() -> ShareSequence;
        eras() -> Vec<Era>;
        bans(now: Timestamp) -> Vec<Ban>;
        notes(skip: u64, max: usize) -> Vec<OperatorChange>;
    }
}

/// A pool with a confirmed block, an orphan, an immature block, and a payment that was sent.
fn lived() -> Pool {
    let mut pool = Pool::new();
    pool.adopt("prop", Scheme::new(Pays::Blocks, Window::SinceBlock), None);
    for number in 1..=3 {
        pool.history.log(&[(ALICE, 4), (BOB, 4), (CAROL, 1)]);
        pool.mine(number);
    }
    pool.split_due().unwrap();
    let off = Standing::OffChain { blocks_from_its_height: CONFIRMATIONS };
    let deep = Standing::OnChain { confirmations: CONFIRMATIONS };
    pool.rounds().follow(BlockId([1; 32]), deep, NOW).unwrap();
    pool.rounds().follow(BlockId([2; 32]), off, NOW).unwrap();
    let settings = PaymentSettings {
        threshold: Amount::from_atoms(100_000),
        outputs_max: 10,
        confirmations: 6,
        fee_bearer: FeeBearer::Operator,
        operator: None,
        foundation: None,
        unpayable: BTreeSet::new(),
    };
    let payment = payments::plan(&pool.books, &settings, NOW).unwrap().unwrap();
    let made = SignedPayment { id: TxId([9; 32]), raw: vec![9], fee: Amount::from_atoms(150) };
    payments::signed(&pool.books, payment.number, made, NOW).unwrap();
    pool
}

#[test]
fn books_that_add_up_are_told_with_their_totals() {
    let pool = lived();
    let audit = audit(&pool.books).unwrap();
    assert_eq!(audit.difference, None);
    let Totals { accounts, postings, entries, blocks, payments, .. } = audit.totals;
    // Of each block a reward and a split, of the orphan their reversals; a payment and its fee.
    assert_eq!((accounts, postings, entries, blocks, payments), (9, 10, 41, 3, 1));
    let Totals { brought, income, network_fees, .. } = audit.totals;
    assert_eq!((brought, income, network_fees), (2_000_000, 0, 150));
    assert_eq!(whereabouts(&audit.totals), brought);
}

/// Sums up where the money is that blocks brought.
fn whereabouts(totals: &Totals) -> i128 {
    let Totals { income, operator, foundation, payees, on_its_way, paid, network_fees, .. } = totals;
    income + operator + foundation + payees + on_its_way + paid + network_fees
}

#[test]
fn a_payment_is_on_its_way_until_it_is_confirmed() {
    let pool = lived();
    let payment = pool.books.payment(PaymentNumber(1)).unwrap().unwrap();
    let sum: i128 = payment.outputs.iter().map(|output| i128::from(output.amount.to_atoms())).sum();
    assert!(sum > 0);
    for (to, want) in [(PaymentState::Sent, (sum, 0)), (PaymentState::Confirmed, (0, sum))] {
        pool.books.commit(&[Change::PaymentState { number: payment.number, to }]).unwrap();
        let audit = audit(&pool.books).unwrap();
        assert_eq!((audit.difference, audit.totals.on_its_way, audit.totals.paid), (None, want.0, want.1));
        assert_eq!(whereabouts(&audit.totals), audit.totals.brought);
    }
}

#[test]
fn shares_that_wait_to_be_paid_for_are_counted() {
    let mut pool = Pool::new();
    pool.adopt("pps", Scheme::new(Pays::Shares, Window::None), None);
    let to = pool.history.log(&[(ALICE, 4), (BOB, 4), (CAROL, 1)]);
    let economics = Economics { subsidy: 1_000, mean_fees: 0, work: Work(U256::from(1_000u64)) };
    owe(&pool.books, to, economics).unwrap();
    assert_eq!(audit(&pool.books).unwrap().totals.shares_due, 3);
    settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap();
    let audit = audit(&pool.books).unwrap();
    assert_eq!((audit.difference, audit.totals.shares_due), (None, 0));
}

#[track_caller]
fn check(tamper: impl FnOnce(&mut Tampered<'_>), want: &str) {
    let pool = lived();
    let mut tampered =
        Tampered { books: &pool.books, accounts: |_| {}, journal: |_| {}, blocks: |_| {}, payments: |_| {} };
    tamper(&mut tampered);
    let difference = audit(&tampered).unwrap().difference.expect("the audit found nothing");
    assert_eq!(difference.to_string().replace(&"01".repeat(32), "ONE").replace(&"02".repeat(32), "TWO"), want);
}

/// Takes a posting and books other entries for its cause.
fn rewrite(posting: &mut Posting, change: impl Fn(&mut Vec<Entry>)) {
    let mut entries = posting.entries().to_vec();
    change(&mut entries);
    *posting = Posting::new(posting.cause().clone(), posting.time(), entries).unwrap();
}

#[test]
fn an_atom_added_to_a_balance_is_found() {
    let pool = lived();
    let balance = pool.books.account(ALICE).unwrap().unwrap().balance;
    check(
        |books| books.accounts = |rows| rows.iter_mut().find(|row| row.id == ALICE).unwrap().balance.total += 1,
        &format!(
            "account 16: the books say {} atoms, {} of them immature; the journal says {} and {}",
            balance.total + 1,
            balance.immature,
            balance.total,
            balance.immature
        ),
    );
}

#[test]
fn a_posting_that_was_taken_out_is_found() {
    check(
        |books| books.journal = |rows| rows.retain(|row| row.cause() != &Cause::RewardReversal(BlockId([2; 32]))),
        "account 1: the books say -2000000 atoms, -1000000 of them immature; the journal says -3000000 and -1000000",
    );
    check(
        |books| {
            books.journal = |rows| rows.retain(|row| row.cause() != &Cause::SplitReversal(BlockId([2; 32])));
            books.accounts = |rows| rows.clear();
        },
        "block-reward:ONE has an entry for account 1, which does not exist",
    );
}

#[test]
fn a_posting_that_stands_there_twice_is_found() {
    check(|books| books.journal = |rows| rows.push(rows[0].clone()), "block-reward:ONE stands in the journal twice");
}

#[test]
fn a_block_that_says_it_is_worth_more_is_found() {
    check(
        |books| books.blocks = |rows| rows[2].reward = Amount::from_atoms(1_000_001),
        "block ONE brought 1000000 atoms by the journal, its reward is 1000001",
    );
}

#[test]
fn a_block_whose_state_its_postings_contradict_is_found() {
    let confirmed = "block TWO is confirmed, so reward-reversal:TWO must not be in the journal";
    check(|books| books.blocks = |rows| rows[1].state = BlockState::Confirmed, confirmed);
    let unsplit = "block ONE is confirmed, so block-split:ONE must not be in the journal";
    check(|books| books.blocks = |rows| rows[2].split = false, unsplit);
    check(|books| books.blocks = |rows| rows.truncate(2), "block-reward:ONE names a block that is not in the books");
}

/// One atom more for a payment's first output.
fn enlarge(rows: &mut [Payment]) {
    let amount = &mut rows[0].outputs[0].amount;
    *amount = Amount::from_atoms(amount.to_atoms() + 1);
}

#[test]
fn a_payment_that_differs_from_its_postings_is_found() {
    let paid = audit(&lived().books).unwrap().totals.on_its_way;
    let want = format!("payment 1 has outputs of {} atoms, the journal paid {paid}", paid + 1);
    check(|books| books.payments = |rows| enlarge(rows), &want);
    check(
        |books| books.payments = |rows| rows[0].signed.as_mut().unwrap().fee = Amount::from_atoms(149),
        "payment 1 has a fee of 149 atoms, the journal booked 150",
    );
    check(
        |books| books.payments = |rows| rows[0].state = PaymentState::Failed,
        "payment 1 is failed, so payment-reversal:1 must be in the journal",
    );
    check(|books| books.payments = Vec::clear, "payment:1 names a payment that is not in the books");
}

#[test]
fn an_output_that_was_redirected_is_found() {
    let output = lived().books.payments(0, 1).unwrap()[0].outputs[0].amount.to_atoms();
    let want = format!("payment 1 pays account 18 its output of {output} atoms and the journal took 0 from it");
    check(|books| books.payments = |rows| rows[0].outputs[0].account = CAROL, &want);
}

#[test]
fn a_reversal_that_gives_back_to_another_is_found() {
    check(
        |books| {
            books.journal = |rows| {
                let at = |rows: &[Posting], cause| rows.iter().position(|row| row.cause() == &cause).unwrap();
                let split = at(rows, Cause::SplitReversal(BlockId([2; 32])));
                rewrite(&mut rows[split], |entries| {
                    entries.iter_mut().for_each(|entry| entry.atoms -= i64::from(entry.account == ALICE));
                    entries.iter_mut().for_each(|entry| entry.atoms += i64::from(entry.account == BOB));
                });
            };
            books.accounts = |rows| {
                rows.iter_mut().find(|row| row.id == ALICE).unwrap().balance.total -= 1;
                rows.iter_mut().find(|row| row.id == BOB).unwrap().balance.total += 1;
            };
        },
        "split-reversal:TWO does not take block-split:TWO back exactly",
    );
}
