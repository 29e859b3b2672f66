//! A chain's rules in the sandbox: a fresh instance for each call, so that no history leaks into a verdict.
//!
//! A batch of headers is judged by one instance. Fresh ones judge a sample of it again, and every violation: where the answers differ,
//! the plugin remembers what it must not, and none of them is given to anybody.

use crate::abi::{RulesContract, v0_1};
use crate::again::{Above, Batch, Sample, agree, said};
use crate::instance::{Guest, Instance, broken};
use crate::limits::Limits;
use crate::load::{ConfigureError, Loaded, is_dashed};
use crate::space::SandboxedSpace;
use crate::view::Window;
use adit_primitives::contract::{
    Candidate, Draft, HeaderView, Placement, PowInput, Requirements, Template, Violation, read_rows, rows,
};
use adit_primitives::engine::{Fault, FaultClass, RulesEngine, SharedView, SpaceRules};
use adit_primitives::{BlockId, Decode};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::Store;

/// The longest header that a plugin may build or call sound, in bytes.
pub const HEADER_BYTES_MAX: usize = 1 << 16;
/// The most parents that a header may name.
pub const PARENTS_MAX: usize = 256;
/// The largest merge set of a placement.
pub const MERGE_SET_MAX: usize = 1 << 14;
/// The longest notes that a plugin may leave with a block, in bytes.
pub const STATE_BYTES_MAX: usize = 1 << 16;
const PLACE: &str = "place-many";
/// The most bytes of headers that are kept until they are placed: those of a usual batch many times over.
const DECODED_BYTES_MAX: usize = 1 << 22;
const RULE_BYTES_MAX: usize = 64;
const DETAIL_BYTES_MAX: usize = 4096;
const DIFFICULTY_BYTES_MAX: usize = 160;

/// A consensus plugin at work. Any number of threads may ask it.
#[derive(Debug)]
pub struct SandboxedRules {
    plugin: Arc<Loaded>,
    config: String,
    /// An instance that is kept between calls, where the limits ask for that.
    kept: Mutex<Option<Instance<v0_1::Rules>>>,
    /// The headers decoded last, several at once, with what they say: they are placed next.
    decoded: Mutex<Vec<(Vec<u8>, HeaderView)>>,
    /// Where plots win blocks.
    space: Option<SandboxedSpace>,
}

impl SandboxedRules {
    pub(crate) fn start(plugin: Arc<Loaded>, config: &str) -> Result<Self, ConfigureError> {
        plugin.start_rules(config)?;
        let wins_by_space = plugin.info.is_space();
        let space = wins_by_space.then(|| SandboxedSpace::start(Arc::clone(&plugin), config)).transpose()?;
        Ok(Self { plugin, config: config.to_owned(), kept: Mutex::default(), decoded: Mutex::default(), space })
    }

    /// Asks, and asks a fresh instance once more where the plugin fails: a verdict must not hang on one failure.
    fn ask<A, T>(
        &self,
        function: &'static str,
        rows: usize,
        view: Option<&SharedView>,
        call: impl Fn(&v0_1::Rules, &mut Store<Guest>) -> wasmtime::Result<A>,
        check: impl Fn(A) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let once = || {
            let mut instance = self.instance()?;
            let limits = self.limits();
            instance.set_window(match view {
                Some(view) => Window::open(limits, Arc::clone(view)),
                None => Window::closed(limits),
            });
            let answer = instance.call(function, rows, &call)?;
            let checked = check(answer).map_err(|detail| broken(&self.plugin.label, function, detail))?;
            self.keep(instance);
            Ok(checked)
        };
        match once() {
            Err(Fault { class: FaultClass::Plugin, .. }) => once(),
            answer => answer,
        }
    }

