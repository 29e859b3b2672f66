//! Calls that trap, never end, or answer what nobody asked.

use crate::guest::{HashGuest, sandbox};
use adit_plugin_host::SandboxedHash;
use adit_primitives::contract::{Scan, SearchJob};
use adit_primitives::engine::{FaultClass, HashEngine};
use adit_primitives::{Hash256, Target};

fn job() -> SearchJob {
    SearchJob { inputs: vec![vec![0; 80]], nonce_offset: 76, nonce_bytes: 4, target: Target::MAX }
}

fn engine(guest: &HashGuest) -> SandboxedHash {
    guest.load().hash("{}").unwrap()
}

/// Calls `digest`, then makes sure that the host is well: the same sandbox runs another plugin.
#[track_caller]
fn check(guest: HashGuest, want_class: FaultClass, want: &str) {
    let sandbox = sandbox();
    let mut hostile = guest.load_in(&sandbox).hash("{}").unwrap();
    let fault = hostile.digest(b"input").expect_err("a hostile plugin gives no digest");
    assert_eq!(fault.class, want_class, "{fault}");
    assert!(fault.detail.contains(want), "{:?} does not say {want:?}", fault.detail);
    assert!(fault.plugin.starts_with("tame 0.0.1 (blake3:"), "{}", fault.plugin);
    assert_eq!(fault.function, "digest");
    let mut tame = HashGuest::default().load_in(&sandbox).hash("{}").unwrap();
    assert_eq!(tame.digest(b"input"), Ok(Hash256([0; 32])));
}

fn digest(digest: &'static str) -> HashGuest {
    HashGuest { digest, ..HashGuest::default() }
}

#[test]
fn an_endless_loop_is_stopped_by_the_watchdog() {
    check(digest("(loop $again (br $again)) unreachable"), FaultClass::Environment, "interrupt");
}

#[test]
fn a_trap_names_plugin_and_function() {
    check(digest("unreachable"), FaultClass::Plugin, "unreachable");
}

#[test]
fn a_panics_message_reaches_the_error() {
    let body = "(call $panicked (i32.const 2300) (i32.const 20)) unreachable";
    check(digest(body), FaultClass::Plugin, "told at guest.rs:1:1");
}

#[test]
fn a_division_by_zero_is_the_plugins_fault() {
    check(digest("(i32.div_u (i32.const 1) (i32.const 0))"), FaultClass::Plugin, "divide by zero");
}

#[test]
fn a_memory_bomb_is_refused() {
    let body = "(loop $again (drop (memory.grow (i32.const 64))) (br $again)) unreachable";
    check(digest(body), FaultClass::Environment, "bytes of memory, 16777216 are allowed");
}

#[test]
fn deep_recursion_ends_in_a_fault() {
    let guest = HashGuest {
        more: "(func $deep (param i64) (result i64) (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (local.get 0)))",
        digest: "(drop (call $deep (i64.const 0))) (i32.const 1200)",
        ..HashGuest::default()
    };
    check(guest, FaultClass::Environment, "call stack exhausted");
}

#[test]
fn an_answer_outside_the_memory_is_refused() {
    check(digest("(i32.const -32)"), FaultClass::Plugin, "out of bounds");
    check(digest("(i32.const 1201)"), FaultClass::Plugin, "aligned");
}

#[test]
fn a_huge_answer_is_refused() {
    let digest_many = "(drop (memory.grow (i32.const 64))) (call $fill (i32.const 4000000))";
    let fault = engine(&HashGuest { digest_many, ..HashGuest::default() })
        .digest_many(&[0; 80], 80, &mut Vec::new())
        .expect_err("four megabytes are no digest");
    assert_eq!(fault.class, FaultClass::Plugin, "{fault}");
    assert!(fault.detail.contains("too much data"), "{fault}");
}

#[test]
fn digests_that_are_too_many_or_too_few_are_refused() {
    for digest_many in ["(call $fill (i32.const 64))", "(call $fill (i32.const 31))", "(call $fill (i32.const 0))"] {
        let mut digests = vec![Hash256([5; 32])];
        let fault = engine(&HashGuest { digest_many, ..HashGuest::default() })
            .digest_many(&[0; 80], 80, &mut digests)
            .expect_err("one input has one digest");
        assert_eq!((fault.class, fault.function.as_str()), (FaultClass::Plugin, "digest-many"));
        assert_eq!(digests, [Hash256([5; 32])]);
    }
}

#[test]
fn a_list_that_lies_about_its_length_is_refused() {
    let digest_many =
        "(i32.store (i32.const 1300) (i32.const 0)) (i32.store (i32.const 1304) (i32.const -1)) (i32.const 1300)";
    let fault = engine(&HashGuest { digest_many, ..HashGuest::default() })
        .digest_many(&[0; 80], 80, &mut Vec::new())
        .expect_err("four gigabytes are not there");
    assert_eq!(fault.class, FaultClass::Plugin, "{fault}");
}

