//! The proof that a native engine equals its sandboxed reference, before it may mine.
//!
//! Kernels go wrong at edges: in one lane of many, where the nonce carries or wraps, for a length whose padding falls into another
//! block, for the one find that comes last in its group. So the proof does not only draw inputs; it seeks those places out.
//! [`known`] holds finds that no proof could draw.

pub mod known;

pub use self::known::known_hits;

use crate::random::Random;
use adit_primitives::contract::{Found, SearchJob};
use adit_primitives::engine::{Fault, HashEngine};
use adit_primitives::{Hash256, Target, U256};

/// No known kernel tries more nonces at once: the native scrypt has 48 in flight.
const LANES_MAX: u64 = 48;

/// How many nonces a search of the proof covers: more than any kernel's lanes, and no multiple of them.
const NONCES: u64 = 49;

/// The same where several versions are searched at once.
const NONCES_ROLLED: u64 = 19;

/// In what a native engine and its reference differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("the digest of an input of {} bytes is {native}, the reference has {reference}", input.len())]
    Digest { input: Vec<u8>, native: Hash256, reference: Hash256 },
    #[error("{asked} inputs got {given} digests")]
    DigestCount { asked: usize, given: usize },
    #[error("nonce {} of input {} meets the target and was not found by a search over {count} nonces from {first}", missed.nonce, missed.input)]
    Missed { missed: Found, first: u64, count: u64 },
    #[error("nonce {} of input {} was found and does not meet the target, or was not asked for", found.nonce, found.input)]
    False { found: Found },
    #[error("nonce {} of input {} was found twice", found.nonce, found.input)]
    Repeated { found: Found },
    #[error("a search over {asked} nonces says that it tried {scanned}")]
    Scanned { asked: u64, scanned: u64 },
    #[error("no answer from the native engine: {0}")]
    Fault(Fault),
}

/// Why a proof was not completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the native engine differs from the reference: {0}")]
    Differs(#[from] Difference),
    #[error("the reference gave no answer: {0}")]
    Reference(#[from] Fault),
}

/// The shape of a search to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    pub length: usize,
    pub nonce_offset: u32,
    pub nonce_bytes: u32,
    /// How many versions are searched at once.
    pub inputs: usize,
    /// Whether to put a lone find into every lane, one after another.
    pub every_lane: bool,
}

/// A nonce that is known to meet its job's target, with its first input. Where an algorithm has published vectors, they reach what
/// no proof can draw: a target so hard that a kernel takes the path it takes in earnest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHit {
    pub job: SearchJob,
    pub nonce: u64,
}

/// What a proof compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Random inputs follow from it alone.
    pub seed: u64,
    /// How many inputs to hash one by one, over all lengths.
    pub digests: usize,
    /// Lengths of those inputs, in bytes, none of them 0.
    pub lengths: Vec<usize>,
    pub searches: Vec<Search>,
    pub hits: Vec<KnownHit>,
}

impl Plan {
    /// Returns the plan for algorithms of a million hashes a second and more: both header formats, the edges of 64-byte blocks, every width of nonce.
    pub fn thorough(seed: u64) -> Self {
        let search = |length, nonce_offset, nonce_bytes, inputs| {
            let every_lane = length >= 80 && nonce_offset >= 72 && nonce_bytes >= 4 && inputs == 1 && length <= 88;
            Search { length, nonce_offset, nonce_bytes, inputs, every_lane }
        };
        Self {
            seed,
            digests: 1_024,
            lengths: vec![
                1, 3, 4, 31, 32, 55, 56, 63, 64, 65, 76, 80, 88, 111, 112, 119, 120, 127, 128, 129, 180, 200, 255, 256,
                1_000,
            ],
            searches: vec![
                search(80, 76, 4, 1),
                search(88, 76, 8, 1),
                search(80, 76, 4, 16),
                search(88, 76, 8, 16),
                search(88, 76, 8, 5),
                search(80, 76, 3, 2),
                search(80, 72, 8, 1),
                search(80, 0, 4, 1),
                search(64, 56, 8, 1),
                search(100, 60, 8, 1),
                search(40, 20, 2, 1),
                search(33, 32, 1, 1),
                search(140, 129, 5, 1),
            ],
            hits: Vec::new(),
        }
    }