    fn instance(&self) -> Result<Instance<v0_1::Rules>, Fault> {
        if let Some(instance) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(instance);
        }
        self.fresh_instance()
    }

    fn fresh_instance(&self) -> Result<Instance<v0_1::Rules>, Fault> {
        self.plugin.start_rules(&self.config).map_err(|error| match error {
            ConfigureError::Fault(fault) => fault,
            // The same text was taken before: an instance that thinks otherwise is no pure function.
            other => broken(&self.plugin.label, "configure", other),
        })
    }

    /// Keeps an instance for the next call, where the limits ask for that.
    fn keep(&self, mut instance: Instance<v0_1::Rules>) {
        if !self.limits().fresh {
            instance.set_window(Window::closed(self.limits()));
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(instance);
        }
    }

    /// Judges one header that stands above `view`.
    fn place_one(
        &self,
        instance: &mut Instance<v0_1::Rules>,
        view: &SharedView,
        candidate: &Candidate,
    ) -> Result<Result<Placement, Violation>, Fault> {
        let packed = rows(std::slice::from_ref(candidate));
        instance.set_window(Window::open(self.limits(), Arc::clone(view)));
        let answer = instance.call(PLACE, 1, |contract, store| contract.place_many(store, &packed))?;
        let mut answers = check_rows(&answer, 1, check_placement).map_err(|detail| self.broken_place(detail))?;
        Ok(answers.pop().expect("one row was counted"))
    }

    /// Holds an answer against that of an instance which has seen nothing before.
    fn confirm(
        &self,
        view: &SharedView,
        candidate: &Candidate,
        answer: &Result<Placement, Violation>,
    ) -> Result<(), Fault> {
        let again = self.place_one(&mut self.fresh_instance()?, view, candidate)?;
        if agree(answer, &again) {
            return Ok(());
        }
        let (answer, again) = (said(answer), said(&again));
        Err(self.broken_place(format!("behind other headers one is judged {answer}, by a fresh instance {again}")))
    }

    /// Confirms a sample of the answers that one instance gave to a batch, and the first violation: nobody relies on what comes after it.
    fn confirm_batch(
        &self,
        view: &SharedView,
        candidates: &[Candidate],
        packed: &[u8],
        answers: &[Result<Placement, Violation>],
    ) -> Result<(), Fault> {
        let sample = self.sample(packed, candidates.len());
        let valid = answers.iter().take_while(|answer| answer.is_ok()).count();
        let violated = valid < answers.len() && valid >= self.unseen();
        if !violated && !sample.begins_before(valid) {
            return Ok(());
        }
        let views = self.views(&candidates[..valid])?;
        let batch = Arc::new(Batch::of(views.into_iter().zip(answers.iter().flatten().cloned())));
        for number in (0..valid).filter(|number| sample.holds(*number)).chain(violated.then_some(valid)) {
            let above = Above { chain: Arc::clone(view), batch: Arc::clone(&batch), shown: number };
            let above: SharedView = Arc::new(above);
            self.confirm(&above, &candidates[number], &answers[number])?;
        }
        Ok(())
    }

    /// Returns what headers say that were placed, as they were decoded before, or anew.
    fn views(&self, candidates: &[Candidate]) -> Result<Vec<HeaderView>, Fault> {
        let decoded = std::mem::take(&mut *self.decoded.lock().unwrap_or_else(PoisonError::into_inner));
        let mut wanted = candidates.iter().peekable();
        let said = |(header, view)| wanted.next_if(|candidate| candidate.header == header).map(|_| view);
        let views: Vec<HeaderView> = decoded.into_iter().filter_map(said).collect();
        if views.len() == candidates.len() {
            return Ok(views);
        }
        let headers: Vec<Vec<u8>> = candidates.iter().map(|candidate| candidate.header.clone()).collect();
        Ok(self.decode_now(&headers)?.into_iter().map_while(Result::ok).collect())
    }

    fn decode_now(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        self.check_batch("decode-many", headers.len())?;
        let packed = rows(headers);
        self.ask(
            "decode-many",
            headers.len(),
            None,
            |contract, store| contract.decode_many(store, &packed),
            |answer| check_rows(&answer, headers.len(), check_view),
        )
    }

    fn sample(&self, packed: &[u8], count: usize) -> Sample {
        Sample::of(self.plugin.info.digest, packed, self.unseen(), count)
    }

    /// Returns how many headers of a batch are judged by an instance that has seen none before.
    fn unseen(&self) -> usize {
        usize::from(self.limits().fresh)
    }

    fn broken_place(&self, detail: String) -> Fault {
        broken(&self.plugin.label, PLACE, detail)
    }

    fn limits(&self) -> &Limits {
        &self.plugin.sandbox.rules.limits
    }

    fn check_batch(&self, function: &str, rows: usize) -> Result<(), Fault> {
        let max = self.limits().rows_max;
        if rows <= max {
            return Ok(());
        }
        Err(Fault {
            class: FaultClass::Environment,
            plugin: self.plugin.label.clone(),
            function: function.to_owned(),
            detail: format!("the host asks for {rows} rows at once, {max} are allowed"),
        })
    }
}