#[test]
fn a_search_that_claims_more_than_was_asked_is_refused() {
    let claims = [
        ("(call $scan (i64.add (local.get 3) (i64.const 1)))", "nonces tried of"),
        ("(call $scan (i64.const 0))", "0 nonces tried"),
        (
            "(drop (call $scan (local.get 3))) (i32.store (i32.const 1408) (i32.const -1)) (i32.const 1300)",
            "more bytes",
        ),
        (
            "(drop (call $scan (local.get 3))) (i32.store (i32.const 1408) (i32.const 1)) (i64.store (i32.const 1412) (i64.const 77)) \
             (i32.store (i32.const 1420) (i32.const 0)) (i32.store (i32.const 1304) (i32.const 24)) (i32.const 1300)",
            "nonce 77 is not among",
        ),
        (
            "(drop (call $scan (local.get 3))) (i32.store (i32.const 1408) (i32.const 1)) (i64.store (i32.const 1412) (i64.const 0)) \
             (i32.store (i32.const 1420) (i32.const 3)) (i32.store (i32.const 1304) (i32.const 24)) (i32.const 1300)",
            "input 3 of 1",
        ),
    ];
    for (search, want) in claims {
        let fault = engine(&HashGuest { search, ..HashGuest::default() }).search(&job(), 0, 4).expect_err(want);
        assert_eq!(fault.class, FaultClass::Plugin);
        assert!(fault.detail.contains(want), "{:?} does not say {want:?}", fault.detail);
    }
}

#[test]
fn a_search_is_cut_into_slices() {
    let scan = engine(&HashGuest::default()).search(&job(), 5, u64::MAX).unwrap();
    assert_eq!(scan, Scan { scanned: 8, found: Vec::new() });
}

#[test]
fn a_trap_in_each_function_leaves_the_engine_able_to_start_again() {
    let trap = "unreachable";
    let guests = [
        HashGuest { prepare: trap, ..HashGuest::default() },
        HashGuest { digest: trap, ..HashGuest::default() },
        HashGuest { digest_many: trap, ..HashGuest::default() },
        HashGuest { search: trap, ..HashGuest::default() },
    ];
    for guest in guests {
        let mut engine = engine(&guest);
        let outcomes = [
            engine.digest(b"x").is_ok(),
            engine.digest_many(b"xy", 1, &mut Vec::new()).is_ok(),
            engine.search(&job(), 0, 1).is_ok(),
            engine.prepare(1, Hash256([0; 32])).is_ok(),
        ];
        assert_eq!(outcomes.iter().filter(|ok| !**ok).count(), 1, "{outcomes:?}");
    }
}

#[test]
fn a_configuration_that_traps_is_a_fault() {
    let plugin = HashGuest { configure: "unreachable", ..HashGuest::default() }.load();
    assert!(plugin.check_config("{}").unwrap_err().to_string().contains("configure"));
    assert!(plugin.hash("{}").is_err());
}

#[test]
fn a_hash_plugin_gives_no_rules() {
    let error = HashGuest::default().load().rules("{}").unwrap_err().to_string();
    assert!(error.contains("is a hash plugin, not a consensus plugin"), "{error}");
}

#[test]
fn a_plugin_that_fails_again_and_again_is_given_a_rest() {
    let mut engine = engine(&digest("unreachable"));
    for _ in 0..3 {
        assert!(engine.digest(b"").unwrap_err().detail.contains("unreachable"));
    }
    let fault = engine.digest(b"").unwrap_err();
    assert!(fault.detail.starts_with("not called after 3 failures in a row"), "{fault}");
    assert_eq!(engine.breaker().failures(), 3);
    assert!(engine.digest(b"").unwrap_err().detail.starts_with("wasm trap"));
    assert_eq!(engine.breaker().rest(), 2);
}

#[test]
fn a_new_instance_is_made_ready_for_the_same_epoch() {
    // `prepare` leaves its epoch where `digest` reads it; `digest-many` traps.
    let guest = HashGuest {
        prepare: "(i64.store (i32.const 1200) (local.get 0))",
        digest_many: "unreachable",
        ..HashGuest::default()
    };
    let mut engine = engine(&guest);
    engine.prepare(42, Hash256([0; 32])).unwrap();
    let before = engine.digest(b"").unwrap();
    assert_eq!(before.0[0], 42);
    engine.digest_many(b"x", 1, &mut Vec::new()).unwrap_err();
    assert_eq!(engine.digest(b""), Ok(before));
}
