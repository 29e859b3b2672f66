//! Consensus plugins that trap, remember, or answer what nobody asked.

use crate::guest::{component_of, load, sandbox, settings};
use adit_plugin_host::{Limits, MERGE_SET_MAX, STATE_BYTES_MAX, Sandbox, SandboxedRules, Settings};
use adit_primitives::contract::{
    Candidate, Draft, HeaderView, KnownBlock, MergedBlock, Placement, PowInput, Violation, rows,
};
use adit_primitives::engine::{ChainView, Fault, FaultClass, RulesEngine, SharedView};
use adit_primitives::{BlockId, Hash256, Height, Timestamp, Work};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A consensus plugin, function by function. `$list` gives the pointer to a pair of pointer and length.
#[derive(Clone, Default)]
struct RulesGuest {
    genesis: Option<&'static str>,
    decode: Option<&'static str>,
    place: Option<&'static str>,
    next: Option<&'static str>,
    encode: Option<&'static str>,
    difficulty: Option<&'static str>,
    seal: Option<&'static str>,
    /// Bytes at address 4096.
    data: Vec<u8>,
}

/// The whole of `data`, as a list of bytes.
const DATA: &str = "(call $list (i32.const 4096) (global.get $data))";

impl RulesGuest {
    fn bytes(&self) -> Vec<u8> {
        let body = |body: Option<&'static str>| body.unwrap_or("unreachable");
        let data: String = self.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let heap = (4096 + self.data.len()).next_multiple_of(65536);
        let pages = heap / 65536 + 3;
        let text = format!(
            r#"(module
            (import "adit:plugin/diagnostics@0.1.0" "panicked" (func $panicked (param i32 i32)))
            (import "adit:plugin/chain-view@0.1.0" "horizon" (func $horizon (result i64)))
            (import "adit:plugin/chain-view@0.1.0" "blocks" (func $blocks (param i32 i32 i32)))
            (import "adit:plugin/chain-view@0.1.0" "stamps" (func $stamps (param i32 i32 i32)))
            (import "adit:plugin/chain-view@0.1.0" "ancestry" (func $ancestry (param i32 i32 i32 i32 i32)))
            (import "adit:plugin/chain-view@0.1.0" "merge-set" (func $merge_set (param i64 i64 i64 i64 i32 i32 i32 i32)))
            (import "adit:plugin/chain-view@0.1.0" "selected-past" (func $past (param i64 i64 i64 i64 i32 i32)))
            (import "adit:plugin/chain-view@0.1.0" "selected-ancestor" (func $ancestor (param i64 i64 i64 i64 i64 i32)))
            (memory (export "memory") {pages})
            (global $data i32 (i32.const {length}))
            (global $heap (mut i32) (i32.const {heap}))
            (global $calls (mut i32) (i32.const 0))
            (data (i32.const 1024) "\00\08\00\00\05\00\00\00\20\08\00\00\05\00\00\00\01\00\00\00\20\08\00\00\05\00\00\00")
            (data (i32.const 1060) "\40\08\00\00\02\00\00\00")
            (data (i32.const 2048) "rules")
            (data (i32.const 2080) "0.0.1")
            (data (i32.const 2112) "{{}}")
            (data (i32.const 4096) "{data}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
                (global.set $heap (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func $list (param $at i32) (param $length i32) (result i32)
                (i32.store (i32.const 1300) (local.get $at))
                (i32.store (i32.const 1304) (local.get $length))
                (i32.const 1300))
            (func (export "adit:plugin/plugin@0.1.0#describe") (result i32) (i32.const 1024))
            (func (export "adit:plugin/plugin@0.1.0#schema") (result i32) (i32.const 1060))
            (func (export "adit:plugin/plugin@0.1.0#configure") (param i32 i32) (result i32) (i32.const 1100))
            (func (export "adit:plugin/rules@0.1.0#genesis") (result i32) {genesis})
            (func (export "adit:plugin/rules@0.1.0#decode-many") (param i32 i32) (result i32) {decode})
            (func (export "adit:plugin/rules@0.1.0#place-many") (param i32 i32) (result i32) {place})
            (func (export "adit:plugin/rules@0.1.0#next") (param i32 i32 i32 i64) (result i32) {next})
            (func (export "adit:plugin/rules@0.1.0#encode") (param i32 i32 i32 i64 i64 i64 i64 i64) (result i32) {encode})
            (func (export "adit:plugin/rules@0.1.0#difficulty") (param i32) (result i32) {difficulty})
            (func (export "adit:plugin/rules@0.1.0#seal") (param i32 i32 i64 i32) (result i32) {seal}))"#,
            length = self.data.len(),
            genesis = body(self.genesis),
            decode = body(self.decode),
            place = body(self.place),
            next = body(self.next),
            encode = body(self.encode),
            difficulty = body(self.difficulty),
            seal = body(self.seal),
        );
        component_of(&text, "consensus-plugin")
    }

    #[track_caller]
    fn rules(&self) -> SandboxedRules {
        self.rules_in(&sandbox())
    }

    #[track_caller]
    fn rules_in(&self, sandbox: &Arc<Sandbox>) -> SandboxedRules {
        load(sandbox, self.bytes()).unwrap().rules("{}").unwrap()
    }

    fn decoding(views: &[Result<HeaderView, Violation>]) -> Self {
        Self { decode: Some(DATA), data: rows(views), ..Self::default() }
    }

    fn placing(placements: &[Result<Placement, Violation>]) -> Self {
        Self { place: Some(DATA), data: rows(placements), ..Self::default() }
    }
}

fn id(byte: u8) -> BlockId {
    BlockId([byte; 32])
}

fn candidate() -> Candidate {
    Candidate { header: vec![0; 80], pow: Hash256([0; 32]) }
}

fn view() -> HeaderView {
    let pow = PowInput { bytes: vec![0; 80], nonce_offset: 76, nonce_bytes: 4, roll_offset: 0, roll_mask: 0 };
    HeaderView {
        id: id(1),
        parents: vec![id(2)],
        time: Timestamp::from_millis(3),
        bits: 4,
        body_root: Hash256([5; 32]),
        pow,
    }
}

fn placement() -> Placement {
    Placement {
        selected_parent: Some(id(2)),
        merge_set: Vec::new(),
        height: Height(1),
        work: Work::ZERO,
        tie: Hash256([0; 32]),
        valid_from: Timestamp::from_millis(0),
        subsidy: 0,
        state: Vec::new(),
    }
}

/// A chain of which every block is known and nothing else is.
struct EndlessChain;

impl ChainView for EndlessChain {
    fn horizon(&self) -> Height {
        Height(0)
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        Some(KnownBlock {
            id,
            parents: Vec::new(),
            selected_parent: None,
            merge_set: Vec::new(),
            time: Timestamp::from_millis(0),
            bits: 0,
            height: Height(0),
            work: Work::ZERO,
            state: Vec::new(),
        })
    }

