//! One stream between two nodes: frames out of two queues into it, and out of it into whoever reads.
//!
//! On the wire a frame is a head of five bytes, the number of bytes of its body (4 bytes, little-endian) and its kind, and then its body.

use crate::SessionNumber;
use crate::settings::BodyMax;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use libp2p::swarm::Stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Bytes that may wait in a session's live queue.
const LIVE_MAX: usize = 4 << 20;

/// Bytes that may wait in its bulk queue: some answers of the largest size.
const BULK_MAX: usize = 16 << 20;

/// What a waiting frame costs besides its bytes.
const FRAME_COST: usize = 64;

/// Bytes that were read and not looked at yet.
const UNREAD_MAX: u32 = 2 << 20;

/// Bytes that go into the stream together.
const WRITE_AT_ONCE: usize = 64 << 10;

/// Bytes that are read at once.
const READ_AT_ONCE: usize = 64 << 10;

/// How long a peer may leave [`WRITE_AT_ONCE`] bytes where they are.
const WRITE_TIME: Duration = Duration::from_secs(30);

/// Bytes of a frame's head.
pub const HEAD: usize = 5;

/// A frame's head.
pub type Head = [u8; HEAD];

/// Which frames go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// What is new, and questions.
    Live,
    /// Answers that may be large.
    Bulk,
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub body: Bytes,
}

/// Frames that came together. What they hold of their session's room is given back when this is dropped.
#[derive(Debug)]
pub struct Frames {
    pub session: SessionNumber,
    pub frames: Vec<Frame>,
    _room: OwnedSemaphorePermit,
}

/// The queue is full, or the session has ended: the frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The way into a session. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Queues>);

#[derive(Debug)]
struct Queues {
    live: Queue,
    bulk: Queue,
    ended: AtomicBool,
    end: Notify,
    /// Bytes that went into the stream.
    sent: AtomicU64,
}

#[derive(Debug)]
struct Queue {
    sender: UnboundedSender<Bytes>,
    bytes: AtomicUsize,
    max: usize,
}

/// The other ends of an outbox.
pub(crate) struct Drain {
    live: UnboundedReceiver<Bytes>,
    bulk: UnboundedReceiver<Bytes>,
    queues: Arc<Queues>,
}

impl Outbox {
    pub(crate) fn new() -> (Self, Drain) {
        let (live_sender, live) = unbounded_channel();
        let (bulk_sender, bulk) = unbounded_channel();
        let queue = |sender, max| Queue { sender, bytes: AtomicUsize::new(0), max };
        let queues = Arc::new(Queues {
            live: queue(live_sender, LIVE_MAX),
            bulk: queue(bulk_sender, BULK_MAX),
            ended: AtomicBool::new(false),
            end: Notify::new(),
            sent: AtomicU64::new(0),
        });
        (Self(Arc::clone(&queues)), Drain { live, bulk, queues })
    }

    /// Lets a whole frame, head and body, wait for its turn. Never waits itself.
    pub fn send(&self, lane: Lane, frame: Bytes) -> Result<(), Full> {
        let queue = match lane {
            Lane::Live => &self.0.live,
            Lane::Bulk => &self.0.bulk,
        };
        let cost = frame.len() + FRAME_COST;
        if queue.bytes.fetch_add(cost, Ordering::Relaxed) + cost > queue.max || self.is_ended() {
            queue.bytes.fetch_sub(cost, Ordering::Relaxed);
            return Err(Full);
        }
        queue.sender.send(frame).map_err(|_| Full)
    }

    /// Returns the bytes that wait in the live queue. Those of the bulk queue were asked for, and take as long as the line needs.
    pub fn waiting(&self) -> usize {
        self.0.live.bytes.load(Ordering::Relaxed)
    }

    /// Returns the bytes that went into the stream.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Ends the session once what waits is sent, or after a moment.
    pub fn end(&self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.end.notify_waiters();
        self.0.end.notify_one();
    }

