//! Whom this node talks to: `adit_network::peers` chooses, this carries its words to the transport and back, and keeps the address book on disk.

use super::address::{heard, told};
use super::named::{Named, NamedView};
use crate::clock::Clock;
use adit_network::peers::book::{Book, Source};
use adit_network::peers::choice::{self, Action, Admission, Choice, Failure, Leaving, Opened, Standing};
use adit_network::peers::place::Place;
use adit_network::wire::{Goodbye, PeerAddress};
use adit_network::{CloseReason, Direction, Moment, NodeId, PeerView, SessionId, SyncView};
use adit_primitives::Work;
use adit_transport::{Address, Unreached, swarm};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Sessions beyond those that are kept, in each direction: to try addresses, and to have a new peer before another is left.
pub const EXTRA: u32 = 4;

/// Between two times that the book is written.
const SAVE_INTERVAL: Duration = Duration::from_secs(300);

/// How long a node of another chain is not called.
const FOREIGN_TIME: Duration = Duration::from_secs(3600);

/// The largest address book that is read.
const BOOK_BYTES_MAX: u64 = 16 << 20;

/// Addresses at which a node says that it is reached.
const LISTENING_MAX: usize = adit_network::wire::LISTEN_MAX;

/// What choosing works with.
pub struct CallsParts {
    /// The file of the address book. Beside it, with `.anchors` behind its name, whom to call first.
    pub file: PathBuf,
    pub bootstrap: Vec<Address>,
    pub announce: Vec<Address>,
    pub outbound: usize,
    pub inbound: usize,
    /// The key of the book and the seed of what is drawn: secrets of this process.
    pub key: [u8; 32],
    pub seed: u64,
    pub clock: Clock,
}

/// What is in the address book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    pub addresses: usize,
}

/// Something to do.
pub enum Step {
    Call(Address),
    AskPeers(SessionId),
    Leave(SessionId, Goodbye),
}

/// Who is called, who is left, who is let in.
pub struct Calls {
    file: PathBuf,
    choice: Choice,
    actions: Vec<Action>,
    /// Why sessions ended, where the machine said it.
    reasons: HashMap<SessionId, Failure>,
    /// The addresses of those that are connected.
    at: HashMap<SessionId, Opened>,
    named: Named,
    listening: Vec<Address>,
    saved: Moment,
    seed: u64,
    clock: Clock,
}

impl Calls {
    /// Reads the address book. One that is damaged is put aside, and a new one begun.
    pub fn open(parts: CallsParts) -> Self {
        let now = Moment::default();
        let mut book = read_book(&parts.file, now, &parts.clock).unwrap_or_else(|| Book::new(parts.key));
        for address in &parts.bootstrap {
            book.name(now, place(address));
        }
        let anchors = std::fs::read_to_string(anchors_file(&parts.file)).unwrap_or_default();
        let anchors = anchors.lines().filter_map(|line| Some(told(&line.parse::<Address>().ok()?))).collect();
        let settings =
            choice::Settings { outbound: parts.outbound, inbound: parts.inbound, ..choice::Settings::standard() };
        Self {
            choice: Choice::new(settings, book, anchors, parts.seed, now),
            file: parts.file,
            actions: Vec::new(),
            reasons: HashMap::new(),
            at: HashMap::new(),
            named: Named::new(&parts.bootstrap),
            listening: parts.announce,
            saved: now,
            seed: parts.seed,
            clock: parts.clock,
        }
    }

    /// Returns how much is known.
    pub fn known(&self) -> Known {
        Known { addresses: self.choice.book().len() }
    }

    /// Returns what became of the addresses that the operator named.
    pub fn named(&self) -> Vec<NamedView> {
        self.named.views()
    }

    /// Takes in where this node is reached. Tells whether that was new.
    pub fn listening(&mut self, address: Address) -> bool {
        let new = !self.listening.contains(&address) && self.listening.len() < LISTENING_MAX;
        if new {
            self.listening.push(address);
        }
        new
    }

    /// Returns where this node is reached, as far as it knows.
    pub fn listen_addresses(&self) -> &[Address] {
        &self.listening
    }

    /// Takes in a session that begins. `Some`: it has no place here, or another has to make room for it.
    pub fn opened(
        &mut self,
        now: Moment,
        session: SessionId,
        node: NodeId,
        address: &Address,
        direction: Direction,
    ) -> Option<Step> {
        let admission = match direction {
            Direction::In => self.choice.admit(now, address.ip()),
            Direction::Out => Admission::Welcome,
        };
        let opened = Opened { node, direction, address: told(&address.without_node()), ip: address.ip() };
        self.at.insert(session, opened.clone());
        match admission {
            Admission::Full => return Some(Step::Leave(session, Goodbye::Full)),
            Admission::Banned => return Some(Step::Leave(session, Goodbye::Banned)),
            Admission::Welcome | Admission::Instead(_) => self.choice.opened(now, session, opened),
        }
        match admission {
            Admission::Instead(other) => Some(Step::Leave(other, Goodbye::Full)),
            _ => None,
        }
    }

