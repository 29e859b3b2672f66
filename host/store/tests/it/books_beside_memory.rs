//! The books in SQL and those in memory, given the same changes: they answer the same, and hold the same.

use adit_primitives::accounts::{
    Accounts, Ban, Banned, Block, BlockState, Cause, Change, Entry, Era, MemoryAccounts, OperatorChange, Payment,
    PaymentNumber, PaymentOutput, PaymentState, Posting, Settlement, ShareSequence, SignedPayment, WorkerId,
};
use adit_primitives::contract::payout::{AccountId, Economics, PayoutPlan, Pays, Window};
use adit_primitives::{Amount, BlockId, Height, Timestamp, TxId, U256, Work};
use adit_store::Books;
use proptest::prelude::*;
use proptest::sample::select;

/// Few of each, so that changes meet: accounts 1 to 6 are reserved, 16 to 18 are opened first, 19 does not exist.
fn account() -> impl Strategy<Value = AccountId> {
    select(&[2, 3, 16, 16, 17, 17, 18, 19][..]).prop_map(AccountId)
}

fn block_id() -> impl Strategy<Value = BlockId> {
    (0u8..4).prop_map(|byte| BlockId([byte; 32]))
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0u64..10).prop_map(Timestamp::from_secs)
}

fn payment_number() -> impl Strategy<Value = PaymentNumber> {
    (1u64..4).prop_map(PaymentNumber)
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        block_id().prop_map(Cause::BlockReward),
        block_id().prop_map(Cause::BlockSplit),
        block_id().prop_map(Cause::RewardReversal),
        block_id().prop_map(Cause::SplitReversal),
        payment_number().prop_map(Cause::Payment),
        (0u64..3).prop_map(|from| Cause::Settlement { from: ShareSequence(from), to: ShareSequence(9) }),
    ]
}

fn posting() -> impl Strategy<Value = Posting> {
    let atoms = prop_oneof![9 => 1i64..100, 1 => Just(i64::MAX - 50)];
    (cause(), time(), account(), account(), atoms).prop_map(|(cause, time, from, to, atoms)| {
        let entries = match from == to {
            true => Vec::new(),
            false => vec![Entry { account: from, atoms: -atoms }, Entry { account: to, atoms }],
        };
        Posting::new(cause, time, entries).expect("one account gives what another one gets")
    })
}

fn block() -> impl Strategy<Value = Block> {
    (block_id(), account(), 0u64..50, time(), any::<u64>()).prop_map(|(id, finder, shares_end, found, work)| Block {
        id,
        height: Height(shares_end / 2),
        reward: Amount::from_atoms(shares_end * 1_000),
        fees: Amount::from_atoms(shares_end),
        work: Work(U256::from(work) << 100),
        finder,
        worker: WorkerId(7),
        shares_end: ShareSequence(shares_end),
        found,
        state: BlockState::Found,
        split: false,
        bytes: vec![7; 5],
    })
}

fn settlement() -> impl Strategy<Value = Settlement> {
    (0u64..30, 0u64..30, 0u64..9).prop_map(|(from, to, fees)| Settlement {
        from: ShareSequence(from),
        to: ShareSequence(to),
        scheme: "pps".to_owned(),
        economics: Economics { subsidy: 50, mean_fees: fees, work: Work(U256::from(1_000)) },
    })
}

fn payment() -> impl Strategy<Value = Payment> {
    let output = (account(), 1u64..100).prop_map(|(account, atoms)| PaymentOutput {
        account,
        address: format!("to-{}", account.0),
        amount: Amount::from_atoms(atoms),
    });
    (payment_number(), time(), prop::collection::vec(output, 0..3)).prop_map(|(number, planned, outputs)| Payment {
        number,
        state: PaymentState::Planned,
        planned,
        outputs,
        signed: None,
    })
}

fn era() -> impl Strategy<Value = Era> {
    let window = prop_oneof![
        Just(Window::None),
        Just(Window::SinceBlock),
        (0u64..5_000).prop_map(|thousandths| Window::LastWork { thousandths }),
    ];
    let pays = select(&[Pays::Blocks, Pays::Shares][..]);
    (0u64..20, pays, window, any::<bool>(), time()).prop_map(|(from, pays, window, weighs, began)| Era {
        from: ShareSequence(from),
        scheme: format!("scheme {from}"),
        plan: PayoutPlan { pays, window, weighs },
        began,
    })
}

