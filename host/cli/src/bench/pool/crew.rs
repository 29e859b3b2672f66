//! The miners of one thread, and what they saw.

use super::miner::{Host, Miner};
use crate::engine::cpu_time;
use anyhow::{Context, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Miners that log in at once.
const LOGGING_IN_MAX: u32 = 256;

/// How long they may take for that, and for the last answers.
const LOGIN_TIME: Duration = Duration::from_secs(300);
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Sockets that are told of by one call.
const EVENTS_MAX: usize = 256;

const READ_BYTES: usize = 64 * 1024;

/// Jobs that come closer together than this are one.
const SAME_JOB: Duration = Duration::from_millis(500);

/// What miners do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Keep so many shares waiting for answers.
    Window(usize),
    /// Send so many shares a second together, one miner after another, whether or not earlier ones were answered.
    PerSecond(f64),
    /// Only hear.
    Listen,
    /// Send one share, and come again as another connection.
    Visit,
}

/// What miners saw.
#[derive(Default)]
pub struct Tally {
    /// From when a share was due to be sent until its answer was read, of those accepted.
    pub latencies_us: Vec<u32>,
    pub refused: BTreeMap<String, u64>,
    /// When jobs came, to whomever.
    pub jobs: Vec<Instant>,
    /// Visits that ended well.
    pub visits: u64,
    /// Connections that the pool broke off.
    pub broken: u64,
    /// Shares without an answer at the end.
    pub unanswered: u64,
    pub cpu: Duration,
}

/// Miners that one thread looks after.
pub struct Crew {
    host: Arc<Host>,
    epoll: OwnedFd,
    miners: Vec<Miner>,
    first: u32,
    input: Vec<u8>,
}

impl Crew {
    /// Connects miners and lets them log in; all are when this returns.
    pub fn log_in(host: Arc<Host>, first: u32, count: u32) -> Result<Self> {
        let mut crew = Self::new(host, first)?;
        let (mut tally, deadline) = (Tally::default(), Instant::now() + LOGIN_TIME);
        let mut ready = 0;
        while ready < count {
            while crew.count() < count.min(ready + LOGGING_IN_MAX) {
                crew.connect()?;
            }
            for place in crew.wait(Some(Duration::from_millis(100)))? {
                let miner = &mut crew.miners[place];
                let was_ready = miner.is_ready();
                miner.receive(&mut crew.input, &mut tally).with_context(|| format!("miner {place}"))?;
                ready += u32::from(!was_ready && miner.is_ready());
            }
            ensure!(Instant::now() < deadline, "{ready} of {count} miners are logged in after {LOGIN_TIME:?}");
        }
        Ok(crew)
    }

    /// Connects miners for visits.
    pub fn visitors(host: Arc<Host>, first: u32, count: u32) -> Result<Self> {
        let mut crew = Self::new(host, first)?;
        (0..count).try_for_each(|_| crew.connect())?;
        Ok(crew)
    }