    fn is_ancestor(&self, _: BlockId, _: BlockId) -> bool {
        true
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        (0..count).filter_map(|_| self.block(from)).collect()
    }

    fn selected_ancestor(&self, from: BlockId, _: Height) -> Option<KnownBlock> {
        self.block(from)
    }
}

/// The same with the heaviest notes that a plugin may leave, and without an end. It counts how often it was looked at.
#[derive(Default)]
struct HeavyChain {
    looks: AtomicUsize,
}

impl ChainView for HeavyChain {
    fn horizon(&self) -> Height {
        Height(0)
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let known = EndlessChain.block(id)?;
        Some(KnownBlock { selected_parent: Some(id), state: vec![0; STATE_BYTES_MAX], ..known })
    }

    fn is_ancestor(&self, _: BlockId, _: BlockId) -> bool {
        true
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        (0..count).filter_map(|_| self.block(from)).collect()
    }

    fn selected_ancestor(&self, from: BlockId, _: Height) -> Option<KnownBlock> {
        self.block(from)
    }
}

fn chain() -> SharedView {
    Arc::new(EndlessChain)
}

#[track_caller]
fn check_decode(guest: &RulesGuest, want: &str) {
    let fault = guest.rules().decode(&[vec![0; 80]]).expect_err("a broken answer is no verdict");
    assert_eq!((fault.class, fault.function.as_str()), (FaultClass::Plugin, "decode-many"), "{fault}");
    assert!(fault.detail.contains(want), "{:?} does not say {want:?}", fault.detail);
}

#[track_caller]
fn check_place(place: &'static str, want_class: FaultClass, want: &str) {
    let guest = RulesGuest { place: Some(place), ..RulesGuest::default() };
    let candidate = Candidate { header: vec![0; 80], pow: Hash256([0; 32]) };
    let fault = guest.rules().place(&chain(), &[candidate]).expect_err("a broken answer is no verdict");
    assert_eq!(fault.class, want_class, "{fault}");
    assert!(fault.detail.contains(want), "{:?} does not say {want:?}", fault.detail);
}

#[test]
fn sound_answers_pass() {
    let violation = Violation { rule: "bits".to_owned(), detail: "one expected".to_owned() };
    let answers = [Ok(view()), Err(violation)];
    let rules = RulesGuest::decoding(&answers).rules();
    assert_eq!(rules.decode(&[vec![1], vec![2]]), Ok(answers.to_vec()));
    let candidate = Candidate { header: vec![0; 80], pow: Hash256([0; 32]) };
    assert_eq!(
        RulesGuest::placing(&[Ok(placement())]).rules().place(&chain(), &[candidate]),
        Ok(vec![Ok(placement())])
    );
}

#[test]
fn more_rows_than_questions_are_refused() {
    check_decode(&RulesGuest::decoding(&[Ok(view()), Ok(view())]), "2 rows for 1 questions");
    check_decode(&RulesGuest::decoding(&[]), "0 rows for 1 questions");
}

#[test]
fn a_count_of_four_milliards_reserves_nothing() {
    check_decode(&RulesGuest { decode: Some(DATA), data: vec![0xff; 4], ..RulesGuest::default() }, "4294967295 rows");
}

#[test]
fn rows_whose_inner_lengths_lie_are_refused() {
    let sound = rows::<Result<HeaderView, Violation>>(&[Ok(view())]);
    for place in 0..sound.len() {
        let mut data = sound.clone();
        data[place] = 0xff;
        let answer = RulesGuest { decode: Some(DATA), data, ..RulesGuest::default() }.rules().decode(&[vec![0; 80]]);
        if let Err(fault) = answer {
            assert_eq!(fault.class, FaultClass::Plugin, "{fault}");
        }
    }
}

#[test]
fn bytes_left_over_are_refused() {
    let mut data = rows::<Result<HeaderView, Violation>>(&[Ok(view())]);
    data.push(0);
    check_decode(&RulesGuest { decode: Some(DATA), data, ..RulesGuest::default() }, "left over");
}

#[test]
fn a_nonce_outside_its_bytes_is_refused() {
    let pow = PowInput { nonce_offset: 77, ..view().pow };
    check_decode(&RulesGuest::decoding(&[Ok(HeaderView { pow, ..view() })]), "does not lie in them");
}

#[test]
fn too_many_parents_are_refused() {
    let parents = vec![id(9); 257];
    check_decode(&RulesGuest::decoding(&[Ok(HeaderView { parents, ..view() })]), "parents: 257");
}

#[test]
fn a_rule_named_in_prose_is_refused() {
    let violation = |rule: &str, detail: &str| Violation { rule: rule.to_owned(), detail: detail.to_owned() };
    check_decode(&RulesGuest::decoding(&[Err(violation("Not a rule!", ""))]), "lower-case words");
    check_decode(&RulesGuest::decoding(&[Err(violation("bits", "\u{1b}[2J"))]), "control characters");
}

#[test]
fn a_trap_is_a_fault_and_no_verdict() {
    check_place("unreachable", FaultClass::Plugin, "unreachable");
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    check_place("(loop $again (br $again)) unreachable", FaultClass::Plugin, "fuel");
}

#[test]
fn without_fuel_the_watchdog_stops_an_endless_loop() {
    let rules = Limits { fuel: None, ticks_per_call: 200, ..Limits::RULES };
    let sandbox = Sandbox::new(Settings { rules, ..settings() }).unwrap();
    let guest = RulesGuest { genesis: Some("(loop $again (br $again)) unreachable"), ..RulesGuest::default() };
    let fault = guest.rules_in(&sandbox).genesis().unwrap_err();
    assert_eq!(fault.class, FaultClass::Environment, "{fault}");
}

#[test]
fn a_trap_in_each_function_is_a_fault() {
    let rules = RulesGuest::default().rules();
    let draft = Draft { parents: Vec::new(), bits: 0, time: Timestamp::from_millis(0), body_root: Hash256([0; 32]) };
    let classes = [
        rules.genesis().map(drop),
        rules.decode(&[]).map(drop),
        rules.place(&chain(), &[]).map(drop),
        rules.next(&chain(), &[], None).map(drop),
        rules.encode(&draft).map(drop),
        rules.difficulty(0).map(drop),
        rules.seal(&[], 0, 0).map(drop),
    ]
    .map(|answer| answer.unwrap_err().class);
    assert_eq!(classes, [FaultClass::Plugin; 7]);
}

#[test]
fn what_an_instance_remembers_does_not_leak_into_the_next_answer() {
    let count = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store (i32.const 4096) (global.get $calls)) (call $list (i32.const 4096) (i32.const 4))";
    let guest = RulesGuest { genesis: Some(count), ..RulesGuest::default() };
    let rules = guest.rules();
    assert_eq!(rules.genesis(), Ok(vec![1, 0, 0, 0]));
    assert_eq!(rules.genesis(), Ok(vec![1, 0, 0, 0]));