    /// Adds the known hits of an algorithm, where it has any ([`known_hits`]).
    pub fn with_known_hits(self, algorithm: &str) -> Self {
        Self { hits: known_hits(algorithm), ..self }
    }

    /// Returns the plan for algorithms of some thousand hashes a second: a quarter of the work of [`Plan::thorough`], over the same
    /// thousand inputs, with both header formats and fewer shapes besides.
    pub fn brief(seed: u64) -> Self {
        let Self { searches, .. } = Self::thorough(seed);
        let search = |number: usize, inputs, every_lane| Search { inputs, every_lane, ..searches[number] };
        Self { searches: vec![search(0, 1, true), search(1, 1, false), search(1, 4, false)], ..Self::thorough(seed) }
    }
}

/// Compares a native engine with its reference by a plan.
pub fn prove(native: &mut dyn HashEngine, reference: &mut dyn HashEngine, plan: &Plan) -> Result<(), ProofError> {
    let mut random = Random::new(plan.seed);
    let mut left = plan.digests;
    for (round, length) in plan.lengths.iter().cycle().enumerate() {
        if left == 0 {
            break;
        }
        let count = left.min(1 + usize::try_from(random.below(2 * LANES_MAX)).expect("a small number"));
        let inputs = fill(count * length, round, &mut random);
        compare_digests(native, reference, &inputs, *length)?;
        left -= count;
    }
    for (number, search) in plan.searches.iter().enumerate() {
        prove_search(native, reference, *search, number, &mut random)?;
    }
    plan.hits.iter().try_for_each(|hit| prove_hit(native, reference, hit))
}

/// Compares the digests of inputs of `each` bytes.
pub fn compare_digests(
    native: &mut dyn HashEngine,
    reference: &mut dyn HashEngine,
    inputs: &[u8],
    each: usize,
) -> Result<(), ProofError> {
    let digests = native_digests(native, inputs, each)?;
    let mut want = Vec::with_capacity(digests.len());
    reference.digest_many(inputs, each, &mut want)?;
    for ((input, native), reference) in inputs.chunks_exact(each).zip(digests).zip(want) {
        if native != reference {
            return Err(Difference::Digest { input: input.to_vec(), native, reference }.into());
        }
    }
    Ok(())
}

/// Hashes natively, and checks that there is a digest for each input.
pub fn native_digests(native: &mut dyn HashEngine, inputs: &[u8], each: usize) -> Result<Vec<Hash256>, Difference> {
    let asked = inputs.len() / each.max(1);
    let mut digests = Vec::with_capacity(asked);
    native.digest_many(inputs, each, &mut digests).map_err(Difference::Fault)?;
    if digests.len() == asked { Ok(digests) } else { Err(Difference::DigestCount { asked, given: digests.len() }) }
}

/// Compares a native search with what the reference's digests say, under a target that about one in `one_in` digests meets.
pub fn compare_sample(
    native: &mut dyn HashEngine,
    reference: &mut dyn HashEngine,
    job: &SearchJob,
    (first, count): (u64, u64),
    one_in: u64,
) -> Result<(), ProofError> {
    let window = Window::read(reference, job, first, count)?;
    window.compare(native, Target(U256::MAX / U256::from(one_in.max(1))), first, count)?;
    Ok(())
}

/// Returns how far `nonce` lies behind `first` in the job's nonce field.
pub fn steps_between(job: &SearchJob, first: u64, nonce: u64) -> u64 {
    nonce.wrapping_sub(first) & nonce_mask(job)
}

fn nonce_mask(job: &SearchJob) -> u64 {
    job.nonces().map_or(u64::MAX, |nonces| nonces - 1)
}

