//! Farmers of a pool: who is let in, what each is asked, and what becomes of its partial proofs.
//!
//! To a farmer the pool looks like a node: it gives templates and takes proofs, and the routes that bring both here are those of [`super::api::farm`]. What
//! differs is the score that it asks for. A partial proof is a block's in all but that: signed by the farmer over the pool's header, whose coinbase pays the pool.
//!
//! A plot of the pool's own key is farmed without the key's secret: its proofs come unsigned, and the pool signs them. Whoever farms such plots can win for nobody but the pool.
//!
//! A farmer is known by its name and where it comes from, for as long as it asks for work now and then. Its difficulty changes from one challenge to the
//! next, never under one: what it was asked is what its proofs are worth. It counts as a connection of the pool, with the bounds and bans of one.

mod checking;
mod rivals;

pub use checking::FarmersThread;
pub(super) use rivals::Rivals;

use super::connections::Note;
use super::front::{Front, Place};
use super::members::Member;
use super::upstreams::Upstreams;
use crate::places::Places;
use adit_chain::SecretKey;
use adit_pool::work::farm::{SpaceBook, SpaceJob};
use adit_pool::work::job::JobId;
use adit_pool::work::limits::Bucket;
use adit_pool::work::partial::Partial;
use adit_pool::work::retarget::ConnectionId;
use adit_pool::work::share::{Outcome, Refusal};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::contract::space::{Registration, SpaceProof};
use adit_primitives::engine::{HashEngine, RulesEngine, ShareEngine};
use adit_primitives::identity::Rules;
use adit_primitives::{BlockId, Hash256, Height};
pub(super) use checking::{FarmersChecking, start};
use checking::{Handed, STRANGERS_AT_ONCE, WAITING_OF_ADDRESS};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Farmers known at once.
const FARMERS_MAX: usize = 20_000;

/// How long a farmer that asks for nothing is known.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// In the place of a signature that is the pool's to make.
const UNSIGNED: [u8; 64] = [0; 64];

/// Challenges whose difficulty is remembered for a farmer: its last proofs may come late.
const GIVEN_MAX: usize = 8;

/// Plots whose registration is remembered until the next block.
const REGISTERED_MAX: usize = 100_000;

/// What a pool of farmers works with besides.
pub struct SpaceParts {
    pub rules: Arc<dyn RulesEngine>,
    /// Instances of the chain's hash plugin, one for each thread that scores. At least one.
    pub hash: Vec<Box<dyn HashEngine>>,
    pub validator: Box<dyn ShareEngine>,
    /// What farmers compare with their own rules.
    pub identity: Rules,
    /// Signs for plots of the pool's own key.
    pub signer: SecretKey,
}

/// Why a farmer has no work, or its proof does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FarmerError {
    #[error("there is no job yet")]
    NoJob,
    #[error("the pool lets this farmer not in: {reason}")]
    Refused { reason: String },
    #[error("as many farmers are known as the pool takes")]
    Full,
    #[error("template {id} is not known: it was replaced too long ago, or its farmer was silent for too long")]
    UnknownTemplate { id: u64 },
    #[error("too many shares a second")]
    TooFast,
    #[error("nobody says whether the plot is registered: {detail}")]
    Unasked { detail: String },
    #[error("{}", .0.text())]
    Share(Refusal),
    #[error("the pool ends")]
    Ending,
}

/// What a farmer is given.
#[derive(Debug, Clone)]
pub struct Given {
    /// What its proofs name.
    pub id: u64,
    pub job: Arc<SpaceJob>,
    pub difficulty: ShareDifficulty,
}

/// The farmers.
pub struct Farmers {
    front: Arc<Front>,
    book: Arc<SpaceBook>,
    upstreams: Arc<Upstreams>,
    checking: mpsc::Sender<Handed>,
    identity: Rules,
    signer: SecretKey,
    known: Mutex<Known>,
    registered: Mutex<RegisteredPlots>,
    /// For proofs that wait.
    places: Places,
    /// The same for proofs of farmers who have shown nothing yet: whoever comes from where they do and has shown something finds room beside them.
    strangers: Places,
    /// How few of those are taken at a time.
    turns: Places,
}

