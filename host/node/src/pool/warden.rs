//! Whoever sends too much that is invalid is banned; the operator sees the bans, and lifts them.
//!
//! What is in force is known here at once, and the books have it a moment later: bans and their ends reach them in the order in which they
//! came to be, so that a restart finds what held last.

use super::bookkeeping::BooksFailure;
use super::connections::Connections;
use super::metrics::PoolMetrics;
use adit_pool::work::bans::Bans;
use adit_pool::work::limits::network_of;
use adit_primitives::Timestamp;
use adit_primitives::accounts::{Ban, Banned, Change, OperatorChange};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// What the books are to keep of bans.
pub struct Keep {
    pub changes: Vec<Change>,
    /// Who wants to know what became of it.
    pub kept: Option<oneshot::Sender<Result<(), BooksFailure>>>,
}

/// Why no ban was lifted. Those in force still are.
#[derive(Debug, thiserror::Error)]
pub enum LiftError {
    #[error("nobody of that name or address is banned")]
    NotBanned,
    #[error(transparent)]
    Books(#[from] BooksFailure),
    #[error("the pool ends")]
    Ending,
}

/// Bans whoever sends too much that is invalid.
#[derive(Clone)]
pub struct Warden {
    pub connections: Arc<Connections>,
    pub bans: Arc<Mutex<Bans>>,
    pub metrics: Arc<PoolMetrics>,
    /// Where bans go, to be kept.
    pub keeping: mpsc::UnboundedSender<Keep>,
}

impl Warden {
    /// Notes how many of the shares that somebody there sent under each name were invalid, and bans whom that is enough of.
    pub fn note(&self, origin: IpAddr, tallies: &[(Arc<str>, u64, u64)], now: Timestamp) {
        let mut bans = self.bans();
        let new: Vec<Ban> = tallies
            .iter()
            .filter(|(_, count, _)| *count > 0)
            .flat_map(|(user, count, invalid)| bans.note(origin, user, *count, *invalid, now))
            .collect();
        for ban in new {
            tracing::warn!(who = %ban.who, reason = ban.reason, "banned");
            bans.put(ban.clone());
            self.connections.turn_out(&ban.who);
            self.metrics.bans.inc();
            // Without a receiver the pool ends; the ban holds until then.
            drop(self.keeping.send(Keep { changes: vec![Change::Ban(ban)], kept: None }));
        }
    }

    /// Returns how many bans are in force, and `max` of them after the first `skip`: addresses in their order, then names in theirs.
    pub fn list(&self, skip: usize, max: usize, now: Timestamp) -> (usize, Vec<Ban>) {
        let bans = self.bans();
        (bans.list(now).count(), bans.list(now).skip(skip).take(max).cloned().collect())
    }

    /// Lifts the ban of a name or of an IP address, as it is written, and returns what was lifted when the books have it. A note of it stands there too.
    ///
    /// # Errors
    /// Where there is no such ban, and where the books do not take its end: it then holds as before.
    pub async fn lift(&self, who: &str, note: OperatorChange) -> Result<Vec<Ban>, LiftError> {
        let (kept, answer) = oneshot::channel();
        let lifted = {
            // Handed to the books before anybody can be banned anew: what they are told last is what holds.
            let mut bans = self.bans();
            let lifted: Vec<Ban> = meant(who).iter().filter_map(|who| bans.lift(who)).collect();
            if lifted.is_empty() {
                return Err(LiftError::NotBanned);
            }
            let ends = lifted.iter().map(|ban| Change::Unban(ban.who.clone()));
            let changes = ends.chain([Change::Note(note)]).collect();
            // Without a receiver the answer says so.
            drop(self.keeping.send(Keep { changes, kept: Some(kept) }));
            lifted
        };
        let outcome = answer.await.map_err(|_| LiftError::Ending).and_then(|kept| Ok(kept?));
        if let Err(error) = outcome {
            let mut bans = self.bans();
            lifted.into_iter().for_each(|ban| bans.put_back(ban));
            return Err(error);
        }
        for ban in &lifted {
            tracing::warn!(who = %ban.who, "the operator lifted a ban");
        }
        Ok(lifted)
    }