fn prove_search(
    native: &mut dyn HashEngine,
    reference: &mut dyn HashEngine,
    search: Search,
    number: usize,
    random: &mut Random,
) -> Result<(), ProofError> {
    let job = SearchJob {
        inputs: (0..search.inputs).map(|_| fill(search.length, number, random)).collect(),
        nonce_offset: search.nonce_offset,
        nonce_bytes: search.nonce_bytes,
        target: Target::MAX,
    };
    let mask = nonce_mask(&job);
    let count = mask.min(if search.inputs == 1 { NONCES } else { NONCES_ROLLED });
    // Where the lowest byte, the lowest half word, the lowest word, and the whole field overflow; and anywhere.
    let carries = [8, 16, 32].into_iter().filter(|bits| *bits < 8 * search.nonce_bytes && search.inputs == 1);
    let places = carries.map(|bits| 1 << bits).chain([0]).map(|place: u64| place.wrapping_sub(count / 2));
    for first in places.chain([random.next()]).map(|first| first & mask) {
        let window = Window::read(reference, &job, first, count)?;
        window.compare(native, Target::MAX, first, count)?;
        window.compare(native, window.lowest().1, first, count)?;
    }
    let window = Window::read(reference, &job, random.next() & mask, count)?;
    window.compare(native, window.median(), window.first(), count)?;
    if search.every_lane { prove_every_lane(native, reference, &job, random.next() & mask) } else { Ok(()) }
}

/// Puts the one find near `around` into each lane.
fn prove_every_lane(
    native: &mut dyn HashEngine,
    reference: &mut dyn HashEngine,
    job: &SearchJob,
    around: u64,
) -> Result<(), ProofError> {
    let mask = nonce_mask(job);
    let (found, target) = Window::read(reference, job, around, LANES_MAX)?.lowest();
    let window = Window::read(reference, job, found.nonce.wrapping_sub(LANES_MAX) & mask, LANES_MAX + 1)?;
    for lane in 0..LANES_MAX {
        window.compare(native, target, found.nonce.wrapping_sub(lane) & mask, lane + 1)?;
    }
    Ok(())
}

fn prove_hit(native: &mut dyn HashEngine, reference: &mut dyn HashEngine, hit: &KnownHit) -> Result<(), ProofError> {
    let mask = nonce_mask(&hit.job);
    let first = |lane: u64| hit.nonce.wrapping_sub(lane) & mask;
    let window = Window::read(reference, &hit.job, first(LANES_MAX - 1), LANES_MAX)?;
    for lane in 0..LANES_MAX {
        window.compare(native, hit.job.target, first(lane), lane + 1)?;
    }
    Ok(())
}

/// The digests of some nonces in a row with every input of a job, by the reference.
struct Window<'a> {
    job: &'a SearchJob,
    digests: Vec<(Found, Hash256)>,
}

impl<'a> Window<'a> {
    fn read(reference: &mut dyn HashEngine, job: &'a SearchJob, first: u64, count: u64) -> Result<Self, Fault> {
        let mask = nonce_mask(job);
        let (mut tried, mut bytes) = (Vec::new(), Vec::new());
        for (input, base) in (0..).zip(&job.inputs) {
            for nonce in (0..count).map(|step| first.wrapping_add(step) & mask) {
                let begin = bytes.len();
                bytes.extend_from_slice(base);
                job.write_nonce(&mut bytes[begin..], nonce);
                tried.push(Found { nonce, input });
            }
        }
        let mut digests = Vec::with_capacity(tried.len());
        reference.digest_many(&bytes, job.inputs[0].len(), &mut digests)?;
        Ok(Self { job, digests: tried.into_iter().zip(digests).collect() })
    }

    fn first(&self) -> u64 {
        self.digests[0].0.nonce
    }

