//! Adit's miner at Adit's pool, without a network: what one hashed, the other hashes again.

use crate::{pools, sessions};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::{Timestamp, sha256d};
use adit_protocol::stratum::client::{Assignment, Client, Dialect, Event, ShareId};
use adit_protocol::stratum::difficulty::share_target;
use adit_protocol::stratum::job::{Announcement, Choice, JobId};
use adit_protocol::stratum::server::{Effect, Session, Submission};
use std::collections::BTreeSet;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_millis(0);

/// 2^6 hashes: found at once.
const EASY: ShareDifficulty = ShareDifficulty::from_log2_hashes(6);

struct Pair {
    client: Client,
    session: Session,
    to_pool: Vec<u8>,
    to_miner: Vec<u8>,
    events: Vec<Event>,
    shares: Vec<Submission>,
}

impl Pair {
    fn new(dialect: Dialect) -> Self {
        let mut to_pool = Vec::new();
        let client = Client::open(pools::settings(), dialect, None, NOW, &mut to_pool);
        let session = Session::new(sessions::settings(), EASY, NOW);
        let mut pair = Self { client, session, to_pool, to_miner: Vec::new(), events: Vec::new(), shares: Vec::new() };
        pair.session.job(&Announcement::new(JobId(7), &sessions::job()), true, &mut pair.to_miner);
        pair.settle();
        pair
    }

    /// Carries lines to and fro until neither side says any more.
    fn settle(&mut self) {
        while !self.to_pool.is_empty() || !self.to_miner.is_empty() {
            let mut effects = Vec::new();
            for line in std::mem::take(&mut self.to_pool).split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                self.session.receive(line, NOW, &mut self.to_miner, &mut effects);
            }
            for effect in effects {
                match effect {
                    Effect::Subscribe(it) => {
                        self.session.subscribed(it, "s", sessions::space(&[1, 2, 3, 4]), &mut self.to_miner);
                    }
                    Effect::Authorize(login) => self.session.authorized(login, Ok(()), &mut self.to_miner),
                    Effect::Submit(share) => {
                        self.session.judged(&share.ticket, Ok(()), &mut self.to_miner);
                        self.shares.push(share);
                    }
                    other => panic!("{other:?}"),
                }
            }
            for line in std::mem::take(&mut self.to_miner).split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
            {
                self.client.receive(line, NOW, &mut self.to_pool, &mut self.events);
            }
        }
    }

    fn work(&self) -> Arc<Assignment> {
        let work = self.events.iter().rev().find_map(|event| match event {
            Event::Work(work) => Some(Arc::clone(work)),
            _ => None,
        });
        work.expect("the pool sent work")
    }
}

fn check(dialect: Dialect, version: u32) {
    let mut pair = Pair::new(dialect);
    assert!(pair.events.contains(&Event::Authorized), "{:?}", pair.events);
    let work = pair.work();
    assert_eq!(work.target, share_target(EASY));
    let choice = |nonce| Choice { version, time: work.notify.job.time + 5, nonce };
    let hash = |nonce| sha256d(&work.header(&[0, 0, 0, 9], choice(nonce)));
    let nonce = (0..1_000_000).find(|nonce| work.target.is_met_by(&hash(*nonce))).expect("one in 64 hashes is a share");
    let id = pair.client.submit(&work, &[0, 0, 0, 9], choice(nonce), NOW, &mut pair.to_pool).unwrap();
    pair.settle();
    assert!(pair.events.contains(&Event::Accepted(ShareId(id.0))), "{:?}", pair.events);

    let [share] = &pair.shares[..] else { panic!("one share came: {:?}", pair.shares) };
    assert_eq!((share.job, share.difficulty, &*share.worker), (JobId(7), EASY, "address.rig"));
    assert!(!share.version_outside());
    let job = sessions::job();
    let root = job.merkle_root(&job.coinbase(share.extranonce1.as_bytes(), share.extranonce2.as_bytes()));
    let choice = Choice { version: share.version(job.version), time: share.time, nonce: share.nonce };
    assert_eq!(sha256d(&job.header(&root, choice)), hash(nonce));
}

#[test]
fn a_share_with_a_rolled_version_is_the_same_on_both_sides() {
    check(Dialect::Full, 0x2000_0000 | 0x0123_4000);
}

#[test]
fn a_share_of_the_plain_dialect_is_the_same_on_both_sides() {
    check(Dialect::Plain, 0x2000_0000);
}

#[test]
fn a_job_sent_again_is_other_work() {
    let mut pair = Pair::new(Dialect::Full);
    // A miner begins each job at extranonce2 0 and nonce 0, with the time that the pool said.
    let first_header = |work: &Assignment| {
        let job = &work.notify.job;
        work.header(&[0; 4], Choice { version: job.version, time: job.time, nonce: 0 })
    };
    let mut headers = BTreeSet::from([first_header(&pair.work())]);
    for log2 in 7..20 {
        pair.session.set_difficulty(ShareDifficulty::from_log2_hashes(log2));
        pair.session.job(&Announcement::new(JobId(7), &sessions::job()), false, &mut pair.to_miner);
        pair.settle();
        let work = pair.work();
        assert_eq!(work.target, share_target(ShareDifficulty::from_log2_hashes(log2)));
        assert!(headers.insert(first_header(&work)), "what was sent at 2^{log2} is the same work again");
    }
}
