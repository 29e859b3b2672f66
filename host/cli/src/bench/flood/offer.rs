//! Sends blocks as fast as they are answered. A client of a few lines, so that it takes little of the cores.

use crate::engine::cpu_time;
use adit_chain::Block;
use adit_node::api::block::OfferedBlock;
use adit_node::api::shapes::Hex;
use adit_primitives::Encode;
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long to wait where the node is busy, or too much is on its way.
const BREATH: Duration = Duration::from_millis(2);

/// The metric of blocks that a node took.
const TAKEN: &str = "adit_blocks_accepted_total";

/// Blocks that were offered and not taken yet, at most: of those that wait for their parents a node pushes the oldest out where they are too many.
pub const AHEAD_MAX: u64 = 500;

/// Between two looks at how many were taken.
const GLANCE: Duration = Duration::from_millis(10);

/// How long a node that takes no block is waited for.
const STANDSTILL: Duration = Duration::from_secs(3);

/// What the node answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Blocks that waited for a parent, by their places.
    pub waited: Vec<usize>,
    /// Answers that the node is busy: the block was offered again.
    pub busy: u64,
    /// What sending took of the cores.
    pub cpu: Duration,
    /// Blocks that were taken.
    pub taken: u64,
    /// From the first offer until the last of them was.
    pub took: Duration,
}

/// How far a flood has come.
#[derive(Default)]
struct Progress {
    /// The next block to offer.
    next: AtomicUsize,
    /// Blocks that were taken.
    taken: AtomicU64,
    /// Nothing is taken any more: whoever waits goes on.
    stands: AtomicBool,
}

/// Offers blocks in their order on so many connections, until the node has taken all of them, or takes none for a while.
pub fn offer(port: u16, blocks: &[Block], connections: usize) -> Result<Answers> {
    let bodies: Vec<String> = blocks.iter().map(write).collect::<Result<_>>()?;
    let progress = Progress::default();
    let before = metric(port, TAKEN)?;
    let (parts, took) = std::thread::scope(|scope| {
        let sender = || send(port, &bodies, &progress);
        let senders: Vec<_> = (0..connections).map(|_| scope.spawn(sender)).collect();
        let took = progress.follow(port, before, bodies.len() as u64);
        let join = |sender: std::thread::ScopedJoinHandle<'_, _>| sender.join().expect("a sender does not panic");
        Ok::<_, anyhow::Error>((senders.into_iter().map(join).collect::<Result<Vec<_>>>()?, took?))
    })?;
    let mut all = Answers { taken: progress.taken.into_inner(), took, ..Answers::default() };
    for part in parts {
        all.busy += part.busy;
        all.cpu += part.cpu;
        all.waited.extend(part.waited);
    }
    all.waited.sort_unstable();
    Ok(all)
}

impl Progress {
    /// Looks how many are taken until all are, or none is for a while, and returns how long the last one took.
    fn follow(&self, port: u16, before: u64, wanted: u64) -> Result<Duration> {
        let (start, mut took, mut taken) = (Instant::now(), Duration::ZERO, 0);
        while taken < wanted && start.elapsed() < took + STANDSTILL {
            std::thread::sleep(GLANCE);
            // Whoever waits must not wait for ever.
            let now = metric(port, TAKEN).inspect_err(|_| self.stands.store(true, Ordering::Relaxed))?;
            if now - before > taken {
                (taken, took) = (now - before, start.elapsed());
                self.taken.store(taken, Ordering::Relaxed);
            }
        }
        self.stands.store(true, Ordering::Relaxed);
        Ok(took)
    }
}

/// Offers those again that waited for a parent. Each was taken after it, or pushed out by others that waited.
pub fn offer_again(port: u16, blocks: &[Block], waited: &[usize]) -> Result<()> {
    let (mut connection, mut busy) = (Connection::open(port)?, 0);
    for number in waited {
        match connection.offer(&write(&blocks[*number])?, &mut busy)? {
            200 | 409 => {}
            status => bail!("block {number} was answered with status {status}, although its parents are there"),
        }
    }
    Ok(())
}

fn write(block: &Block) -> Result<String> {
    Ok(serde_json::to_string(&OfferedBlock { bytes: Hex(block.to_bytes()) })?)
}

/// Asks for a page.
pub fn get(port: u16, path: &str) -> Result<(u16, String)> {
    Connection::open(port)?.exchange(&format!("GET {path}"), "")
}

/// Returns what the node's metrics say of one thing.
pub fn metric(port: u16, name: &str) -> Result<u64> {
    let (status, metrics) = get(port, "/metrics")?;
    ensure!(status == 200, "the node's metrics came with status {status}");
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).with_context(|| format!("the metrics do not say {name}"))
}

/// Sends the next block until there is none.
fn send(port: u16, bodies: &[String], progress: &Progress) -> Result<Answers> {
    let (mut answers, start) = (Answers::default(), cpu_time());
    let mut connection = Connection::open(port)?;
    loop {
        let number = progress.next.fetch_add(1, Ordering::Relaxed);
        let Some(body) = bodies.get(number) else { break };
        while number as u64 >= progress.taken.load(Ordering::Relaxed) + AHEAD_MAX
            && !progress.stands.load(Ordering::Relaxed)
        {
            std::thread::sleep(BREATH);
        }
        match connection.offer(body, &mut answers.busy)? {
            200 => {}
            202 => answers.waited.push(number),
            status => bail!("block {number} was answered with status {status}"),
        }
    }
    answers.cpu = cpu_time().saturating_sub(start);
    Ok(answers)
}

/// An HTTP connection that is used again and again.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("the node does not answer")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Offers a block until the node is not too busy to answer, and returns the status.
    fn offer(&mut self, body: &str, busy: &mut u64) -> Result<u16> {
        loop {
            match self.exchange("POST /block", body)?.0 {
                503 => {
                    *busy += 1;
                    std::thread::sleep(BREATH);
                }
                status => return Ok(status),
            }
        }
    }

    /// Sends a request and returns status and body of the answer.
    fn exchange(&mut self, request: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.0.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let status = self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().context("an answer whose length is no number")?;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        Ok((status.context("an answer without a status")?, String::from_utf8(answer)?))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("the node closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }
}
