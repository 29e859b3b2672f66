//! Pages of headers are hashed and placed part by part, and what a peer did not do wrong is not called wrong.

use crate::bulk::{Counting, checker, headers, line};
use crate::rules::{BAD_NONCE, BAD_ROOT, Header, TestHash, TestRules, decode};
use crate::world::{Made, NOW, World, config, plain};
use adit_chain::{Chain, CheckedHeaders, Checker, DecodedHeaders, HeaderError, HeadersError, TakenHeaders};
use adit_primitives::storage::MemoryStorage;
use adit_primitives::{BlockId, Encode, sha256d};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hashes what a batch has left.
fn hashed(checker: &mut Checker, mut decoded: DecodedHeaders) -> CheckedHeaders {
    let parts = decoded.split(3).into_iter().map(|part| checker.hash_headers(part).unwrap()).collect();
    decoded.hashed(parts)
}

/// Takes a page part by part.
fn in_parts(world: &mut World, page: &[Vec<u8>], sizes: &[usize]) -> TakenHeaders {
    let mut checker = checker(world);
    let mut left = checker.decode_headers(page.to_vec()).unwrap();
    let (mut sizes, mut taken) = (sizes.iter().cycle(), TakenHeaders { ids: Vec::new(), new: 0, refused: None });
    loop {
        let part = left.part(*sizes.next().unwrap());
        let checked = hashed(&mut checker, part);
        let placed = world.chain.submit_checked_headers(NOW, checked).unwrap();
        taken.ids.extend(placed.ids);
        taken.new += placed.new;
        taken.refused = placed.refused;
        if left.open() == 0 || taken.refused.is_some() {
            return taken;
        }
    }
}

/// Says of a line's header, by its place, what is wrong with it; those above stand on it all the same.
fn with_wrong(line: &[Made], at: usize, wrong: impl Fn(&mut Header)) -> Vec<Vec<u8>> {
    let mut page = headers(&line[..at]);
    let mut parent = None;
    for made in &line[at..] {
        let mut header = decode(&made.block.header).unwrap();
        match parent {
            None => wrong(&mut header),
            Some(parent) => header.parents = vec![parent],
        }
        let header = header.to_bytes();
        parent = Some(BlockId(sha256d(&header)));
        page.push(header);
    }
    page
}

proptest! {
    #[test]
    fn a_page_in_parts_comes_to_the_same_as_the_whole(
        known in proptest::collection::vec(0..30_usize, 0..4),
        wrong in proptest::option::of(0..30_usize),
        missing in proptest::option::of(1..30_usize),
        sizes in proptest::collection::vec(1..12_usize, 1..5),
    ) {
        let (mut whole, mut parts) = (World::new(), World::new());
        let line = line(&whole, 30);
        for world in [&mut whole, &mut parts] {
            for up_to in &known {
                world.chain.submit_headers(NOW, &headers(&line[..*up_to])).unwrap();
            }
        }
        let mut page = match wrong {
            Some(at) => with_wrong(&line, at, |header| header.nonce = BAD_NONCE),
            None => headers(&line),
        };
        if let Some(missing) = missing {
            page.remove(missing);
        }
        let taken = whole.chain.submit_headers(NOW, &page).unwrap();
        let found = in_parts(&mut parts, &page, &sizes);
        prop_assert_eq!((&found.ids, found.new, &found.refused), (&taken.ids, taken.new, &taken.refused));
        prop_assert_eq!(whole.kept(), parts.kept());
    }
}

#[test]
fn where_plots_win_nothing_is_scored_that_another_rule_refuses() {
    for space in [false, true] {
        let (scored, storage) = (Arc::new(AtomicUsize::new(0)), Arc::new(MemoryStorage::default()));
        let rules = Arc::new(TestRules { space, ..TestRules::default() });
        let hash = || Box::new(Counting(Arc::clone(&scored)));
        let chain = Chain::open(config(), storage.clone(), rules.clone(), hash()).unwrap();
        let mut world = World { chain, storage, rules };
        let line = line(&world, 10);
        let page = with_wrong(&line, 4, |header| header.body_root = BAD_ROOT);
        scored.store(0, Ordering::Relaxed);
        let mut checker = world.chain.checker(hash());
        let decoded = checker.decode_headers(page).unwrap();
        let checked = hashed(&mut checker, decoded);
        let taken = world.chain.submit_checked_headers(NOW, checked).unwrap();
        let Some(HeadersError::Header(HeaderError::Invalid { position: 4, violation })) = taken.refused else {
            panic!("{taken:?}");
        };
        assert_eq!((violation.rule.as_str(), taken.new, taken.ids.len()), ("challenge", 4, 4));
        assert_eq!(scored.load(Ordering::Relaxed), if space { 4 } else { 10 });
    }
}

/// What it stands on went after it was read and hashed: nobody is blamed for that, and nothing stands on nothing.
#[test]
fn a_header_whose_parent_was_forgotten_meanwhile_is_an_orphan_and_breaks_no_rule() {
    for space in [false, true] {
        let mut world = World::with(config(), TestRules { space, ..TestRules::default() });
        let line = line(&world, 8);
        world.chain.submit_headers(NOW, &headers(&line[..4])).unwrap();
        let mut checker = world.chain.checker(Box::new(TestHash));
        let decoded = checker.decode_headers(headers(&line)).unwrap();
        let checked = hashed(&mut checker, decoded);
        let before = world.chain.reader().forgettings();
        assert_eq!(world.chain.forget_headers(line[3].id), Ok(4));
        assert_eq!(world.chain.reader().forgettings(), before + 1);
        let taken = world.chain.submit_checked_headers(NOW, checked).unwrap();
        let orphan = HeaderError::Orphan { position: 4, parent: line[3].id };
        assert_eq!((taken.ids, taken.new), (vec![], 0));
        assert_eq!(taken.refused, Some(HeadersError::Header(orphan)));
        let again = world.chain.submit_headers(NOW, &headers(&line)).unwrap();
        assert_eq!((again.new, again.refused), (8, None));
    }
}

#[test]
fn to_forget_nothing_is_not_counted() {
    let mut world = World::new();
    let made = plain(&world.genesis(), 1).make();
    world.submit(&made).unwrap();
    assert_eq!(world.chain.forget_headers(made.id), Ok(0));
    assert_eq!(world.chain.reader().forgettings(), 0);
}