impl RulesEngine for SandboxedRules {
    fn genesis(&self) -> Result<Vec<u8>, Fault> {
        self.ask("genesis", 0, None, RulesContract::genesis, check_header)
    }

    fn decode(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        let answers = self.decode_now(headers)?;
        if headers.len() > 1 && headers.iter().map(Vec::len).sum::<usize>() <= DECODED_BYTES_MAX {
            let views = headers.iter().zip(&answers);
            let views =
                views.filter_map(|(header, view)| Some((header.clone(), view.as_ref().ok()?.clone()))).collect();
            *self.decoded.lock().unwrap_or_else(PoisonError::into_inner) = views;
        }
        Ok(answers)
    }

    fn place(&self, view: &SharedView, candidates: &[Candidate]) -> Result<Vec<Result<Placement, Violation>>, Fault> {
        self.check_batch("place-many", candidates.len())?;
        let packed = rows(candidates);
        let answers = self.ask(
            PLACE,
            candidates.len(),
            Some(view),
            |contract, store| contract.place_many(store, &packed),
            |answer| check_rows(&answer, candidates.len(), check_placement),
        )?;
        self.confirm_batch(view, candidates, &packed, &answers)?;
        Ok(answers)
    }

    fn place_each(
        &self,
        view: &SharedView,
        candidates: &[Candidate],
        taken: &mut dyn FnMut(usize, Result<Placement, Violation>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let sample = self.sample(&rows(candidates), candidates.len());
        let mut instance = self.instance()?;
        for (number, candidate) in candidates.iter().enumerate() {
            let answer = match self.place_one(&mut instance, view, candidate) {
                Err(Fault { class: FaultClass::Plugin, .. }) => {
                    instance = self.instance()?;
                    self.place_one(&mut instance, view, candidate)?
                }
                answer => answer?,
            };
            if sample.holds(number) || (answer.is_err() && number >= self.unseen()) {
                self.confirm(view, candidate, &answer)?;
            }
            if taken(number, answer).is_break() {
                break;
            }
        }
        self.keep(instance);
        Ok(())
    }

    fn next(
        &self,
        view: &SharedView,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> Result<Result<Requirements, Violation>, Fault> {
        self.check_batch("next", tips.len())?;
        self.ask(
            "next",
            tips.len(),
            Some(view),
            |contract, store| contract.next(store, tips, wish),
            |answer| check_verdict(answer, |requirements| check_requirements(requirements, tips)),
        )
    }

    fn encode(&self, draft: &Draft) -> Result<Result<Template, Violation>, Fault> {
        self.ask(
            "encode",
            1,
            None,
            |contract, store| contract.encode(store, draft),
            |answer| check_verdict(answer, check_template),
        )
    }

    fn difficulty(&self, bits: u32) -> Result<Result<String, Violation>, Fault> {
        self.ask(
            "difficulty",
            1,
            None,
            |contract, store| contract.difficulty(store, bits),
            |answer| check_verdict(answer, check_difficulty),
        )
    }

    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Result<Vec<u8>, Violation>, Fault> {
        self.ask(
            "seal",
            1,
            None,
            |contract, store| contract.seal(store, header, nonce, rolled),
            |answer| check_verdict(answer, check_header),
        )
    }

    fn space(&self) -> Option<&dyn SpaceRules> {
        self.space.as_ref().map(|space| space as &dyn SpaceRules)
    }
}

/// Unpacks rows, one for each question.
fn check_rows<T: Decode>(
    answer: &[u8],
    want: usize,
    check: impl Fn(T) -> Result<T, String>,
) -> Result<Vec<Result<T, Violation>>, String> {
    // Before anything is unpacked: the count says how much memory the rows will take.
    let stated = answer.first_chunk().map(|length| u32::from_le_bytes(*length));
    match stated {
        Some(rows) if rows as usize == want => {}
        Some(rows) => return Err(format!("{rows} rows for {want} questions")),
        None => return Err(format!("{} bytes are too few for a list", answer.len())),
    }
    let answers: Vec<Result<T, Violation>> = read_rows(answer).map_err(|error| error.to_string())?;
    answers
        .into_iter()
        .enumerate()
        .map(|(row, answer)| check_verdict(answer, &check).map_err(|detail| format!("row {row}: {detail}")))
        .collect()
}

pub(crate) fn check_verdict<A, T>(
    answer: Result<A, Violation>,
    check: impl Fn(A) -> Result<T, String>,
) -> Result<Result<T, Violation>, String> {
    match answer {
        Ok(value) => check(value).map(Ok),
        Err(violation) => check_violation(violation).map(Err),
    }
}

fn check_violation(violation: Violation) -> Result<Violation, String> {
    if !is_dashed(&violation.rule, RULE_BYTES_MAX) {
        return Err(format!(
            "the rule's name {:?} is not lower-case words joined by dashes",
            violation.rule.chars().take(RULE_BYTES_MAX).collect::<String>()
        ));
    }
    at_most("detail of a violation", violation.detail.len(), DETAIL_BYTES_MAX)?;
    if violation.detail.chars().any(char::is_control) {
        return Err("the detail of a violation holds control characters".to_owned());
    }
    Ok(violation)
}

pub(crate) fn check_header(header: Vec<u8>) -> Result<Vec<u8>, String> {
    at_most("header", header.len(), HEADER_BYTES_MAX)?;
    if header.is_empty() { Err("the header is empty".to_owned()) } else { Ok(header) }
}

fn check_pow(pow: &PowInput) -> Result<(), String> {
    at_most("proof-of-work input", pow.bytes.len(), HEADER_BYTES_MAX)?;
    if pow.is_sound() {
        return Ok(());
    }
    Err(format!(
        "the proof-of-work input has {} bytes; a nonce of {} at {} or a rolled field at {} does not lie in them",
        pow.bytes.len(),
        pow.nonce_bytes,
        pow.nonce_offset,
        pow.roll_offset
    ))
}

fn check_view(view: HeaderView) -> Result<HeaderView, String> {
    at_most("parents", view.parents.len(), PARENTS_MAX)?;
    check_pow(&view.pow)?;
    Ok(view)
}

fn check_placement(placement: Placement) -> Result<Placement, String> {
    at_most("merge set", placement.merge_set.len(), MERGE_SET_MAX)?;
    at_most("state", placement.state.len(), STATE_BYTES_MAX)?;
    Ok(placement)
}

fn check_requirements(requirements: Requirements, tips: &[BlockId]) -> Result<Requirements, String> {
    at_most("parents", requirements.parents.len(), PARENTS_MAX)?;
    if let Some(parent) = requirements.parents.iter().find(|parent| !tips.contains(parent)) {
        return Err(format!("parent {parent} is none of the tips"));
    }
    let difficulty = check_difficulty(requirements.difficulty)?;
    Ok(Requirements { difficulty, ..requirements })
}

fn check_difficulty(difficulty: String) -> Result<String, String> {
    at_most("difficulty", difficulty.len(), DIFFICULTY_BYTES_MAX)?;
    let decimal = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    if !difficulty.starts_with(|first: char| first.is_ascii_digit()) || !difficulty.bytes().all(decimal) {
        return Err(format!("the difficulty {difficulty:?} is not a decimal number"));
    }
    Ok(difficulty)
}

fn check_template(template: Template) -> Result<Template, String> {
    let header = check_header(template.header)?;
    check_pow(&template.pow)?;
    Ok(Template { header, ..template })
}

fn at_most(what: &str, have: usize, max: usize) -> Result<(), String> {
    if have <= max { Ok(()) } else { Err(format!("{what}: {have}, at most {max} allowed")) }
}