    fn is_ended(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// On this node's word.
    Here,
    /// The other side closed it.
    There,
    /// What came is no frame that may be there, or not as the first of its session.
    Broken { head: Head, first: bool },
    /// The connection failed, or nothing was read there for long.
    Failed(String),
}

/// Writes what waits until the session ends. Returns why it did.
pub(crate) async fn write(mut stream: impl futures_util::AsyncWrite + Unpin, mut drain: Drain) -> Ended {
    let mut buffer = Vec::with_capacity(WRITE_AT_ONCE);
    loop {
        let ended = drain.queues.ended.load(Ordering::Acquire);
        if !drain.fill(&mut buffer) {
            if ended {
                drop(tokio::time::timeout(WRITE_TIME, stream.close()).await);
                return Ended::Here;
            }
            let ended = drain.queues.end.notified();
            tokio::select! {
                biased;
                Some(frame) = drain.live.recv() => drain.queues.live.take(&frame, &mut buffer),
                Some(frame) = drain.bulk.recv() => drain.queues.bulk.take(&frame, &mut buffer),
                () = ended => continue,
            }
            drain.fill(&mut buffer);
        }
        if let Err(failed) = write_out(&mut stream, &buffer).await {
            return failed;
        }
        drain.queues.sent.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        buffer.clear();
        buffer.shrink_to(WRITE_AT_ONCE);
    }
}

/// Writes bytes and sees to it that they leave.
async fn write_out(stream: &mut (impl futures_util::AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Ended> {
    let in_time = |written: Result<std::io::Result<()>, tokio::time::error::Elapsed>| match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Ended::Failed(error.to_string())),
        Err(_) => Err(Ended::Failed("it reads nothing".to_owned())),
    };
    // A large frame takes long on a slow line: what counts is that some of it is read.
    for part in bytes.chunks(WRITE_AT_ONCE) {
        in_time(tokio::time::timeout(WRITE_TIME, stream.write_all(part)).await)?;
    }
    in_time(tokio::time::timeout(WRITE_TIME, stream.flush()).await)
}

impl Drain {
    /// Takes as much as goes into the stream together. Tells whether there is anything.
    fn fill(&mut self, buffer: &mut Vec<u8>) -> bool {
        while buffer.len() < WRITE_AT_ONCE {
            if let Ok(frame) = self.live.try_recv() {
                self.queues.live.take(&frame, buffer);
            } else if let Ok(frame) = self.bulk.try_recv() {
                self.queues.bulk.take(&frame, buffer);
            } else {
                break;
            }
        }
        !buffer.is_empty()
    }
}

impl Queue {
    fn take(&self, frame: &Bytes, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(frame);
        self.bytes.fetch_sub(frame.len() + FRAME_COST, Ordering::Relaxed);
    }
}

/// Reads frames and hands them on until the session ends. Returns why it did.
pub(crate) async fn read(
    mut stream: impl futures_util::AsyncRead + Unpin,
    session: SessionNumber,
    body_max: BodyMax,
    take: impl Fn(Frames),
) -> Ended {
    let room = Arc::new(Semaphore::new(UNREAD_MAX as usize));
    let mut buffer = BytesMut::with_capacity(READ_AT_ONCE);
    let mut chunk = vec![0; READ_AT_ONCE];
    let mut first = true;
    loop {
        let count = match stream.read(&mut chunk).await {
            Ok(0) => return Ended::There,
            Ok(count) => count,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        buffer.extend_from_slice(&chunk[..count]);
        let before = buffer.len();
        let mut frames = Vec::new();
        let refused = loop {
            match cut(&mut buffer, if first { body_max.first } else { body_max.later }) {
                Ok(Some(frame)) => {
                    first = false;
                    frames.push(frame);
                }
                Ok(None) => break None,
                Err(head) => break Some(Ended::Broken { head, first }),
            }
        };
        let cost = u32::try_from(before - buffer.len() + frames.len() * FRAME_COST).unwrap_or(UNREAD_MAX);
        let Ok(held) = Arc::clone(&room).acquire_many_owned(cost.min(UNREAD_MAX)).await else {
            return Ended::Here;
        };
        if !frames.is_empty() {
            take(Frames { session, frames, _room: held });
        }
        if let Some(ended) = refused {
            return ended;
        }
    }
}

/// Cuts the first frame off, where it is whole. Its head alone tells whether it may be there at all.
fn cut(buffer: &mut BytesMut, body_max: fn(u8) -> Option<usize>) -> Result<Option<Frame>, Head> {
    let Some(head) = buffer.first_chunk::<HEAD>().copied() else { return Ok(None) };
    let [a, b, c, d, kind] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if body_max(kind).is_none_or(|max| length > max) {
        return Err(head);
    }
    if buffer.len() < HEAD + length {
        return Ok(None);
    }
    buffer.advance(HEAD);
    Ok(Some(Frame { kind, body: buffer.split_to(length).freeze() }))
}

/// Splits a stream and runs both halves; the first that ends, ends the session. Returns why.
pub(crate) async fn run(
    stream: Stream,
    session: SessionNumber,
    outbox: Outbox,
    drain: Drain,
    body_max: BodyMax,
    take: impl Fn(Frames) + Send + 'static,
) -> Ended {
    let (reader, writer) = stream.split();
    let ended = tokio::select! {
        ended = read(reader, session, body_max, take) => ended,
        ended = write(writer, drain) => ended,
    };
    outbox.end();
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio_test::block_on;

    fn frame(kind: u8, body: &[u8]) -> Bytes {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        [&length[..], &[kind], body].concat().into()
    }

    fn all(max: fn(u8) -> Option<usize>) -> BodyMax {
        BodyMax { first: max, later: max }
    }

    fn read_all(bytes: &[u8], body_max: BodyMax) -> (Vec<Frame>, Ended) {
        let taken = Mutex::new(Vec::new());
        let ended = block_on(read(bytes, SessionNumber(1), body_max, |mut frames| {
            taken.lock().unwrap().append(&mut frames.frames);
        }));
        (taken.into_inner().unwrap(), ended)
    }

    #[test]
    fn frames_come_as_they_were_sent_live_ones_first() {
        let (outbox, drain) = Outbox::new();
        let large = vec![7; 200_000];
        outbox.send(Lane::Bulk, frame(2, &large)).unwrap();
        outbox.send(Lane::Live, frame(1, b"")).unwrap();
        outbox.send(Lane::Live, frame(3, b"x")).unwrap();
        outbox.end();
        let mut wire = Vec::new();
        assert_eq!(block_on(write(&mut wire, drain)), Ended::Here);
        assert_eq!(outbox.waiting(), 0);
        assert_eq!(outbox.sent(), wire.len() as u64);
        let (frames, ended) = read_all(&wire, all(|_| Some(1_000_000)));
        let seen: Vec<_> = frames.iter().map(|frame| (frame.kind, frame.body.len())).collect();
        assert_eq!((seen, ended), (vec![(1, 0), (3, 1), (2, 200_000)], Ended::There));
    }

    #[test]
    fn a_frame_longer_than_its_kind_ends_the_session_before_it_is_there() {
        let mut wire = frame(9, b"fits").to_vec();
        let head = [0xFF, 0xFF, 0xFF, 0xFF, 9];
        wire.extend_from_slice(&head);
        let (frames, ended) = read_all(&wire, all(|_| Some(10)));
        assert_eq!((frames.len(), ended), (1, Ended::Broken { head, first: false }));
        let head = [0, 0, 0, 0, 7];
        assert_eq!(read_all(&head, all(|_| None)).1, Ended::Broken { head, first: true });
    }

    #[test]
    fn the_first_frame_of_a_session_has_a_bound_of_its_own() {
        let bounds = BodyMax { first: |kind| (kind == 1).then_some(4), later: |_| Some(1_000_000) };
        let large = frame(2, &[7; 1000]);
        let (frames, ended) = read_all(&[frame(1, b"name"), large.clone()].concat(), bounds);
        assert_eq!((frames.len(), ended), (2, Ended::There));
        // Neither another kind nor a longer one, even as nothing but its head has come.
        for refused in [large, frame(2, b""), frame(1, b"names")] {
            let head = *refused.first_chunk().unwrap();
            assert_eq!(read_all(&head, bounds), (Vec::new(), Ended::Broken { head, first: true }));
        }
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let (outbox, _drain) = Outbox::new();
        let big = frame(1, &vec![0; LIVE_MAX / 4]);
        let taken = (0..10).filter(|_| outbox.send(Lane::Live, big.clone()).is_ok()).count();
        assert_eq!(taken, 3);
        assert!(outbox.send(Lane::Bulk, big).is_ok());
        outbox.end();
        assert_eq!(outbox.send(Lane::Live, frame(1, b"")), Err(Full));
    }
}