    /// Takes in that a greeting is done.
    pub fn ready(&mut self, now: Moment, peer: &PeerView) {
        if let Some(address) = self.called(peer.session) {
            self.named.reached(&address, peer.session);
        }
        let listen: Vec<Place> = peer.listen.iter().filter_map(heard).map(|address| place(&address)).collect();
        self.choice.ready(now, peer.session, peer.tip.work, &listen, &mut self.actions);
    }

    /// Takes in why the machine ends a session.
    pub fn ends(&mut self, now: Moment, session: SessionId, reason: &CloseReason) {
        let failure = Failure::of(reason, FOREIGN_TIME);
        if let Some(address) = self.called(session) {
            match failure {
                Failure::Twice => self.named.not_reached(now, &address, &Unreached::Twice),
                Failure::Itself => self.named.not_reached(now, &address, &Unreached::Itself),
                _ => drop(self.named.failed(now, &address, &reason.to_string())),
            }
        }
        self.reasons.insert(session, failure);
    }

    /// Returns the address at which a session was called, where this node did.
    fn called(&self, session: SessionId) -> Option<adit_network::Address> {
        let opened = self.at.get(&session).filter(|opened| opened.direction == Direction::Out)?;
        Some(opened.address.clone())
    }

    /// Takes in that a session has ended.
    pub fn closed(&mut self, now: Moment, session: SessionId) {
        let reason = self.reasons.remove(&session);
        if !self.named.closed(session)
            && reason.is_none()
            && let Some(address) = self.called(session)
        {
            self.named.failed(now, &address, "it ended the session before it said anything");
        }
        self.at.remove(&session);
        self.choice.closed(now, session, reason);
    }

    /// Takes in that nobody was reached at an address.
    pub fn not_reached(&mut self, now: Moment, address: &Address, reason: &Unreached) {
        let address = told(&address.without_node());
        self.named.not_reached(now, &address, reason);
        self.choice.failed(now, &address, Failure::Unreachable);
    }

    /// Takes in an answer to a ping.
    pub fn heartbeat(&mut self, now: Moment, session: SessionId) {
        self.choice.heard(now, session);
    }

    /// Takes in where a node may be.
    pub fn discovered(&mut self, now: Moment, addresses: &[Address], source: swarm::Source) {
        let source = match source {
            swarm::Source::Lan => Source::Lan,
            swarm::Source::Table => Source::Table,
        };
        for address in addresses.iter().filter(|address| !self.listening.iter().any(|own| own.node() == address.node()))
        {
            self.choice.book_mut().hear(now, place(address), source, Duration::ZERO);
        }
    }

    /// Takes in what a peer told of others.
    pub fn learned(&mut self, now: Moment, session: SessionId, peers: &[PeerAddress]) {
        let teller = self.at.get(&session).and_then(|opened| opened.ip);
        self.choice.book_mut().hear_told(now, teller, peers, |address| Some(place(&heard(address)?)));
    }

    /// Takes in a ban.
    pub fn banned(&mut self, now: Moment, session_of: NodeId, until: Moment) {
        let Some(opened) = self.at.values().find(|opened| opened.node == session_of).cloned() else { return };
        self.choice.banned(now, &opened.address, opened.ip, until);
    }

    /// Returns addresses for a peer that asks.
    pub fn sample(&mut self, now: Moment, session: SessionId) -> Vec<PeerAddress> {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let asker = self.at.get(&session).and_then(|opened| opened.ip);
        self.choice.book().sample(now, asker, self.seed)
    }

    /// Says what is to be done now.
    pub fn due(&mut self, now: Moment, peers: &[PeerView], sync: &SyncView, work: Work) -> Vec<Step> {
        self.choice.tip(now, work);
        for peer in peers {
            let standing = Standing { latency: peer.latency, score: peer.score, work: peer.tip.work, useful: None };
            self.choice.observe(now, peer.session, standing);
        }
        // While much is fetched, nobody is exchanged for another.
        if sync.phase == adit_network::Phase::Idle || peers.is_empty() || peers.len() < 3 {
            self.choice.act(now, &mut self.actions);
        }
        let steps = std::mem::take(&mut self.actions).into_iter().filter_map(|action| match action {
            Action::Call { place, .. } => heard(&place.address).map(Step::Call),
            Action::Leave { session, why } => {
                tracing::debug!(?session, ?why, "a session makes room");
                let said = match why {
                    Leaving::Suspected => Goodbye::Silent,
                    Leaving::Tested | Leaving::Rotated => Goodbye::Done,
                    Leaving::Stale | Leaving::Score => Goodbye::Full,
                };
                Some(Step::Leave(session, said))
            }
            Action::AskPeers { session } => Some(Step::AskPeers(session)),
        });
        steps.collect()
    }

