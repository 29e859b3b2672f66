use super::*;
use adit_primitives::storage::MemoryStorage;
use proptest::prelude::*;

fn share(number: u64) -> NewShare {
    let small = u32::try_from(number % 1000).unwrap();
    NewShare {
        account: AccountId(small),
        worker: WorkerId(small + 1),
        time: Timestamp::from_millis(1_700_000_000_000 + number),
        difficulty: ShareDifficulty::from_log2_hashes(u8::try_from(number % 63).unwrap()),
    }
}

fn logged(number: u64) -> LoggedShare {
    let NewShare { account, worker, time, difficulty } = share(number);
    LoggedShare { sequence: ShareSequence(number), account, worker, time, difficulty }
}

fn opened() -> (Arc<MemoryStorage>, ShareLog) {
    let storage = Arc::new(MemoryStorage::default());
    let log = ShareLog::open(storage.clone()).unwrap();
    (storage, log)
}

fn append(log: &ShareLog, count: u64) {
    let first = log.next().0;
    let shares: Vec<_> = (first..first + count).map(share).collect();
    assert_eq!(log.append(&shares), Ok(ShareSequence(first)..ShareSequence(first + count)));
}

fn range(range: Range<u64>) -> Range<ShareSequence> {
    ShareSequence(range.start)..ShareSequence(range.end)
}

/// Checks what both directions show of a range.
#[track_caller]
fn check_shown(log: &ShareLog, asked: Range<u64>, want: Range<u64>) {
    let want: Vec<_> = want.map(logged).collect();
    let mut shown = Vec::new();
    let mut visit = |chunk: &[LoggedShare]| {
        assert!(!chunk.is_empty() && chunk.len() as u64 <= SEGMENTS_AT_ONCE * SEGMENT_SHARES);
        shown.extend_from_slice(chunk);
        ControlFlow::Continue(())
    };
    log.oldest_first(range(asked.clone()), &mut visit).unwrap();
    log.newest_first(range(asked), &mut visit).unwrap();
    let both: Vec<_> = want.iter().chain(want.iter().rev()).copied().collect();
    assert!(shown == both, "{} shares were shown, {} wanted", shown.len(), both.len());
}

#[test]
fn a_long_log_is_shown_in_bounded_chunks_and_any_range_of_it() {
    let (_, log) = opened();
    append(&log, 40_000);
    append(&log, 1);
    check_shown(&log, 0..u64::MAX, 0..40_001);
    check_shown(&log, 39_999..40_001, 39_999..40_001);
    check_shown(&log, 255..257, 255..257);
    check_shown(&log, 16_000..33_000, 16_000..33_000);
    check_shown(&log, 5..5, 5..5);
    check_shown(&log, 50_000..60_000, 0..0);
}

#[test]
fn a_visitor_that_has_enough_is_not_asked_again() {
    let (_, log) = opened();
    append(&log, 40_000);
    let mut chunks = 0;
    let mut once = |_: &[LoggedShare]| {
        chunks += 1;
        ControlFlow::Break(())
    };
    log.newest_first(range(0..40_000), &mut once).unwrap();
    log.oldest_first(range(0..40_000), &mut once).unwrap();
    assert_eq!(chunks, 2);
}

#[test]
fn pruned_shares_are_not_shown_and_the_end_is_never_forgotten() {
    let (storage, log) = opened();
    append(&log, 1000);
    assert_eq!(log.prune(ShareSequence(600)), Ok(512));
    assert_eq!(log.kept(), range(512..1000));
    check_shown(&log, 0..1000, 512..1000);
    assert_eq!(log.prune(ShareSequence(u64::MAX)), Ok(256));
    drop(log);
    let log = ShareLog::open(storage).unwrap();
    assert_eq!(log.kept(), range(768..1000));
    append(&log, 24);
    assert_eq!(log.prune(ShareSequence(u64::MAX)), Ok(0), "the last segment stays, full as it is");
    check_shown(&log, 0..2000, 768..1024);
}

#[test]
fn a_log_that_holds_what_nobody_wrote_is_refused() {
    #[track_caller]
    fn check(segment: u64, value: Option<Vec<u8>>, want: &str) {
        let (storage, log) = opened();
        append(&log, 600);
        let mut batch = Batch::default();
        match value {
            Some(value) => batch.put(Table::Shares, key(segment), value),
            None => batch.delete(Table::Shares, key(segment)),
        }
        storage.commit(batch).unwrap();
        let read = |log: &ShareLog| log.newest_first(range(0..600), &mut |_| ControlFlow::Continue(()));
        let error = read(&log).and_then(|()| read(&ShareLog::open(storage)?)).unwrap_err();
        assert_eq!(error.to_string(), want);
    }
    let unreadable = |first, detail| format!("the log holds no readable shares from {first} on: {detail}");
    check(256, None, &unreadable(256, "they are missing"));
    check(256, Some(vec![]), &unreadable(256, "the segment is empty"));
    check(512, Some(vec![VERSION; 15]), &unreadable(512, "14 bytes are no segment"));
    check(0, Some(vec![VERSION; 16]), &unreadable(0, "some are missing"));
    check(0, Some([&[VERSION][..], &[0xff; 15 * 256]].concat()), &unreadable(0, "255 is not a valid share difficulty"));
    check(
        512,
        Some(vec![2]),
        "the shares from 512 on were written by a newer version of Adit: format 2, this one reads 1",
    );
}

#[test]
fn an_append_that_fails_counts_nothing() {
    /// Takes commits while it is told to.
    struct Full(MemoryStorage, std::sync::atomic::AtomicBool);
    impl Storage for Full {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
            self.0.get(table, key)
        }
        fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StorageError> {
            self.0.scan(table, first, max)
        }
        fn commit(&self, batch: Batch) -> Result<(), StorageError> {
            if self.1.load(Ordering::Relaxed) {
                self.0.commit(batch)
            } else {
                Err(StorageError { detail: "full".to_owned() })
            }
        }
    }
    let storage = Arc::new(Full(MemoryStorage::default(), false.into()));
    let log = ShareLog::open(storage.clone()).unwrap();
    assert_eq!(log.append(&[share(0)]).unwrap_err().to_string(), "storage: full");
    assert_eq!(log.next(), ShareSequence(0));
    storage.1.store(true, Ordering::Relaxed);
    append(&log, 3);
    check_shown(&log, 0..3, 0..3);
}

proptest! {
    #[test]
    fn a_log_opened_again_goes_on_where_it_ended(counts in prop::collection::vec(0u64..700, 1..12), prune in 0u64..3000) {
        let (storage, mut log) = opened();
        let mut total = 0;
        for count in counts {
            append(&log, count);
            total += count;
            log = ShareLog::open(storage.clone()).unwrap();
            prop_assert_eq!(log.next(), ShareSequence(total));
        }
        check_shown(&log, 0..total, 0..total);
        let pruned = log.prune(ShareSequence(prune)).unwrap();
        prop_assert!(pruned <= prune && pruned % SEGMENT_SHARES == 0);
        let log = ShareLog::open(storage).unwrap();
        check_shown(&log, 0..total, pruned..total);
    }
}