#[derive(Default)]
struct Known {
    /// The number of the next farmer.
    next: u32,
    farmers: BTreeMap<u32, Farmer>,
    /// Farmers by name and origin.
    numbers: HashMap<(Arc<str>, IpAddr), u32>,
}

struct Farmer {
    user: Arc<str>,
    origin: IpAddr,
    member: Member,
    connection: ConnectionId,
    /// What the rest of the pool says to it.
    notes: futures_channel::mpsc::UnboundedReceiver<Note>,
    /// For the next challenge.
    difficulty: ShareDifficulty,
    /// What it was asked, by challenge, the newest last.
    given: VecDeque<(Hash256, ShareDifficulty)>,
    heard: Instant,
    /// Whether its last proof that was judged held.
    holds: bool,
    _place: Place,
}

/// Where plots are registered, above one block.
#[derive(Default)]
struct RegisteredPlots {
    above: BlockId,
    heights: BTreeMap<Registration, Height>,
}

impl Farmers {
    /// Begins with nobody. Proofs go to `checking`.
    pub(super) fn new(
        front: Arc<Front>,
        book: Arc<SpaceBook>,
        upstreams: Arc<Upstreams>,
        checking: mpsc::Sender<Handed>,
        (identity, signer): (Rules, SecretKey),
    ) -> Self {
        Self {
            front,
            book,
            upstreams,
            checking,
            identity,
            signer,
            known: Mutex::default(),
            registered: Mutex::default(),
            places: Places::new(WAITING_OF_ADDRESS),
            strangers: Places::new(WAITING_OF_ADDRESS),
            turns: Places::new(STRANGERS_AT_ONCE),
        }
    }

    /// Returns the chain's rules, for farmers to compare.
    pub fn identity(&self) -> &Rules {
        &self.identity
    }

    /// Returns the public key of the plots that the pool signs for.
    pub fn signer(&self) -> Hash256 {
        Hash256(self.signer.public().0)
    }

    /// Returns the job that farmers have, and every later one.
    pub fn jobs(&self) -> watch::Receiver<Option<Arc<SpaceJob>>> {
        self.front.space.clone()
    }