    let rules = Limits { fresh: false, ..Limits::RULES };
    let rules = guest.rules_in(&Sandbox::new(Settings { rules, ..settings() }).unwrap());
    assert_eq!(rules.genesis(), Ok(vec![1, 0, 0, 0]));
    assert_eq!(rules.genesis(), Ok(vec![2, 0, 0, 0]));
}

/// Lets a plugin judge so many headers in a batch, each in its turn, and returns how many were taken and how it ended.
fn place_each(rules: &SandboxedRules, headers: u8) -> (usize, Result<(), Fault>) {
    let candidates: Vec<_> = (0..headers).map(|byte| Candidate { header: vec![byte; 80], ..candidate() }).collect();
    let mut taken = 0;
    let outcome = rules.place_each(&chain(), &candidates, &mut |number, answer| {
        assert_eq!(number, taken);
        taken += usize::from(answer.is_ok());
        if answer.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    (taken, outcome)
}

#[track_caller]
fn check_remembers(fault: Fault, behind_others: &str, alone: &str) {
    assert_eq!((fault.class, fault.function.as_str()), (FaultClass::Plugin, "place-many"), "{fault}");
    let (one, other) = fault.detail.split_once(", by a fresh instance ").expect("both answers are named");
    assert!(one.contains(behind_others) && other.contains(alone), "{fault}");
}

/// A plugin that answers `first` to the first `calls` calls of an instance and `later` from then on.
fn turning(calls: u32, first: &Result<Placement, Violation>, later: &Result<Placement, Violation>) -> RulesGuest {
    let (first, later) = (rows(std::slice::from_ref(first)), rows(std::slice::from_ref(later)));
    let place = format!(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (if (result i32) (i32.gt_u (global.get $calls) (i32.const {calls}))
            (then (call $list (i32.const {}) (i32.const {})))
            (else (call $list (i32.const 4096) (i32.const {}))))",
        4096 + first.len(),
        later.len(),
        first.len(),
    );
    RulesGuest { place: Some(place.leak()), data: [first, later].concat(), ..RulesGuest::default() }
}

#[test]
fn headers_of_a_batch_are_judged_again_by_fresh_instances_and_a_plugin_that_remembers_has_a_fault() {
    let other = Placement { height: Height(9), ..placement() };
    // The second header of two, and one of 64, are judged again.
    for (headers, honest) in [(2, 1), (65, 1)] {
        let rules = turning(honest, &Ok(placement()), &Ok(other.clone())).rules();
        let (taken, outcome) = place_each(&rules, headers);
        check_remembers(outcome.unwrap_err(), "height 9", "height 1");
        assert!((1..usize::from(headers)).contains(&taken), "{taken} were taken");
    }
    let forgetful = turning(u32::MAX, &Ok(placement()), &Ok(other)).rules();
    assert_eq!(place_each(&forgetful, 200), (200, Ok(())));
}

#[test]
fn a_violation_is_believed_only_when_a_fresh_instance_finds_it_too() {
    let violation = || Violation { rule: "bits".to_owned(), detail: "one expected".to_owned() };
    // Wherever in a batch it comes: one place at most is in the sample anyway.
    for honest in [1, 20, 40] {
        let rules = turning(honest, &Ok(placement()), &Err(violation())).rules();
        let (taken, outcome) = place_each(&rules, 65);
        check_remembers(outcome.unwrap_err(), "bits: one expected", "height 1");
        assert_eq!(taken, honest as usize);
    }
    let (taken, outcome) = place_each(&RulesGuest::placing(&[Err(violation())]).rules(), 65);
    assert_eq!((taken, outcome), (0, Ok(())), "the first header is judged by a fresh instance as it is");
}

/// A plugin that gives `many` to more than one header at once, and `one` to a single one.
fn by_number(many: &[Result<Placement, Violation>], one: &Result<Placement, Violation>) -> RulesGuest {
    let views: Vec<Result<HeaderView, Violation>> =
        (0..many.len()).map(|byte| Ok(HeaderView { id: id(100 + u8::try_from(byte).unwrap()), ..view() })).collect();
    let (many, one, views) = (rows(many), rows(std::slice::from_ref(one)), rows(&views));
    let place = format!(
        "(if (result i32) (i32.gt_u (i32.load (local.get 0)) (i32.const 1))
            (then (call $list (i32.const 4096) (i32.const {})))
            (else (call $list (i32.const {}) (i32.const {}))))",
        many.len(),
        4096 + many.len(),
        one.len(),
    );
    let decode = format!("(call $list (i32.const {}) (i32.const {}))", 4096 + many.len() + one.len(), views.len());
    let data = [many, one, views].concat();
    RulesGuest { place: Some(place.leak()), decode: Some(decode.leak()), data, ..RulesGuest::default() }
}

#[test]
fn a_header_judged_otherwise_in_a_batch_than_alone_is_the_plugins_fault() {
    let other = Ok(Placement { subsidy: 5, height: Height(9), ..placement() });
    let batch = [Ok(placement()), other.clone(), other.clone()];
    let fault = by_number(&batch, &Ok(placement())).rules().place(&chain(), &[candidate(), candidate(), candidate()]);
    check_remembers(fault.unwrap_err(), "height 9", "height 1");
    let same = [Ok(placement()), other.clone(), other.clone()];
    let placed = by_number(&same, &other).rules().place(&chain(), &[candidate(), candidate(), candidate()]);
    assert_eq!(placed, Ok(same.to_vec()));
}

#[test]
fn a_violation_in_a_batch_is_confirmed_alone() {
    let violation = Err(Violation { rule: "bits".to_owned(), detail: "one expected".to_owned() });
    let rules = |alone: &Result<Placement, Violation>| {
        // Decoding shows the blocks before the violation, one here.
        let batch = [Ok(placement()), violation.clone()];
        let guest = by_number(&batch, alone);
        let views = rows::<Result<HeaderView, Violation>>(&[Ok(view())]);
        let decode = format!("(call $list (i32.const {}) (i32.const {}))", 4096 + guest.data.len(), views.len());
        let data = [guest.data, views].concat();
        RulesGuest { decode: Some(decode.leak()), data, ..guest }.rules()
    };
    let two = [candidate(), candidate()];
    let fault = rules(&Ok(placement())).place(&chain(), &two).unwrap_err();
    check_remembers(fault, "bits: one expected", "height 1");
    assert_eq!(rules(&violation).place(&chain(), &two), Ok(vec![Ok(placement()), violation.clone()]));
}

#[test]
fn the_chain_is_shown_only_where_it_is_asked_about() {
    let look = "(drop (call $horizon)) (call $list (i32.const 4096) (i32.const 4))";
    let fault = RulesGuest { genesis: Some(look), ..RulesGuest::default() }.rules().genesis().unwrap_err();
    assert!(fault.detail.contains("none to show"), "{fault}");
}

#[test]
fn a_plugin_reads_a_bounded_part_of_the_chain() {
    check_place(
        "(call $past (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i32.const -1) (i32.const 1400)) unreachable",
        FaultClass::Plugin,
        "4294967295 rows at once",
    );
    check_place(
        "(call $merge_set (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 4) (i32.const -1) (i32.const 1400)) unreachable",
        FaultClass::Plugin,
        "4294967295 rows at once",
    );
    // Two lists of 2,001 ids that are all zero: four million pairs and some.
    check_place(
        "(i32.store (i32.const 65536) (i32.const 2001))
         (call $ancestry (i32.const 65536) (i32.const 64036) (i32.const 65536) (i32.const 64036) (i32.const 1400)) unreachable",
        FaultClass::Plugin,
        "more than 4000000 blocks",
    );
    let rules = Limits { view_blocks_max: 100, ..Limits::RULES };
    let sandbox = Sandbox::new(Settings { rules, ..settings() }).unwrap();
    let place = "(loop $again
        (call $ancestor (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 7) (i32.const 1400))
        (global.set $heap (i32.const 65536))
        (br $again)) unreachable";
    let guest = RulesGuest { place: Some(place), ..RulesGuest::default() };
    let fault = guest.rules_in(&sandbox).place(&chain(), &[]).unwrap_err();
    assert!(fault.detail.contains("more than 100 blocks"), "{fault}");
}