    /// Returns what is to be written to the disk, if it is time.
    pub fn save_due(&mut self, now: Moment) -> Option<impl FnOnce() + Send + use<>> {
        if now.since(self.saved) < SAVE_INTERVAL {
            return None;
        }
        self.saved = now;
        Some(self.save(now))
    }

    /// Returns what writes the address book, to be run where waiting is allowed.
    pub fn save(&self, now: Moment) -> impl FnOnce() + Send + use<> {
        let book = self.choice.book().encode(now, (self.clock)());
        let anchors = self.choice.anchors(now);
        let anchors: String = anchors.iter().filter_map(heard).map(|address| format!("{address}\n")).collect();
        let file = self.file.clone();
        move || {
            for (file, bytes) in [(anchors_file(&file), anchors.into_bytes()), (file, book)] {
                if let Err(error) = replace(&file, &bytes) {
                    tracing::warn!(file = %file.display(), %error, "the address book is not kept");
                }
            }
        }
    }
}

/// Returns an address with what has to be known of it.
fn place(address: &Address) -> Place {
    let bare = address.without_node();
    Place { address: told(&bare), ip: bare.ip(), port: bare.port().unwrap_or(0), relayed: bare.is_relayed() }
}

fn anchors_file(file: &Path) -> PathBuf {
    file.with_extension("anchors")
}

fn read_book(file: &Path, now: Moment, clock: &Clock) -> Option<Book> {
    let read = || {
        let length = std::fs::metadata(file)?.len();
        if length > BOOK_BYTES_MAX { Err(std::io::Error::other("it is too large")) } else { std::fs::read(file) }
    };
    let book = match read() {
        Ok(bytes) => Book::decode(&bytes, now, clock()).map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
    };
    book.map_err(|error| {
        tracing::warn!(file = %file.display(), error, "the address book is damaged: it is begun anew");
    })
    .ok()
}

/// Writes a file under a name beside it and gives it its name when it is whole.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::Timestamp;
    use std::sync::Arc;

    fn parts(folder: &Path, bootstrap: &[&str]) -> CallsParts {
        CallsParts {
            file: folder.join("peers"),
            bootstrap: bootstrap.iter().map(|text| text.parse().unwrap()).collect(),
            announce: Vec::new(),
            outbound: 8,
            inbound: 8,
            key: [7; 32],
            seed: 1,
            clock: Arc::new(|| Timestamp::from_millis(1_795_000_000_000)),
        }
    }

    fn calls(calls: &mut Calls, now: u64) -> Vec<String> {
        let sync = SyncView {
            phase: adit_network::Phase::Idle,
            headers: adit_primitives::Height(0),
            blocks: adit_primitives::Height(0),
            target: adit_primitives::Height(0),
            blocks_per_second: 0.0,
            headers_per_second: 0.0,
        };
        let steps = calls.due(Moment::from_millis(now), &[], &sync, Work::default());
        let called = steps.into_iter().filter_map(|step| match step {
            Step::Call(address) => Some(address.to_string()),
            _ => None,
        });
        called.collect()
    }

    #[test]
    fn who_is_named_is_called_and_called_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut talk = Calls::open(parts(folder.path(), &["203.0.113.7:8647"]));
        let address = "/ip4/203.0.113.7/tcp/8647";
        assert_eq!(calls(&mut talk, 0), [address]);
        let refused = Unreached::Failed("refused".to_owned());
        talk.not_reached(Moment::from_millis(10), &address.parse().unwrap(), &refused);
        assert_eq!(talk.named()[0].failure.as_deref(), Some("refused"));
        let again = (1..7_200).find(|second| calls(&mut talk, second * 1000) == [address]);
        assert!(again.is_some(), "it is not called again within two hours");
    }

    #[test]
    fn what_is_known_outlives_the_process_and_damage_is_survived() {
        let folder = tempfile::tempdir().unwrap();
        let mut talk = Calls::open(parts(folder.path(), &[]));
        let address: Address = "198.51.100.9:8647".parse().unwrap();
        talk.discovered(Moment::default(), std::slice::from_ref(&address), swarm::Source::Table);
        talk.save(Moment::default())();
        assert_eq!(Calls::open(parts(folder.path(), &[])).known().addresses, 1);
        std::fs::write(folder.path().join("peers"), b"nonsense").unwrap();
        assert_eq!(Calls::open(parts(folder.path(), &[])).known().addresses, 0);
    }
}
