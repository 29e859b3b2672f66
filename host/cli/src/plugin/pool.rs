//! Tests of a pool's plugins: their vectors, and every function asked over shares and connections of many kinds. What the sandbox lets
//! through has to be the same in each way to run the plugin.

use adit_plugin_host::Plugin;
use adit_plugin_sdk::testing::{PayoutVector, QuorumVector, ShareVector};
use adit_primitives::contract::payout::{AccountId, Economics, FoundBlock, Pays, ShareToWeigh, Weight, Window};
use adit_primitives::contract::quorum::CheckQuestion;
use adit_primitives::contract::shares::{Claim, ShareDifficulty, WorkHistory, WorkSlice, WorkerRecord};
use adit_primitives::engine::{PayoutEngine, QuorumEngine, ShareEngine};
use adit_primitives::{Encode, Height, U256, Work};
use anyhow::{Context, Result, ensure};

/// The accounts that share what there is.
const ACCOUNTS: u32 = 37;
/// The shares that are weighed and judged.
const SHARES: u32 = 500;

/// Why a plugin cannot be tested.
const NEEDS_DEFAULTS: &str = "the plugin needs settings: give every key a default, so that it can be tested";

/// Checks a payout scheme's vectors, and asks it for its plan, and about shares and blocks. Returns every answer but the vectors'.
pub fn test_payout(plugin: &Plugin, vectors: &[PayoutVector]) -> Result<Vec<u8>> {
    for (number, vector) in (1..).zip(vectors) {
        vector.check(number, &mut plugin.payout(&vector.config())?)?;
    }
    let mut payout = plugin.payout("{}").context(NEEDS_DEFAULTS)?;
    let plan = payout.plan()?;
    let mut answers = vec![u8::from(plan.pays == Pays::Shares), u8::from(plan.weighs)];
    match plan.window {
        Window::None => answers.push(0),
        Window::SinceBlock => answers.push(1),
        Window::LastWork { thousandths } => thousandths.encode(&mut answers),
    }
    let shares: Vec<ShareToWeigh> = (0..SHARES).map(share).collect();
    if plan.weighs {
        payout.weigh(&shares)?.encode(&mut answers);
    }
    let weights: Vec<Weight> = (0..ACCOUNTS).map(weight).collect();
    for distributable in [0, 1, 7, 5_000_000_000, u64::MAX] {
        for shown in [&weights[..0], &weights[..1], &weights] {
            let block = FoundBlock {
                height: Height(9),
                finder: AccountId(5),
                distributable,
                work: Work(U256::from(1u64 << 40)),
            };
            payout.split(&block, shown)?.encode(&mut answers);
            let economics = Economics { subsidy: distributable, mean_fees: 1_000, work: Work(U256::from(u64::MAX)) };
            payout.settle(shown, &economics)?.encode(&mut answers);
        }
    }
    Ok(answers)
}

/// Checks a share validator's vectors, and asks it about shares and connections; one that is a quorum policy also about its terms and
/// batches. Returns every answer but the vectors'.
pub fn test_shares(plugin: &Plugin, vectors: &[ShareVector], quorum: &[QuorumVector]) -> Result<Vec<u8>> {
    for (number, vector) in (1..).zip(vectors) {
        vector.check(number, &mut plugin.shares(&vector.config())?)?;
    }
    let mut validator = plugin.shares("{}").context(NEEDS_DEFAULTS)?;
    let claims: Vec<Claim> = (0..SHARES).map(claim).collect();
    let mut answers = validator.judge(&claims)?.to_bytes();
    let histories: Vec<WorkHistory> = (0..SHARES).map(history).collect();
    answers.extend(validator.retarget(&histories)?.to_bytes());
    if plugin.info().is_quorum() {
        answers.extend(test_quorum(plugin, quorum)?);
    } else {
        ensure!(quorum.is_empty(), "quorum.json is there, but the plugin does not export adit:plugin/quorum");
    }
    Ok(answers)
}

fn test_quorum(plugin: &Plugin, vectors: &[QuorumVector]) -> Result<Vec<u8>> {
    for (number, vector) in (1..).zip(vectors) {
        vector.check(number, &mut plugin.quorum(&vector.config())?)?;
    }
    let mut policy = plugin.quorum("{}").context(NEEDS_DEFAULTS)?;
    let mut answers = policy.terms()?.to_bytes();
    let questions: Vec<CheckQuestion> = (0..SHARES).map(question).collect();
    answers.extend(policy.plan(&questions)?.to_bytes());
    Ok(answers)
}

/// A number without a pattern, from a counter.
fn scattered(number: u32, salt: u32) -> u64 {
    let number = u64::from(number) << 32 | u64::from(salt);
    let mixed = (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 32).wrapping_mul(0x94d0_49bb_1331_11eb) >> 1
}

fn share(number: u32) -> ShareToWeigh {
    ShareToWeigh {
        account: AccountId(number % ACCOUNTS),
        work: 1 << (scattered(number, 1) % 63),
        age_ms: scattered(number, 2) % 100_000_000,
    }
}

fn weight(number: u32) -> Weight {
    Weight { account: AccountId(number), weight: U256::from(scattered(number, 3)) }
}

fn claim(number: u32) -> Claim {
    let bit = |bit: u32| scattered(number, 4) >> bit & 7 == 0;
    let seconds = [0, 1, 7_000, 7_001, -1, i64::MIN, i64::MAX];
    Claim {
        difficulty: ShareDifficulty::from_log2_hashes(u8::try_from(number % 63).unwrap_or(0)),
        meets: !bit(0),
        duplicate: bit(3),
        version_outside: bit(6),
        time_offset_s: seconds[number as usize % seconds.len()],
        stale_ms: if bit(9) { scattered(number, 6) % 10_000 } else { 0 },
        record: WorkerRecord {
            valid: scattered(number, 7) % 10_000,
            invalid: scattered(number, 8) % 300,
            known_ms: scattered(number, 9) % 1_000_000_000,
        },
    }
}

fn question(number: u32) -> CheckQuestion {
    let below = |salt: u32, end: u64| scattered(number, salt) % end;
    let small = |salt: u32, end: u64| u32::try_from(below(salt, end)).unwrap_or(0);
    CheckQuestion {
        shares: 1 + small(20, 100),
        hash_ns: 1 << below(21, 30),
        load_permille: small(22, 1_100),
        validators: small(23, 65),
        weight_permille: small(24, 1_001),
        record: WorkerRecord {
            valid: 1 << below(25, 40),
            invalid: below(26, 4) / 3,
            known_ms: below(27, 1_000_000_000),
        },
    }
}

fn history(number: u32) -> WorkHistory {
    let log2 = |salt: u32| ShareDifficulty::from_log2_hashes(u8::try_from(scattered(number, salt) % 63).unwrap_or(0));
    let difficulty = log2(10);
    let slice = |slice: u32| {
        let shares = scattered(number, 100 + slice) % 50;
        WorkSlice {
            length_ms: scattered(number, 200 + slice) % 10_000,
            shares,
            work: shares.saturating_mul(difficulty.work()),
        }
    };
    let (one, other) = (log2(11), log2(12));
    WorkHistory {
        difficulty,
        least: one.min(other),
        greatest: one.max(other),
        slices: (0..number % 33).map(slice).collect(),
    }
}