    fn lowest(&self) -> (Found, Target) {
        let value = |digest: &Hash256| Target(U256::from_le_bytes(digest.0));
        let all = self.digests.iter().map(|(found, digest)| (*found, value(digest)));
        all.min_by_key(|(_, value)| *value).expect("a window is never empty")
    }

    fn median(&self) -> Target {
        let mut values: Vec<_> = self.digests.iter().map(|(_, digest)| U256::from_le_bytes(digest.0)).collect();
        values.sort_unstable();
        Target(values[values.len() / 2])
    }

    /// Compares a native search over a part of the window.
    fn compare(&self, native: &mut dyn HashEngine, target: Target, first: u64, count: u64) -> Result<(), Difference> {
        let job = SearchJob { target, ..self.job.clone() };
        let found = search_all(native, &job, first, count)?;
        let asked = |find: &Found| steps_between(&job, first, find.nonce) < count;
        let meets = self.digests.iter().filter(|(_, digest)| target.is_met_by(&digest.0)).map(|(find, _)| *find);
        let mut want: Vec<Found> = meets.filter(asked).collect();
        want.sort_unstable();
        if let Some(found) = found.iter().find(|find| want.binary_search(find).is_err()) {
            return Err(Difference::False { found: *found });
        }
        match want.into_iter().find(|find| found.binary_search(find).is_err()) {
            Some(missed) => Err(Difference::Missed { missed, first, count }),
            None => Ok(()),
        }
    }
}

/// Searches all of a range, however often the engine stops early, and returns the finds in order.
fn search_all(native: &mut dyn HashEngine, job: &SearchJob, first: u64, count: u64) -> Result<Vec<Found>, Difference> {
    let (mut found, mut done) = (Vec::new(), 0);
    while done < count {
        let asked = count - done;
        let scan = native.search(job, first.wrapping_add(done) & nonce_mask(job), asked).map_err(Difference::Fault)?;
        if scan.scanned == 0 || scan.scanned > asked {
            return Err(Difference::Scanned { asked, scanned: scan.scanned });
        }
        found.extend(scan.found);
        done += scan.scanned;
    }
    sorted_without_repeats(found)
}

/// Sorts finds; one that stands there twice is a difference.
pub fn sorted_without_repeats(mut found: Vec<Found>) -> Result<Vec<Found>, Difference> {
    found.sort_unstable();
    match found.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Difference::Repeated { found: pair[0] }),
        None => Ok(found),
    }
}

