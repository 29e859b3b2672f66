use super::*;
use crate::pool::shared::{MinerName, job_of};
use adit_chain::{
    Block, Chain, ChainConfig, Conflicts, MempoolLimits, OrphanLimits, SecretKey, TemplateLimits, TemplateRequest,
};
use adit_network::NodeId;
use adit_network::shares::record::commitment;
use adit_network::shares::{Credit as ShareCredit, Entry, PoolId, Share, ShareId};
use adit_plugin_longest_chain::LongestChain;
use adit_plugin_pplns::Pplns;
use adit_plugin_sdk::{Consensus, PayoutScheme, judge};
use adit_primitives::contract::payout::{Credit, Economics, FoundBlock, PayoutPlan, ShareToWeigh, Weight};
use adit_primitives::contract::{
    Candidate, Draft, HeaderView, Placement, Requirements, Scan, SearchJob, Template, Violation,
};
use adit_primitives::engine::{Fault, HashEngine, SharedView};
use adit_primitives::storage::{Batch, MemoryStorage, Storage, Table};
use adit_primitives::{Decode, Hash256, Timestamp, sha256d};

const POOL: PoolId = PoolId([7; 32]);
const NOW: Timestamp = Timestamp::from_secs(1_700_003_600);
const TAG: &[u8] = b"/test/";

/// The rules without a sandbox around them.
struct Native<P>(P);

impl RulesEngine for Native<LongestChain> {
    fn genesis(&self) -> Result<Vec<u8>, Fault> {
        Ok(self.0.genesis())
    }

    fn decode(&self, headers: &[Vec<u8>]) -> Result<Vec<Result<HeaderView, Violation>>, Fault> {
        Ok(headers.iter().map(|header| self.0.decode(header)).collect())
    }

    fn place(&self, view: &SharedView, candidates: &[Candidate]) -> Result<Vec<Result<Placement, Violation>>, Fault> {
        Ok(judge::judge(&self.0, &**view, candidates))
    }

    fn next(
        &self,
        view: &SharedView,
        tips: &[BlockId],
        wish: Option<u64>,
    ) -> Result<Result<Requirements, Violation>, Fault> {
        Ok(self.0.next(&**view, tips, wish))
    }

    fn encode(&self, draft: &Draft) -> Result<Result<Template, Violation>, Fault> {
        Ok(self.0.encode(draft))
    }

    fn difficulty(&self, bits: u32) -> Result<Result<String, Violation>, Fault> {
        Ok(self.0.difficulty(bits))
    }

    fn seal(&self, header: &[u8], nonce: u64, rolled: u32) -> Result<Result<Vec<u8>, Violation>, Fault> {
        Ok(self.0.seal(header, nonce, rolled))
    }
}

impl PayoutEngine for Native<Pplns> {
    fn plan(&mut self) -> Result<PayoutPlan, Fault> {
        Ok(self.0.plan())
    }

    fn weigh(&mut self, shares: &[ShareToWeigh]) -> Result<Vec<u64>, Fault> {
        Ok(shares.iter().map(|share| self.0.weigh(share)).collect())
    }

    fn split(&mut self, block: &FoundBlock, weights: &[Weight]) -> Result<Vec<Credit>, Fault> {
        Ok(self.0.split(block, weights))
    }

    fn settle(&mut self, shares: &[Weight], economics: &Economics) -> Result<Vec<Credit>, Fault> {
        Ok(self.0.settle(shares, economics))
    }
}

struct Sha256d;

impl HashEngine for Sha256d {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        digests.extend(inputs.chunks_exact(each).map(|input| Hash256(sha256d(input))));
        Ok(())
    }

    fn search(&mut self, _: &SearchJob, _: u64, _: u64) -> Result<Scan, Fault> {
        unreachable!("nothing is searched here")
    }
}

fn rules() -> Arc<Native<LongestChain>> {
    let config = serde_json::json!({
        "header": "bitcoin",
        "genesis": { "time-seconds": 1_700_000_000, "bits": 0x207f_ffff, "message": "test" },
        "retarget": { "rule": "litecoin", "enabled": false, "limit-bits": 0x207f_ffff },
        "subsidy": { "initial-atoms": 3_000 },
    });
    Arc::new(Native(LongestChain::new(serde_json::from_value(config).unwrap()).unwrap()))
}