/// Asks a plugin to place a block above heavy ones, and returns its fault and how many blocks the host looked up for it.
#[track_caller]
fn fault_above_heavy_blocks(place: &'static str, rules: Limits) -> (Fault, usize) {
    let chain = Arc::new(HeavyChain::default());
    let shared: SharedView = chain.clone();
    let guest = RulesGuest { place: Some(place), ..RulesGuest::default() };
    let sandbox = Sandbox::new(Settings { rules, ..settings() }).unwrap();
    let fault = guest.rules_in(&sandbox).place(&shared, &[candidate()]).expect_err("it reads too much");
    assert_eq!(fault.class, FaultClass::Plugin, "{fault}");
    // A plugin's fault is asked about twice.
    (fault, chain.looks.load(Ordering::Relaxed) / 2)
}

#[test]
fn heavy_blocks_in_one_answer_are_bounded_in_bytes_however_often_one_is_named() {
    let rules = Limits { answer_bytes_max: 4 << 20, ..Limits::RULES };
    // 2,001 ids that are all zero, and as many blocks of one selected chain: 130 MB.
    for place in [
        "(i32.store (i32.const 65536) (i32.const 2001))
         (call $blocks (i32.const 65536) (i32.const 64036) (i32.const 1400)) unreachable",
        "(call $past (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i32.const 2001) (i32.const 1400)) unreachable",
    ] {
        let (fault, looks) = fault_above_heavy_blocks(place, rules.clone());
        assert!(fault.detail.contains("more than 4194304 bytes at once"), "{fault}");
        assert!(looks <= 64 + 16, "{looks} blocks were copied for 64 that fit");
    }
}