    /// Returns what turns true when the pool ends.
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.front.ending.clone()
    }

    /// Returns what is asked of `<address>.<worker>` now. A farmer that was not known is let in.
    pub async fn work(&self, origin: IpAddr, user: &str) -> Result<Given, FarmerError> {
        let user: Arc<str> = user.into();
        let refused = |reason: &str| FarmerError::Refused { reason: reason.to_owned() };
        let entered = self.front.members.enter(origin, &user).await;
        let member = entered.map_err(|refusal| refused(&refusal.text))?;
        let job = self.front.space.borrow().clone().ok_or(FarmerError::NoJob)?;
        let mut known = self.known();
        let number = match known.numbers.get(&(Arc::clone(&user), origin)) {
            Some(number) => *number,
            None => {
                known.forget_silent(&self.front);
                if known.farmers.len() >= FARMERS_MAX {
                    return Err(FarmerError::Full);
                }
                let place = Arc::clone(&self.front).admit(origin);
                let place = place.ok_or_else(|| refused("too many connections, or banned"))?;
                known.add(&self.front, user, origin, member, place)
            }
        };
        let farmer = known.farmers.get_mut(&number).ok_or(FarmerError::NoJob)?;
        if !farmer.hear(&self.front) {
            known.dismiss(&self.front, number);
            return Err(refused("banned: too many invalid shares"));
        }
        self.front.metrics.jobs_sent.inc();
        Ok(Given { id: template_id(number, job.id), difficulty: farmer.asked(&job, &self.front), job })
    }

    /// Takes a partial proof. When this returns without an error it is kept, and counts.
    pub async fn hand_in(&self, id: u64, mut proof: SpaceProof) -> Result<(), FarmerError> {
        let unknown = FarmerError::UnknownTemplate { id };
        let (number, job) = parts_of(id);
        let job = self.book.job(job).ok_or(unknown.clone())?;
        if proof.claim.key == self.signer() && proof.signature == UNSIGNED {
            let message = proof.claim.message(&self.identity.genesis, &job.template.header);
            proof.signature = self.signer.sign(&message).0;
        }
        let (mut handed, answer, holds) = {
            let mut known = self.known();
            let farmer = known.farmers.get_mut(&number).ok_or(unknown.clone())?;
            farmer.heard = Instant::now();
            let challenge = job.template.challenge.challenge;
            let given = farmer.given.iter().find(|(asked, _)| *asked == challenge);
            let difficulty = given.map(|(_, difficulty)| *difficulty).ok_or(unknown)?;
            // A farmer's connection is its worker's alone.
            if self.front.admit_share(&mut Bucket::default(), farmer.member.worker, farmer.origin).is_err() {
                return Err(FarmerError::TooFast);
            }
            let (account, worker) = (farmer.member.account, farmer.member.worker);
            let partial = Partial { account, worker, difficulty, job, proof, registered: None };
            let (origin, user, connection) = (farmer.origin, Arc::clone(&farmer.user), farmer.connection);
            let places = if farmer.holds { &self.places } else { &self.strangers };
            let place = places.of(origin).try_acquire_owned().map_err(|_| FarmerError::TooFast)?;
            let (reply, answer) = oneshot::channel();
            let handed = Handed { partial, origin, user, connection, place, turn: None, reply };
            (handed, answer, farmer.holds)
        };
        if !holds {
            // It waits with its request, and keeps nobody else waiting.
            let turn = self.turns.of(handed.origin).acquire_owned().await;
            handed.turn = Some(turn.map_err(|_| FarmerError::Ending)?);
            // To look at what became late would make the next ones late too.
            if handed.partial.job.stale_ms((self.front.clock)()) > 0 {
                self.front.metrics.share(Outcome::Refused(Refusal::Stale));
                return Err(FarmerError::Share(Refusal::Stale));
            }
        }
        handed.partial.registered = self.registered(handed.origin, &handed.partial).await?;
        self.checking.send(handed).await.map_err(|_| FarmerError::Ending)?;
        let judged = answer.await.map_err(|_| FarmerError::Ending)?;
        self.judged(number, judged);
        judged.map_err(FarmerError::Share)
    }

    /// Notes whether a farmer's proofs hold. What says nothing of the proof changes nothing.
    fn judged(&self, number: u32, judged: Result<(), Refusal>) {
        if let Some(farmer) = self.known().farmers.get_mut(&number)
            && judged.err().is_none_or(Refusal::is_invalid)
        {
            farmer.holds = judged.is_ok();
        }
    }

    /// Has plots registered, and returns the height at which the chain has each.
    pub async fn register(&self, origin: IpAddr, plots: Vec<Registration>) -> Result<Vec<Option<Height>>, FarmerError> {
        let asked = self.upstreams.register(origin, plots).await;
        asked.map_err(|error| FarmerError::Unasked { detail: error.to_string() })
    }

    /// Returns where the chain has the plot of a proof, where that is asked.
    async fn registered(&self, origin: IpAddr, partial: &Partial) -> Result<Option<Height>, FarmerError> {
        let Some(plot) = Partial::needs_registration(&partial.job, &partial.proof.claim) else { return Ok(None) };
        let above = partial.job.template.previous;
        if let Some(height) = self.plots().heights_above(above).get(&plot) {
            return Ok(Some(*height));
        }
        let height = self.register(origin, vec![plot]).await?.first().copied().flatten();
        if let Some(height) = height {
            let mut plots = self.plots();
            let heights = plots.heights_above(above);
            if heights.len() < REGISTERED_MAX {
                heights.insert(plot, height);
            }
        }
        Ok(height)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plots(&self) -> MutexGuard<'_, RegisteredPlots> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, front: &Front, user: Arc<str>, origin: IpAddr, member: Member, place: Place) -> u32 {
        let difficulty = front.difficulties.start;
        let (connection, notes) = front.connections.open(origin, difficulty, (front.clock)());
        front.connections.name(connection, &user);
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.numbers.insert((Arc::clone(&user), origin), number);
        let (given, heard) = (VecDeque::new(), Instant::now());
        let (holds, _place) = (false, place);
        let farmer = Farmer { user, origin, member, connection, notes, difficulty, given, heard, holds, _place };
        self.farmers.insert(number, farmer);
        number
    }

    fn dismiss(&mut self, front: &Front, number: u32) {
        if let Some(farmer) = self.farmers.remove(&number) {
            self.numbers.remove(&(farmer.user, farmer.origin));
            front.connections.close(farmer.connection);
        }
    }

    fn forget_silent(&mut self, front: &Front) {
        let silent = |farmer: &Farmer| farmer.heard.elapsed() > SILENCE_MAX;
        let gone: Vec<u32> =
            self.farmers.iter().filter(|(_, farmer)| silent(farmer)).map(|(number, _)| *number).collect();
        gone.into_iter().for_each(|number| self.dismiss(front, number));
    }
}