fn chain_config() -> ChainConfig {
    ChainConfig {
        identity: Hash256([1; 32]),
        ledger: LedgerRules {
            coinbase_maturity: 1,
            conflicts: Conflicts::RefuseBlock,
            block_bytes_max: 100_000,
            block_transactions_max: 1_000,
            header_bytes_max: 1_000,
            data_bytes_max: 100,
            money_max: Amount::from_atoms(1 << 50),
        },
        mempool: MempoolLimits {
            transactions_max: 10,
            bytes_max: 10_000,
            fee_per_kilobyte_min: Amount::from_atoms(1),
            package_max: 10,
        },
        orphans: OrphanLimits { blocks_max: 10, bytes_max: 10_000, early_ms_max: 1_000, fork_depth_max: u64::MAX },
        templates: TemplateLimits { lifetime_ms: 1_000, templates_max: 8 },
        placement_bytes_max: 1 << 20,
    }
}

fn prefix() -> AddressPrefix {
    AddressPrefix::new("test").unwrap()
}

fn address(seed: u8) -> String {
    prefix().address(SecretKey::from_bytes([seed; 32]).unwrap().public()).to_string()
}

/// A chain with its genesis alone, and a pool that has certified three rounds.
struct World {
    chain: Chain,
    payouts: Payouts,
}

/// Two shares of `one` for each of `two`; what is no address is nobody's.
fn round(number: u64) -> Past {
    let accounts = [address(1), address(1), address(2), "nobody".to_owned()];
    let credit = |(at, account): (u8, String)| ShareCredit {
        share: ShareId([at; 32]),
        base: number - 1,
        node: NodeId([1; 32]),
        account,
        worker: String::new(),
        difficulty: ShareDifficulty::from_log2_hashes(10),
    };
    let root = Hash256([u8::try_from(number).unwrap(); 32]);
    let credits = (0..).zip(accounts).map(credit).collect();
    Past { base: Base { round: number, root }, credits, punished: Vec::new() }
}

fn world(rounds: u64) -> World {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let mut batch = Batch::default();
    for past in (1..=rounds).map(round) {
        batch.put(Table::Credits, [&POOL.0[..], &past.base.round.to_be_bytes()].concat(), past.to_bytes());
    }
    if rounds > 0 {
        batch.put(Table::Agreement, [&POOL.0[..], b"newest"].concat(), rounds.to_bytes());
    }
    storage.commit(batch).unwrap();
    let chain = Chain::open(chain_config(), Arc::clone(&storage), rules(), Box::new(Sha256d)).unwrap();
    let payouts = Payouts::new(PayoutsParts {
        rounds: CertifiedRounds::open(storage, POOL).unwrap(),
        reader: chain.reader(),
        rules: rules(),
        scheme: Box::new(Native(Pplns::new(Default::default()).unwrap())),
        window_thousandths: 2_000,
        prefix: prefix(),
        ledger: chain_config().ledger,
        outputs: OutputRules { least: Amount::from_atoms(1), outputs_max: 10, foundation: None },
    });
    World { chain, payouts }
}

impl World {
    fn work(&mut self) -> BlockTemplate {
        let request = TemplateRequest { pay_to: PublicKey([0; 32]), extra: Payouts::extra(TAG), difficulty: None };
        let template = self.chain.template(NOW, &request).unwrap();
        self.payouts.work(&template, TAG).unwrap()
    }

    #[track_caller]
    fn check(&mut self, change: impl FnOnce(&mut Job), want: Result<(), JobFault>) {
        let mut job = job_of(&self.work()).unwrap();
        change(&mut job);
        assert_eq!(self.payouts.head(&job).map(|_| ()), want);
    }
}

fn broken(rule: &str) -> Result<(), JobFault> {
    Err(JobFault::Wrong { rule: rule.to_owned() })
}

#[test]
fn a_block_of_the_pools_own_work_pays_as_the_rounds_say() {
    let mut world = world(3);
    let work = world.work();
    let coinbase = work.coinbase.with(Some(&[9; COMMITMENT_BYTES]), &[1; 4], &[2; 4]);
    let header = work.header(work.root(&coinbase), work.version, work.time, 0);
    let block = Block::from_bytes(&work.block(&header, &coinbase)).unwrap();
    let mut paid: Vec<(String, u64)> = block.body[0]
        .outputs
        .iter()
        .map(|output| (prefix().address(output.key).to_string(), output.amount.to_atoms()))
        .collect();
    paid.sort_by_key(|(_, atoms)| *atoms);
    assert_eq!(paid, [(address(2), 1_000), (address(1), 2_000)]);
    assert_eq!(block.body_root().unwrap().0, header[36..68]);
    assert_eq!(block.body[0].coinbase_data().unwrap().height, Height(1));
}