#[test]
fn heavy_blocks_asked_for_one_by_one_are_bounded_in_bytes_over_the_whole_call() {
    let rules = Limits { view_bytes_max: 1 << 20, view_blocks_max: 1_000, ..Limits::RULES };
    let again = "(global.set $heap (i32.const 65536)) (br $again)) unreachable";
    let ancestor = "(loop $again
        (call $ancestor (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 7) (i32.const 1400))";
    let block = "(loop $again (i32.store (i32.const 8192) (i32.const 1))
        (call $blocks (i32.const 8192) (i32.const 36) (i32.const 1400))";
    let past = "(loop $again
        (call $past (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i32.const 1) (i32.const 1400))";
    for question in [ancestor, block, past] {
        let (fault, looks) = fault_above_heavy_blocks(format!("{question} {again}").leak(), rules.clone());
        assert!(fault.detail.contains("more than 1048576 bytes of blocks"), "{fault}");
        assert_eq!(looks, 16, "15 blocks fit, the 16th does not");
    }
}

#[test]
fn short_rows_are_bounded_in_bytes_too() {
    let rules = Limits { view_bytes_max: 1 << 20, view_blocks_max: 2_000_000, ..Limits::RULES };
    // 100 ids, all zero; the pairs of 100 with 100.
    let lists = "(i32.store (i32.const 65536) (i32.const 100)) (loop $again";
    let again = "(global.set $heap (i32.const 131072)) (br $again)) unreachable";
    let stamps = "(call $stamps (i32.const 65536) (i32.const 3204) (i32.const 1400))";
    let pairs =
        "(call $ancestry (i32.const 65536) (i32.const 3204) (i32.const 65536) (i32.const 3204) (i32.const 1400))";
    for question in [stamps, pairs] {
        let (fault, _) = fault_above_heavy_blocks(format!("{lists} {question} {again}").leak(), rules.clone());
        assert!(fault.detail.contains("more than 1048576 bytes of blocks"), "{fault}");
    }
}