fn banned() -> impl Strategy<Value = Banned> {
    prop_oneof![
        select(&["10.0.0.1", "fe80::1"][..]).prop_map(|origin| Banned::Origin(origin.parse().unwrap())),
        select(&["alice.rig", "bob"][..]).prop_map(|user| Banned::User(user.to_owned())),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let block_state = select(&BlockState::ALL[..]);
    let payment_state = select(&PaymentState::ALL[..]);
    let signed = (any::<[u8; 32]>(), 0u64..9).prop_map(|(id, fee)| SignedPayment {
        id: TxId(id),
        raw: vec![1, 2, 3],
        fee: Amount::from_atoms(fee),
    });
    prop_oneof![
        8 => posting().prop_map(Change::Post),
        4 => block().prop_map(Change::Found),
        6 => (block_id(), block_state).prop_map(|(id, to)| Change::BlockState { id, to }),
        2 => block_id().prop_map(|id| Change::Split { id }),
        2 => settlement().prop_map(Change::Owe),
        2 => (0u64..30).prop_map(|from| Change::Settled { from: ShareSequence(from) }),
        4 => payment().prop_map(Change::Plan),
        2 => (payment_number(), signed).prop_map(|(number, signed)| Change::Sign { number, signed }),
        3 => (payment_number(), payment_state).prop_map(|(number, to)| Change::PaymentState { number, to }),
        2 => era().prop_map(Change::Era),
        2 => (banned(), time()).prop_map(|(who, until)| Change::Ban(Ban { who, until, reason: "why".to_owned() })),
        1 => banned().prop_map(Change::Unban),
        1 => time().prop_map(|time| {
            Change::Note(OperatorChange { time, who: "o".to_owned(), what: "w".to_owned(), reason: "r".to_owned() })
        }),
    ]
}

/// Everything that books can be asked, as text. Bans are sorted: their order is nobody's promise.
fn everything(books: &dyn Accounts) -> Vec<String> {
    let causes = books.journal(0, 1_000).unwrap().into_iter().map(|posting| posting.cause().clone());
    let mut bans: Vec<_> = books.bans(Timestamp::from_secs(4)).unwrap();
    bans.sort_by_key(|ban| ban.who.clone());
    let mut all = vec![
        format!("{:?}", books.accounts(None, 100).unwrap()),
        format!("{:?}", books.accounts(Some(AccountId(3)), 2).unwrap()),
        format!("{:?}", books.payable(Amount::from_atoms(20), 2).unwrap()),
        format!("{:?}", books.workers(None, 100).unwrap()),
        format!("{:?}", books.journal(0, 1_000).unwrap()),
        format!("{:?}", books.journal(1, 2).unwrap()),
        format!("{:?}", books.blocks_open().unwrap()),
        format!("{:?} {:?}", books.blocks(0, 100).unwrap(), books.blocks(1, 1).unwrap()),
        format!("{:?}", books.payments_open().unwrap()),
        format!("{:?} {:?}", books.payments(0, 100).unwrap(), books.payments(1, 1).unwrap()),
        format!("{:?} {:?}", books.settlements_due().unwrap(), books.owed_until().unwrap()),
        format!("{:?} {bans:?} {:?}", books.eras().unwrap(), books.notes(1, 2).unwrap()),
    ];
    all.extend(causes.map(|cause| format!("{:?}", books.posting(&cause).unwrap())));
    all.extend(
        (0u8..4)
            .map(|byte| BlockId([byte; 32]))
            .map(|id| format!("{:?} {:?}", books.block(id).unwrap(), books.block_before(id))),
    );
    all.extend((1..4).map(|number| format!("{:?}", books.payment(PaymentNumber(number)).unwrap())));
    all.extend(["bob", "dave"].map(|address| format!("{:?}", books.find_worker(address, "").unwrap())));
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn books_in_sql_are_those_in_memory(commits in prop::collection::vec(prop::collection::vec(change(), 1..4), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.sqlite");
        let (sql, memory) = (Books::open(&path).unwrap(), MemoryAccounts::default());
        for books in [&sql as &dyn Accounts, &memory] {
            for address in ["alice", "bob", "carol", "bob"] {
                let account = books.account_of(address, Timestamp::from_secs(1)).unwrap();
                books.worker_of(account, "", Timestamp::from_secs(2)).unwrap();
            }
        }
        let mut done = 0;
        for changes in &commits {
            let answer = sql.commit(changes);
            prop_assert_eq!(&answer, &memory.commit(changes), "{:?}", changes);
            done += usize::from(answer.is_ok());
        }
        prop_assume!(done > 0);
        prop_assert_eq!(everything(&sql), everything(&memory));
        drop(sql);
        prop_assert_eq!(everything(&Books::open(&path).unwrap()), everything(&memory));
    }
}
