//! Who may send shares: names become accounts and workers of the books, once, and are remembered.

use super::shared::MinerName;
use super::upstreams::Upstreams;
use crate::clock::Clock;
use adit_pool::work::bans::Bans;
use adit_primitives::accounts::{Accounts, AccountsError, WorkerId};
use adit_primitives::contract::payout::AccountId;
use adit_protocol::stratum::message::Refusal;
use lru::LruCache;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// Names that are remembered: each takes about a hundred bytes.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");

const BANNED: Refusal = Refusal::other("banned: too many invalid shares");
const NO_ADDRESS: Refusal = Refusal::other("the user name does not begin with an address that this chain can pay");
const UNSHOWN: Refusal = Refusal::other("the user name has characters that cannot be shown");
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
}

impl Members {
    /// Begins with nobody known.
    pub fn new(books: Arc<dyn Accounts>, upstreams: Arc<Upstreams>, bans: Arc<Mutex<Bans>>, clock: Clock) -> Self {
        Self { books, upstreams, bans, clock, known: Mutex::new(LruCache::new(REMEMBERED)) }
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
        let (text, worker) = user.split_once('.').unwrap_or((user, ""));
        let address = match self.upstreams.address(text).await {
            Ok(Some(address)) => address,
            Ok(None) => return Err(NO_ADDRESS),
            Err(error) => {
                tracing::warn!(%error, "no upstream checks a miner's address");
                return Err(NOT_NOW);
            }
        };
        let (books, worker) = (Arc::clone(&self.books), worker.to_owned());
        let entered = tokio::task::spawn_blocking(move || {
            let account = books.account_of(&address, now)?;
            let id = books.worker_of(account, &worker, now)?;
            let name = Arc::new(MinerName { account: address, worker });
            Ok::<_, AccountsError>(Member { account, worker: id, name })
        });
        match entered.await {
            Ok(Ok(member)) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.put(Arc::clone(user), member.clone());
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