    fn bans(&self) -> MutexGuard<'_, Bans> {
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose bans a text names.
fn meant(who: &str) -> Vec<Banned> {
    let origin = who.parse().ok().map(|address: IpAddr| Banned::Origin(network_of(address)));
    origin.into_iter().chain([Banned::User(who.to_owned())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turns::TurnMetrics;
    use adit_pool::work::bans::BanRules;
    use adit_pool::work::retarget::{RetargetRules, Retargets};
    use adit_primitives::accounts::AccountsError;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const RULES: BanRules =
        BanRules { invalid_percent_max: 10, shares_min: 10, window_ms: 600_000, ban_ms: 3_600_000, known_max: 10 };
    const SENDER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn warden() -> (Warden, mpsc::UnboundedReceiver<Keep>) {
        let (keeping, kept) = mpsc::unbounded_channel();
        let retargets = Retargets::new(RetargetRules { slice_ms: 1, shares_due: 1, quiet_ms: 1, idle_ms: 1 });
        let warden = Warden {
            connections: Arc::new(Connections::new(retargets)),
            bans: Arc::new(Mutex::new(Bans::new(RULES, Vec::new(), NOW))),
            metrics: Arc::new(PoolMetrics::new(&TurnMetrics::default())),
            keeping,
        };
        (warden, kept)
    }

    fn note() -> OperatorChange {
        OperatorChange { time: NOW, who: "test".to_owned(), what: "lifted".to_owned(), reason: String::new() }
    }

    /// Lifts, where the books answer so; returns what they were told.
    async fn lift(
        warden: &Warden,
        kept: &mut mpsc::UnboundedReceiver<Keep>,
        who: &str,
        answer: Result<(), BooksFailure>,
    ) -> (Result<Vec<Ban>, LiftError>, Vec<Change>) {
        let books = async {
            let keep = kept.recv().await.unwrap();
            keep.kept.unwrap().send(answer).unwrap();
            keep.changes
        };
        tokio::join!(warden.lift(who, note()), books)
    }

    #[tokio::test]
    async fn a_lifted_ban_is_out_of_force_and_of_the_books() {
        let (warden, mut kept) = warden();
        warden.note(SENDER, &[("alice.rig".into(), 10, 10)], NOW);
        let origin = kept.recv().await.unwrap().changes;
        assert!(matches!(&origin[..], [Change::Ban(Ban { who: Banned::Origin(SENDER), .. })]), "{origin:?}");
        kept.recv().await.unwrap();
        let (all, some) = warden.list(1, 5, NOW);
        assert_eq!((all, some.len()), (2, 1));
        assert_eq!(some[0].who, Banned::User("alice.rig".to_owned()));

        let (lifted, told) = lift(&warden, &mut kept, "10.0.0.1", Ok(())).await;
        assert_eq!(lifted.unwrap().len(), 1);
        assert_eq!(told, [Change::Unban(Banned::Origin(SENDER)), Change::Note(note())]);
        let (lifted, told) = lift(&warden, &mut kept, "alice.rig", Ok(())).await;
        assert_eq!(lifted.unwrap().len(), 1);
        assert_eq!(told[0], Change::Unban(Banned::User("alice.rig".to_owned())));
        assert_eq!(warden.list(0, 5, NOW), (0, Vec::new()));
    }

    #[tokio::test]
    async fn who_is_not_banned_cannot_be_lifted() {
        let (warden, mut kept) = warden();
        assert!(matches!(warden.lift("10.0.0.1", note()).await, Err(LiftError::NotBanned)));
        assert!(kept.try_recv().is_err(), "the books are told nothing");
    }

    #[tokio::test]
    async fn a_ban_whose_end_the_books_do_not_take_holds() {
        let (warden, mut kept) = warden();
        warden.note(SENDER, &[("a".into(), 10, 10)], NOW);
        kept.recv().await.unwrap();
        kept.recv().await.unwrap();
        let full = BooksFailure::Books(AccountsError::Storage { detail: "no room".to_owned() });
        let (lifted, _) = lift(&warden, &mut kept, "10.0.0.1", Err(full)).await;
        assert!(matches!(lifted, Err(LiftError::Books(_))));
        assert_eq!(warden.list(0, 5, NOW).0, 2);
    }

    #[test]
    fn an_address_means_its_network_however_it_is_written() {
        let network = |text: &str| meant(text).remove(0);
        assert_eq!(network("::ffff:10.0.0.1"), Banned::Origin(SENDER));
        assert_eq!(network("2001:db8::17"), Banned::Origin("2001:db8::".parse().unwrap()));
        assert_eq!(meant("alice"), [Banned::User("alice".to_owned())]);
    }
}