impl Farmer {
    /// Takes in what the rest of the pool said. `false`: it is to go.
    fn hear(&mut self, front: &Front) -> bool {
        self.heard = Instant::now();
        while let Ok(note) = self.notes.try_recv() {
            match note {
                Note::Difficulty(difficulty) => self.difficulty = front.bounds().cut(difficulty),
                Note::Leave => return false,
                // Whoever handed a proof in was answered there.
                Note::Judged(_) => {}
            }
        }
        true
    }

    /// Returns how low it is asked to score under a job's challenge.
    fn asked(&mut self, job: &SpaceJob, front: &Front) -> ShareDifficulty {
        let challenge = job.template.challenge.challenge;
        if let Some((_, difficulty)) = self.given.iter().find(|(asked, _)| *asked == challenge) {
            return *difficulty;
        }
        if self.given.len() == GIVEN_MAX {
            self.given.pop_front();
        }
        let difficulty = front.bounds().cut(self.difficulty);
        self.given.push_back((challenge, difficulty));
        difficulty
    }
}

impl RegisteredPlots {
    /// Another block may have registered others, or stand on another branch.
    fn heights_above(&mut self, above: BlockId) -> &mut BTreeMap<Registration, Height> {
        if self.above != above {
            (self.above, self.heights) = (above, BTreeMap::new());
        }
        &mut self.heights
    }
}

/// Numbers a template: whose it is, and of which job.
fn template_id(farmer: u32, job: JobId) -> u64 {
    u64::from(farmer) << 32 | u64::from(job.0)
}

fn parts_of(id: u64) -> (u32, JobId) {
    let low = u32::try_from(id & u64::from(u32::MAX)).expect("the low half");
    (u32::try_from(id >> 32).expect("the high half"), JobId(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_its_farmer_and_its_job() {
        for (farmer, job) in [(0, 0), (7, 9), (u32::MAX, 1), (1, u32::MAX)] {
            assert_eq!(parts_of(template_id(farmer, JobId(job))), (farmer, JobId(job)));
        }
    }

    #[test]
    fn registrations_are_forgotten_with_the_block_that_they_were_asked_above() {
        let hash = |byte| Hash256([byte; 32]);
        let plot = Registration { key: hash(1), seed: hash(2), leaves: 1_024, root: hash(3) };
        let mut plots = RegisteredPlots::default();
        plots.heights_above(BlockId([1; 32])).insert(plot, Height(4));
        assert_eq!(plots.heights_above(BlockId([1; 32])).get(&plot), Some(&Height(4)));
        assert!(plots.heights_above(BlockId([2; 32])).is_empty());
    }
}