    fn new(host: Arc<Host>, first: u32) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { host, epoll, miners: Vec::new(), first, input: vec![0; READ_BYTES] })
    }

    fn count(&self) -> u32 {
        u32::try_from(self.miners.len()).expect("their count was given as such")
    }

    fn connect(&mut self) -> Result<()> {
        let place = self.miners.len();
        let miner = Miner::connect(Arc::clone(&self.host), self.first + self.count())?;
        self.register(&miner, place)?;
        self.miners.push(miner);
        Ok(())
    }

    fn register(&self, miner: &Miner, place: usize) -> Result<()> {
        Ok(epoll::add(&self.epoll, &miner.stream, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?)
    }

    /// Puts a new connection in the place of one that is done.
    fn replace(&mut self, place: usize) -> Result<()> {
        let number = self.first + u32::try_from(place).expect("a place among miners");
        let miner = Miner::connect(Arc::clone(&self.host), number)?;
        self.register(&miner, place)?;
        // The system forgets the old socket as it closes.
        self.miners[place] = miner;
        Ok(())
    }

    /// Returns the miners that have something to read, at the latest after `time`.
    fn wait(&self, time: Option<Duration>) -> Result<Vec<usize>> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let time = time.map(|time| Timespec::try_from(time).expect("a short time"));
        epoll::wait(&self.epoll, spare_capacity(&mut events), time.as_ref())?;
        Ok(events.iter().filter_map(|event| usize::try_from(event.data.u64()).ok()).collect())
    }

    /// Lets them mine for a time, and then waits for the last answers.
    pub fn run(&mut self, pace: Pace, time: Duration) -> Result<Tally> {
        let (mut tally, cpu, start) = (Tally::default(), cpu_time(), Instant::now());
        let mut turn = Turn { next: 0, sent: 0 };
        loop {
            let elapsed = start.elapsed();
            if elapsed >= time {
                break;
            }
            match pace {
                Pace::Window(size) if turn.sent == 0 => {
                    turn.sent = 1;
                    self.miners.iter_mut().try_for_each(|miner| fill(miner, size))?;
                }
                Pace::PerSecond(rate) => self.send_due(&mut turn, rate, start, elapsed)?,
                _ => {}
            }
            let pause = match pace {
                Pace::PerSecond(rate) => Duration::from_secs_f64(turn.sent as f64 / rate).saturating_sub(elapsed),
                _ => time - elapsed,
            };
            for place in self.wait(Some(pause))? {
                self.hear(place, pace, &mut tally)?;
            }
        }
        self.drain(&mut tally)?;
        tally.cpu = cpu_time().saturating_sub(cpu);
        Ok(tally)
    }

    /// Sends the shares whose time has come.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of shares within an hour")]
    fn send_due(&mut self, turn: &mut Turn, rate: f64, start: Instant, elapsed: Duration) -> Result<()> {
        let due = (elapsed.as_secs_f64() * rate) as u64;
        while turn.sent <= due {
            let miner = &mut self.miners[turn.next];
            miner.submit(start + Duration::from_secs_f64(turn.sent as f64 / rate))?;
            miner.flush()?;
            turn.next = (turn.next + 1) % self.miners.len();
            turn.sent += 1;
        }
        Ok(())
    }

    fn hear(&mut self, place: usize, pace: Pace, tally: &mut Tally) -> Result<()> {
        let miner = &mut self.miners[place];
        if pace == Pace::Listen {
            return miner.listen(&mut self.input, tally);
        }
        let (waited, heard) = (miner.waiting(), miner.receive(&mut self.input, tally));
        match pace {
            Pace::Visit if heard.is_err() => {
                tally.broken += 1;
                self.replace(place)
            }
            Pace::Visit if waited > miner.waiting() => {
                tally.visits += 1;
                self.replace(place)
            }
            Pace::Visit if miner.is_ready() && waited == 0 => fill(miner, 1),
            Pace::Visit => Ok(()),
            Pace::Window(size) => heard.and_then(|()| fill(miner, size)),
            Pace::PerSecond(_) | Pace::Listen => heard,
        }
    }

    fn drain(&mut self, tally: &mut Tally) -> Result<()> {
        let deadline = Instant::now() + DRAIN_TIME;
        let unanswered = |crew: &Self| crew.miners.iter().map(Miner::waiting).sum::<usize>();
        while unanswered(self) > 0 && Instant::now() < deadline {
            for place in self.wait(Some(Duration::from_millis(100)))? {
                let miner = &mut self.miners[place];
                if miner.receive(&mut self.input, tally).is_err() {
                    tally.broken += 1;
                    tally.unanswered += miner.give_up() as u64;
                    epoll::delete(&self.epoll, &miner.stream)?;
                }
            }
        }
        tally.unanswered += unanswered(self) as u64;
        Ok(())
    }
}

/// Whose turn it is to send, and how many were sent.
struct Turn {
    next: usize,
    sent: u64,
}

/// Has a miner send until `size` shares wait, once half of them are answered: shares go out together.
fn fill(miner: &mut Miner, size: usize) -> Result<()> {
    if miner.waiting() > size / 2 {
        return Ok(());
    }
    let now = Instant::now();
    while miner.waiting() < size {
        miner.submit(now)?;
    }
    miner.flush()
}

impl Tally {
    /// Notes a share that counts.
    pub fn accept(&mut self, latency: Duration) {
        self.latencies_us.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds what another crew saw.
    pub fn and(mut self, other: Self) -> Self {
        self.latencies_us.extend(other.latencies_us);
        self.jobs.extend(other.jobs);
        other.refused.into_iter().for_each(|(reason, count)| *self.refused.entry(reason).or_default() += count);
        self.visits += other.visits;
        self.broken += other.broken;
        self.unanswered += other.unanswered;
        self.cpu += other.cpu;
        self
    }

    /// Prints how long answers took, and what was refused.
    pub fn print_answers(&self) {
        let mut latencies = self.latencies_us.clone();
        latencies.sort_unstable();
        let at = |thousandths: usize| {
            let place = (latencies.len() * thousandths / 1000).min(latencies.len().saturating_sub(1));
            Duration::from_micros(latencies.get(place).copied().unwrap_or_default().into())
        };
        for (name, thousandths) in [("half", 500), ("99 %", 990), ("99.9 %", 999)] {
            println!("  {name:<9}answered within  {:>12.2?}", at(thousandths));
        }
        for (reason, count) in &self.refused {
            println!("  refused: {reason:<17} {count:>12}");
        }
        println!("shares refused              {:>12}", self.refused.values().sum::<u64>());
        println!("shares unanswered           {:>12}", self.unanswered);
    }

    /// Returns to how many the job came that reached the most, and how long it took from the first to the last.
    pub fn widest_job(&self) -> (usize, Duration) {
        let mut times = self.jobs.clone();
        times.sort_unstable();
        let bursts = times.chunk_by(|earlier, later| later.duration_since(*earlier) < SAME_JOB);
        let burst = bursts.max_by_key(|burst| burst.len()).unwrap_or_default();
        let span = burst.first().zip(burst.last()).map(|(first, last)| last.duration_since(*first));
        (burst.len(), span.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{SAME_JOB, Tally};
    use std::time::{Duration, Instant};

    #[test]
    fn a_job_is_what_came_without_a_pause() {
        let (start, step) = (Instant::now(), SAME_JOB / 2);
        let jobs = [0, 1, 2, 10, 11].map(|steps| start + step * steps).to_vec();
        assert_eq!(Tally { jobs, ..Tally::default() }.widest_job(), (3, step * 2));
        assert_eq!(Tally::default().widest_job(), (0, Duration::ZERO));
    }
}