#[test]
fn another_node_builds_the_header_that_a_miner_hashed() {
    let mut world = world(3);
    let work = world.work();
    let job = job_of(&work).unwrap();
    let name = MinerName { account: address(1), worker: "rig".to_owned() };
    let payee = name.payee(ShareDifficulty::from_log2_hashes(20));
    let node = NodeId([5; 32]);
    let committed = commitment(POOL, job.base, node, &payee);
    let (number, pool, miner) = ([0; JOB_BYTES], [1; 4], [2; 4]);
    let coinbase = work.coinbase.with(Some(&committed), &pool, &miner);
    let hashed = work.header(work.root(&coinbase), 0x2000_0000, work.time + 1, 77);
    let extranonce = [number, pool, miner].concat().try_into().unwrap();
    let entry = Entry { job: 0, payee: 0, version: 0x2000_0000, extranonce, time: work.time + 1, nonce: 77 };
    let head = world.payouts.head(&job).unwrap();
    assert_eq!(Share { node, job: &job, payee: &payee, entry: &entry }.header(POOL, &head), hashed);
}

#[test]
fn a_job_that_no_node_of_the_pool_could_have_made_is_wrong() {
    let mut world = world(3);
    world.check(|_| (), Ok(()));
    world.check(|job| job.reward = Amount::from_atoms(3_001), Ok(()));
    world.check(|job| job.height = Height(2), broken("another height than its block has"));
    world.check(|job| job.bits -= 1, broken("bits that the rules do not say"));
    world.check(|job| job.reward = Amount::from_atoms(2_999), broken("a reward below what its block creates"));
    world.check(|job| job.reward = Amount::from_atoms(u64::MAX), broken("a reward beyond all money"));
    world.check(|job| job.tail = vec![0; 49], broken("a coinbase with more data than the ledger takes"));
    world.check(|job| job.base.root = Hash256([9; 32]), broken("another root for its base"));
    let beginning = |root| move |job: &mut Job| job.base = Base { round: 0, root };
    world.check(beginning(Hash256(POOL.0)), Ok(()));
    world.check(beginning(Hash256([8; 32])), broken("another pool's beginning"));
}

#[test]
fn what_is_not_here_yet_is_nobodys_fault() {
    let mut world = world(3);
    world.check(|job| job.base.round = 4, Err(JobFault::Unknown));
    world.check(|job| job.previous = BlockId([9; 32]), Err(JobFault::Unknown));
}

#[test]
fn jobs_differ_where_their_base_their_height_or_their_reward_does() {
    let mut world = world(3);
    let job = job_of(&world.work()).unwrap();
    let head = world.payouts.head(&job).unwrap();
    assert_eq!(world.payouts.head(&job).unwrap(), head);
    let more = Job { reward: Amount::from_atoms(3_001), ..job.clone() };
    assert_ne!(world.payouts.head(&more).unwrap(), head);
    // One round back, the same accounts have done the same parts of the work.
    let before = Job { base: round(2).base, ..job };
    assert_eq!(world.payouts.head(&before).unwrap(), head);
}

#[test]
fn before_anything_is_credited_nobody_is_paid() {
    let mut world = world(0);
    let work = world.work();
    assert_eq!(work.coinbase.base, Some(template::Base { round: 0, root: Hash256(POOL.0) }));
    assert_eq!(world.payouts.pays(&job_of(&work).unwrap()).unwrap().len(), 0);
}

#[test]
fn a_full_block_leaves_transactions_out_and_not_payees() {
    let mut world = world(3);
    let template = {
        let request = TemplateRequest { pay_to: PublicKey([0; 32]), extra: Payouts::extra(TAG), difficulty: None };
        world.chain.template(NOW, &request).unwrap()
    };
    // Room for the coinbase alone.
    let besides = 4 + HEADER_BYTES + 4;
    world.payouts.ledger.block_bytes_max = besides + Transaction::COINBASE_BYTES + 10 * 40 + 100;
    assert!(world.payouts.room(TAG.len()) < 100);
    let work = world.payouts.work(&template, TAG).unwrap();
    assert_eq!((work.reward, work.fees), (Amount::from_atoms(3_000), Amount::ZERO));
}
