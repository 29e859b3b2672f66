//! Who may send shares: names become accounts and workers of the books, once, and are remembered.

use super::shared::MinerName;
use super::upstreams::Upstreams;
use crate::clock::Clock;
use adit_pool::work::bans::Bans;
use adit_pool::work::limits::{Bucket, network_of};
use adit_primitives::Timestamp;
use adit_primitives::accounts::{Accounts, AccountsError, WorkerId};
use adit_primitives::contract::payout::AccountId;
use adit_protocol::stratum::message::Refusal;
use lru::LruCache;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// Names that are remembered: each takes about a hundred bytes.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");

/// Networks whose new names are counted. Who is forgotten for others may bring as many again.
const NETWORKS: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

const HOUR_MS: u64 = 3_600_000;

const BANNED: Refusal = Refusal::other("banned: too many invalid shares");
const NO_ADDRESS: Refusal = Refusal::other("the user name does not begin with an address that this chain can pay");
const UNSHOWN: Refusal = Refusal::other("the user name has characters that cannot be shown");
const TOO_MANY_NAMES: Refusal = Refusal::other("too many new names from one address, try again later");
const NOT_NOW: Refusal = Refusal::other("the name cannot be checked now, try again");

/// An account and a worker of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub account: AccountId,
    pub worker: WorkerId,
    pub name: Arc<MinerName>,
}

/// Lets miners in.
pub struct Members {
    books: Arc<dyn Accounts>,
    upstreams: Arc<Upstreams>,
    bans: Arc<Mutex<Bans>>,
    clock: Clock,
    known: Mutex<LruCache<Arc<str>, Member>>,
    new_names: Mutex<NewNames>,
}

/// Bounds how many names a network brings that nobody has heard of: each is a question to the node behind, and a row of the books for ever.
struct NewNames {
    per_hour: u32,
    networks: LruCache<IpAddr, Bucket>,
}

impl NewNames {
    fn new(per_hour: u32) -> Self {
        Self { per_hour, networks: LruCache::new(NETWORKS) }
    }

    /// Counts a name, and tells whether it may come: an hour's worth at once, and then one after another.
    fn admits(&mut self, origin: IpAddr, now: Timestamp) -> bool {
        let bucket = self.networks.get_or_insert_mut(network_of(origin), Bucket::default);
        bucket.take_of(self.per_hour, HOUR_MS, now)
    }
}

impl Members {
    /// Begins with nobody known. Each network may bring `names_per_hour` that are not in the books.
    pub fn new(
        books: Arc<dyn Accounts>,
        upstreams: Arc<Upstreams>,
        bans: Arc<Mutex<Bans>>,
        names_per_hour: u32,
        clock: Clock,
    ) -> Self {
        let known = Mutex::new(LruCache::new(REMEMBERED));
        Self { books, upstreams, bans, clock, known, new_names: Mutex::new(NewNames::new(names_per_hour)) }
    }

    /// Tells whether somebody from there is let in at all.
    pub fn admits(&self, origin: IpAddr) -> bool {
        let bans = self.bans.lock().unwrap_or_else(PoisonError::into_inner);
        bans.find_origin(origin, (self.clock)()).is_none()
    }

    /// Lets `<address>.<worker>` in, or says why not.
    pub async fn enter(&self, origin: IpAddr, user: &Arc<str>) -> Result<Member, Refusal> {
        // Names stand in tables, logs and answers.
        if user.chars().any(char::is_control) {
            return Err(UNSHOWN);
        }
        let now = (self.clock)();
        if self.bans.lock().unwrap_or_else(PoisonError::into_inner).find(origin, user, now).is_some() {
            return Err(BANNED);
        }
        if let Some(member) = self.recall(user) {
            return Ok(member);
        }
        let (address, worker) = user.split_once('.').unwrap_or((user, ""));
        let (address, worker) = (address.to_owned(), worker.to_owned());
        let find = |books: &dyn Accounts, name: &MinerName| books.find_worker(&name.account, &name.worker);
        if let Some(member) = self.of_books(user, (address.clone(), worker.clone()), find).await? {
            return Ok(member);
        }
        if !self.new_names.lock().unwrap_or_else(PoisonError::into_inner).admits(origin, now) {
            return Err(TOO_MANY_NAMES);
        }
        let address = match self.upstreams.address(&address).await {
            Ok(Some(address)) => address,
            Ok(None) => return Err(NO_ADDRESS),
            Err(error) => {
                tracing::warn!(%error, "no upstream checks a miner's address");
                return Err(NOT_NOW);
            }
        };
        let enter = move |books: &dyn Accounts, name: &MinerName| {
            let account = books.account_of(&name.account, now)?;
            Ok(Some((account, books.worker_of(account, &name.worker, now)?)))
        };
        self.of_books(user, (address, worker), enter).await?.ok_or(NOT_NOW)
    }

    /// Asks the books who is behind an address and a worker's name, on a thread where that may wait for a disk, and remembers it.
    async fn of_books(
        &self,
        user: &Arc<str>,
        (account, worker): (String, String),
        ask: impl FnOnce(&dyn Accounts, &MinerName) -> Result<Option<(AccountId, WorkerId)>, AccountsError> + Send + 'static,
    ) -> Result<Option<Member>, Refusal> {
        let books = Arc::clone(&self.books);
        let asked = tokio::task::spawn_blocking(move || {
            let name = MinerName { account, worker };
            let found = ask(&*books, &name)?;
            Ok::<_, AccountsError>(found.map(|(account, worker)| Member { account, worker, name: Arc::new(name) }))
        });
        match asked.await {
            Ok(Ok(member)) => {
                if let Some(member) = &member {
                    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    known.put(Arc::clone(user), member.clone());
                }
                Ok(member)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, user = &**user, "a miner has no account");
                Err(Refusal::other("the name cannot be used"))
            }
            Err(_) => Err(NOT_NOW),
        }
    }

    /// Returns who is behind a name that was let in lately.
    fn recall(&self, user: &str) -> Option<Member> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_brings_no_more_new_names_than_it_may_and_hinders_no_other() {
        let mut names = NewNames::new(60);
        let at = |second: u64| Timestamp::from_secs(1_000_000 + second);
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((0..1000).filter(|_| names.admits(one, at(0))).count(), 60);
        assert!(names.admits(other, at(0)));
        assert!(!names.admits(one, at(59)));
        assert!(names.admits(one, at(60)), "one in a minute");
        assert!(!names.admits(one, at(61)));
    }
}