/// Returns bytes all 0, all 255 or random by turns.
fn fill(length: usize, turn: usize, random: &mut Random) -> Vec<u8> {
    match turn % 8 {
        0 => vec![0; length],
        1 => vec![0xff; length],
        _ => random.bytes(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sha256d, Wrong, WrongEngine};

    #[track_caller]
    fn check_refused(wrong: Wrong, expected: impl Fn(&Difference) -> bool) {
        let proof = prove(&mut WrongEngine::new(wrong), &mut Sha256d::default(), &Plan::thorough(1));
        match proof {
            Err(ProofError::Differs(difference)) => assert!(expected(&difference), "{difference}"),
            other => panic!("{wrong:?}: {other:?}"),
        }
    }

    #[test]
    fn an_engine_equals_itself_under_every_seed() {
        for seed in 0..5 {
            for plan in [Plan::thorough(seed), Plan::brief(seed)] {
                assert_eq!(prove(&mut Sha256d::default(), &mut Sha256d::default(), &plan), Ok(()));
            }
        }
    }

    #[test]
    fn an_engine_that_stops_early_is_no_different() {
        assert_eq!(prove(&mut Sha256d::stopping_after(3), &mut Sha256d::default(), &Plan::thorough(1)), Ok(()));
    }

    #[test]
    fn more_than_a_thousand_inputs_are_compared_even_briefly() {
        let mut reference = Sha256d::default();
        prove(&mut Sha256d::default(), &mut reference, &Plan::brief(1)).unwrap();
        assert!((1_500..2_500).contains(&reference.digests), "{}", reference.digests);
    }

    #[test]
    fn a_brief_proof_still_finds_a_lost_lane_and_a_lost_carry() {
        for wrong in (0..LANES_MAX).map(Wrong::MissesInLane).chain([8, 16, 32, 64].map(Wrong::StopsAtCarry)) {
            let proof = prove(&mut WrongEngine::new(wrong), &mut Sha256d::default(), &Plan::brief(1));
            assert!(matches!(proof, Err(ProofError::Differs(Difference::Missed { .. }))), "{wrong:?}: {proof:?}");
        }
    }

    #[test]
    fn a_wrong_digest_in_any_one_lane_is_found() {
        for lane in 0..16 {
            check_refused(Wrong::DigestInLane(lane), |difference| matches!(difference, Difference::Digest { .. }));
        }
    }

    #[test]
    fn a_find_lost_in_any_one_lane_is_found() {
        for lane in 0..LANES_MAX {
            check_refused(Wrong::MissesInLane(lane), |difference| matches!(difference, Difference::Missed { .. }));
        }
    }

    #[test]
    fn finds_past_a_wrap_or_a_carry_that_get_lost_are_missed() {
        for bits in [8, 16, 32, 64] {
            check_refused(Wrong::StopsAtCarry(bits), |difference| matches!(difference, Difference::Missed { .. }));
        }
    }

    #[test]
    fn a_find_of_a_wrong_version_is_found() {
        check_refused(Wrong::MixesInputs, |difference| {
            matches!(difference, Difference::Missed { .. } | Difference::False { .. } | Difference::Repeated { .. })
        });
    }

    #[test]
    fn false_and_repeated_finds_are_found() {
        check_refused(Wrong::FalseFind, |difference| matches!(difference, Difference::False { .. }));
        check_refused(Wrong::RepeatsFinds, |difference| matches!(difference, Difference::Repeated { .. }));
    }

    #[test]
    fn a_target_compared_without_its_equal_is_found() {
        check_refused(Wrong::TargetExclusive, |difference| matches!(difference, Difference::Missed { .. }));
    }

    #[test]
    fn a_wrong_padding_for_one_length_is_found() {
        check_refused(Wrong::DigestOfLength(119), |difference| matches!(difference, Difference::Digest { .. }));
    }

    #[test]
    fn an_engine_that_counts_wrongly_is_found() {
        check_refused(Wrong::ScansNothing, |difference| matches!(difference, Difference::Scanned { scanned: 0, .. }));
        check_refused(Wrong::ScansTooMuch, |difference| matches!(difference, Difference::Scanned { .. }));
        check_refused(Wrong::DigestMissing, |difference| matches!(difference, Difference::DigestCount { .. }));
    }

    #[test]
    fn an_engine_that_faults_is_refused_with_its_words() {
        check_refused(Wrong::Faults, |difference| difference.to_string().contains("out of order"));
    }

    #[test]
    fn a_kernel_that_misses_only_real_targets_is_found_by_a_known_hit() {
        let mut plan = Plan::thorough(1);
        assert_eq!(prove(&mut WrongEngine::new(Wrong::MissesHardTargets), &mut Sha256d::default(), &plan), Ok(()));
        plan = plan.with_known_hits("sha256d");
        let proof = prove(&mut WrongEngine::new(Wrong::MissesHardTargets), &mut Sha256d::default(), &plan);
        assert!(matches!(proof, Err(ProofError::Differs(Difference::Missed { .. }))), "{proof:?}");
        assert_eq!(prove(&mut Sha256d::default(), &mut Sha256d::default(), &plan), Ok(()));
    }

    #[test]
    fn a_fault_of_the_reference_is_no_difference() {
        let proof = prove(&mut Sha256d::default(), &mut WrongEngine::new(Wrong::Faults), &Plan::thorough(1));
        assert!(matches!(proof, Err(ProofError::Reference(_))), "{proof:?}");
    }
}