#[test]
fn a_placement_heavier_than_a_block_may_be_is_the_plugins_fault() {
    let check = |placement: Placement, want: Option<&str>| {
        let answer = RulesGuest::placing(&[Ok(placement.clone())]).rules().place(&chain(), &[candidate()]);
        match (answer, want) {
            (Ok(placed), None) => assert_eq!(placed, [Ok(placement)]),
            (Err(fault), Some(want)) => {
                assert_eq!(fault.class, FaultClass::Plugin, "{fault}");
                assert!(fault.detail.contains(want), "{fault}");
            }
            (answer, want) => panic!("{want:?} was wanted: {:?}", answer.map(|placed| placed.len())),
        }
    };
    let state = |bytes| Placement { state: vec![7; bytes], ..placement() };
    check(state(STATE_BYTES_MAX), None);
    check(state(STATE_BYTES_MAX + 1), Some("state: 65537"));
    let merging = |blocks| Placement { merge_set: vec![MergedBlock { id: id(3), blue: true }; blocks], ..placement() };
    check(merging(MERGE_SET_MAX), None);
    check(merging(MERGE_SET_MAX + 1), Some("merge set: 16385"));
}

#[test]
fn questions_that_do_not_decode_are_the_plugins_fault() {
    check_place(
        "(call $blocks (i32.const 0) (i32.const 5) (i32.const 1400)) unreachable",
        FaultClass::Plugin,
        "does not decode",
    );
    check_place(
        "(call $ancestry (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 4) (i32.const 1400)) unreachable",
        FaultClass::Plugin,
        "does not decode",
    );
    check_place(
        "(call $merge_set (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 5) (i32.const 9) (i32.const 1400)) unreachable",
        FaultClass::Plugin,
        "does not decode",
    );
}

