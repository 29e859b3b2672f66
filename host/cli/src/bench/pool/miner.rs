//! One miner: a connection, the shares that it finds, and how long their answers take.

use super::crew::Tally;
use super::process::CONNECTIONS_PER_ADDRESS;
use adit_node::clock::Clock;
use adit_primitives::sha256d;
use adit_protocol::line::LineBuffer;
use adit_protocol::stratum::client::{Assignment, Client, Dialect, Event, Settings, ShareId};
use adit_protocol::stratum::difficulty::Base;
use adit_protocol::stratum::job::Choice;
use anyhow::{Result, bail};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

/// The longest line of a pool.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long a pool may take to answer before a miner gives up, in milliseconds.
const PATIENCE_MS: u64 = 120_000;

/// How the line of a job begins.
const JOB: &[u8] = br#"{"id":null,"method":"mining.notify""#;

/// Where miners connect, and who is paid.
pub struct Host {
    /// At the addresses of this machine.
    pub port: u16,
    pub payee: String,
    pub clock: Clock,
}

/// A connected miner.
pub struct Miner {
    pub stream: TcpStream,
    host: Arc<Host>,
    client: Client,
    lines: LineBuffer,
    out: Vec<u8>,
    events: Vec<Event>,
    work: Option<Arc<Assignment>>,
    extranonce2: u64,
    /// Shares without an answer, and when they were due to be sent.
    waiting: VecDeque<(ShareId, Instant)>,
}

impl Miner {
    /// Connects, and begins to log in.
    pub fn connect(host: Arc<Host>, number: u32) -> Result<Self> {
        let address = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number / CONNECTIONS_PER_ADDRESS);
        let stream = TcpStream::connect((address, host.port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let settings = Settings {
            agent: "adit-bench".to_owned(),
            user: format!("{}.w{number}", host.payee),
            password: "x".to_owned(),
            base: Base::Sha256,
            version_mask: 0,
            answer_ms_max: PATIENCE_MS,
            silence_ms_max: PATIENCE_MS,
        };
        let mut out = Vec::new();
        let client = Client::open(Arc::new(settings), Dialect::Plain, None, (host.clock)(), &mut out);
        let mut miner = Self {
            stream,
            host,
            client,
            lines: LineBuffer::new(LINE_BYTES_MAX),
            out,
            events: Vec::new(),
            work: None,
            extranonce2: 0,
            waiting: VecDeque::new(),
        };
        miner.flush()?;
        Ok(miner)
    }

    /// Tells whether it may send shares.
    pub fn is_ready(&self) -> bool {
        self.client.is_authorized() && self.work.is_some()
    }

    /// Returns how many shares wait for their answers.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Waits for no more answers, and returns how many there would have been.
    pub fn give_up(&mut self) -> usize {
        self.waiting.drain(..).len()
    }

    /// Reads what has come, and sends what that asks for.
    pub fn receive(&mut self, input: &mut [u8], tally: &mut Tally) -> Result<()> {
        loop {
            let count = match self.stream.read(input) {
                Ok(0) => bail!("the pool hung up"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
            let (mut bytes, now) = (&input[..count], (self.host.clock)());
            while let Some(line) = self.lines.next(&mut bytes)? {
                self.client.receive(line, now, &mut self.out, &mut self.events);
            }
            if count < input.len() {
                break;
            }
        }
        self.take_events(tally)?;
        self.flush()
    }

    /// Reads what has come, and counts the jobs in it; nothing else is looked at. Many such miners on one machine take little from the pool.
    pub fn listen(&mut self, input: &mut [u8], tally: &mut Tally) -> Result<()> {
        loop {
            let count = match self.stream.read(input) {
                Ok(0) => bail!("the pool hung up"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut bytes = &input[..count];
            while let Some(line) = self.lines.next(&mut bytes)? {
                if line.starts_with(JOB) {
                    tally.jobs.push(Instant::now());
                }
            }
            if count < input.len() {
                return Ok(());
            }
        }
    }

    fn take_events(&mut self, tally: &mut Tally) -> Result<()> {
        let now = Instant::now();
        for event in self.events.drain(..) {
            match event {
                Event::Work(work) => {
                    tally.jobs.push(now);
                    self.work = Some(work);
                }
                Event::Accepted(share) => {
                    if let Some(since) = answered(&mut self.waiting, share) {
                        tally.accept(now.saturating_duration_since(since));
                    }
                }
                Event::Refused(share, refusal) => {
                    answered(&mut self.waiting, share);
                    *tally.refused.entry(refusal.text.into_owned()).or_default() += 1;
                }
                Event::Close(reason) => bail!("{reason}"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Finds a share and puts it behind what is to be sent. `due` is when it should have been sent: what a miner is late
    /// counts as the pool's delay, since it may be the pool that keeps it from running.
    pub fn submit(&mut self, due: Instant) -> Result<()> {
        let Some(work) = self.work.clone() else { return Ok(()) };
        let (extranonce2, choice) = self.find(&work);
        let part = &extranonce2[..work.extranonce2_bytes];
        let share = self.client.submit(&work, part, choice, (self.host.clock)(), &mut self.out)?;
        self.waiting.push_back((share, due));
        Ok(())
    }

    /// Hashes until a header meets the target, each with a coinbase of its own: as the shares of fast machines lie.
    fn find(&mut self, work: &Assignment) -> ([u8; 8], Choice) {
        let job = &work.notify.job;
        loop {
            self.extranonce2 += 1;
            let extranonce2 = self.extranonce2.to_le_bytes();
            let mut choice = Choice { version: job.version, time: job.time, nonce: 0 };
            let mut header = work.header(&extranonce2[..work.extranonce2_bytes], choice);
            for nonce in 0..1024_u32 {
                header[76..].copy_from_slice(&nonce.to_le_bytes());
                if work.target.is_met_by(&sha256d(&header)) {
                    choice.nonce = nonce;
                    return (extranonce2, choice);
                }
            }
        }
    }

    /// Sends what waits, as far as the pool takes it.
    pub fn flush(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Finds when an answered share was due: nearly always it is the oldest.
fn answered(waiting: &mut VecDeque<(ShareId, Instant)>, share: ShareId) -> Option<Instant> {
    let place = waiting.iter().position(|(id, _)| *id == share)?;
    waiting.remove(place).map(|(_, due)| due)
}