#[test]
fn parents_that_are_none_of_the_tips_are_refused() {
    // result ok; one parent (32 zero bytes at 5000), bits, target, difficulty "1" at 5100.
    let next = "(i32.store (i32.const 1408) (i32.const 5000)) (i32.store (i32.const 1412) (i32.const 1))
        (i32.store8 (i32.const 5100) (i32.const 49))
        (i32.store (i32.const 1456) (i32.const 5100)) (i32.store (i32.const 1460) (i32.const 1)) (i32.const 1400)";
    let rules = RulesGuest { next: Some(next), ..RulesGuest::default() }.rules();
    assert_eq!(rules.next(&chain(), &[id(0)], None).unwrap().unwrap().parents, [id(0)]);
    let fault = rules.next(&chain(), &[id(1)], None).unwrap_err();
    assert!(fault.detail.contains("none of the tips"), "{fault}");
}

#[test]
fn an_empty_header_is_refused() {
    let seal = "(call $list (i32.const 1300) (i32.const 0))";
    let genesis = RulesGuest { genesis: Some(seal), ..RulesGuest::default() };
    assert!(genesis.rules().genesis().unwrap_err().detail.contains("empty"));
}

#[test]
fn many_threads_ask_one_plugin() {
    let rules = RulesGuest::decoding(&[Ok(view())]).rules();
    std::thread::scope(|scope| {
        let ask = || (0..50).all(|_| rules.decode(&[vec![0; 80]]) == Ok(vec![Ok(view())]));
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    });
}
