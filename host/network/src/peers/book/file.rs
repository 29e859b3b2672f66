//! The book's bytes: a mark, a checksum, and canonical bytes, with times of day in seconds.

use super::entry::Standing;
use super::table::{ADDRESSES_MAX, Bucket};
use super::{BANS_MAX, Book, Entry, NAMED_MAX, Source, Stamp, is_sound};
use crate::id::{Address, Moment, NodeId};
use crate::peers::place::Place;
use adit_primitives::bytes::encode_length;
use adit_primitives::{Decode, DecodeError, Encode, Reader, Timestamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// What the file begins with: its last byte is the version.
const MARK: &[u8; 8] = b"aditbk\0\x01";
const CHECKSUM_BYTES: usize = 32;
/// The longest time for which a ban, or another chain, is believed of a file: a clock that went back does not ban for years.
const AVOID_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// Why bytes are no book.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    #[error("it is no address book of this version")]
    Mark,
    #[error("its checksum is another")]
    Checksum,
    #[error("it is not what its checksum promises: {0}")]
    Body(#[from] DecodeError),
}

/// Turns stamps into times of day and back.
#[derive(Clone, Copy)]
struct Calendar {
    now: Stamp,
    /// Seconds since the epoch, now.
    today: u64,
}

impl Book {
    /// Returns the book's bytes. `today` is the time of day at `now`: the file outlives the process.
    pub fn encode(&self, now: Moment, today: Timestamp) -> Vec<u8> {
        let calendar = Calendar { now: Stamp::at(now), today: today.to_secs() };
        let mut body = Vec::new();
        body.extend_from_slice(&self.key);
        encode_length(self.entries.len(), &mut body);
        self.entries.values().for_each(|entry| encode_entry(entry, calendar, &mut body));
        encode_length(self.bans.len(), &mut body);
        for (ip, until) in &self.bans {
            encode_ip(Some(*ip), &mut body);
            calendar.time(*until).encode(&mut body);
        }
        [MARK.as_slice(), blake3::hash(&body).as_bytes(), &body].concat()
    }

    /// Reads a book's bytes. What it says of the future is taken as of now.
    pub fn decode(bytes: &[u8], now: Moment, today: Timestamp) -> Result<Self, BookError> {
        let rest = bytes.strip_prefix(MARK).ok_or(BookError::Mark)?;
        let (checksum, body) = rest.split_first_chunk::<CHECKSUM_BYTES>().ok_or(BookError::Checksum)?;
        if blake3::hash(body).as_bytes() != checksum {
            return Err(BookError::Checksum);
        }
        Ok(Self::decode_body(body, Calendar { now: Stamp::at(now), today: today.to_secs() })?)
    }

    /// Reads the canonical bytes behind a checksum by [`Book::decode`], whatever they are.
    fn decode_body(body: &[u8], calendar: Calendar) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let mut book = Self::new(reader.array("key")?);
        let count = count(&mut reader, "addresses", ADDRESSES_MAX + NAMED_MAX)?;
        for _ in 0..count {
            let (entry, was_met) = decode_entry(&mut reader, calendar)?;
            book.put_read(calendar.now, entry, was_met);
        }
        for _ in 0..self::count(&mut reader, "bans", BANS_MAX)? {
            let ip = decode_ip(&mut reader)?.ok_or(DecodeError::Value { what: "banned machine", value: 0 })?;
            let until = calendar.until(u64::decode(&mut reader)?);
            book.bans.insert(super::machine(ip), until);
        }
        reader.finish("address book")?;
        Ok(book)
    }

    /// Puts back what was in the book. Buckets follow from the key: nothing that a file says can fill one beyond its bound.
    fn put_read(&mut self, now: Stamp, mut entry: Entry, was_met: bool) {
        if !is_sound(&entry.place) || self.entries.contains_key(&entry.place.address) {
            return;
        }
        let met = Bucket::met(&self.key, entry.place.group(), &entry.place.address);
        if was_met && !self.tables.is_full(met) {
            entry.standing = Standing::In(met);
            self.tables.insert(met, entry.place.address.clone());
            self.entries.insert(entry.place.address.clone(), entry);
        } else {
            self.put_heard(now, entry);
        }
    }
}

impl Calendar {
    /// Returns seconds since the epoch.
    fn time(self, stamp: Stamp) -> u64 {
        self.today.saturating_add_signed(stamp.0.saturating_sub(self.now.0))
    }

    /// Returns the stamp of something that was: now, where the clock says that it is to come.
    fn past(self, time: u64) -> Stamp {
        self.now.before(Duration::from_secs(self.today.saturating_sub(time)))
    }

    /// Returns the stamp of something that ends.
    fn until(self, time: u64) -> Stamp {
        match time.checked_sub(self.today) {
            Some(left) => self.now.after(Duration::from_secs(left).min(AVOID_MAX)),
            None => self.past(time),
        }
    }
}

fn encode_entry(entry: &Entry, calendar: Calendar, out: &mut Vec<u8>) {
    let time = |stamp: Option<Stamp>| stamp.map(|stamp| calendar.time(stamp));
    entry.place.address.encode(out);
    encode_ip(entry.place.ip, out);
    entry.place.port.encode(out);
    entry.place.relayed.encode(out);
    encode_source(entry.source, out);
    // What an operator names is named again at each start: else it is an address like others.
    (entry.is_tried() || entry.is_named() && entry.met.is_some()).encode(out);
    calendar.time(entry.heard).encode(out);
    time(entry.tried).encode(out);
    time(entry.met).encode(out);
    entry.failures.encode(out);
    entry.node.encode(out);
    let millis = |latency: Duration| u32::try_from(latency.as_millis()).unwrap_or(u32::MAX);
    entry.latency.map(millis).encode(out);
    time(entry.foreign_until).encode(out);
    time(entry.banned_until).encode(out);
}

fn decode_entry(reader: &mut Reader<'_>, calendar: Calendar) -> Result<(Entry, bool), DecodeError> {
    let address = Address::decode(reader)?;
    let ip = decode_ip(reader)?;
    let (port, relayed) = (u16::decode(reader)?, bool::decode(reader)?);
    let source = decode_source(reader)?;
    let was_met = bool::decode(reader)?;
    let heard = calendar.past(u64::decode(reader)?);
    let mut entry = Entry::new(Place { address, ip, port, relayed }, source, heard);
    entry.tried = Option::decode(reader)?.map(|time| calendar.past(time));
    entry.met = Option::decode(reader)?.map(|time| calendar.past(time));
    entry.failures = u32::decode(reader)?;
    entry.due = entry.tried.map_or(entry.due, |tried| entry.rests_until(tried, 0));
    entry.node = Option::<NodeId>::decode(reader)?;
    let latency = Option::<u32>::decode(reader)?.map(|millis| Duration::from_millis(millis.into()));
    entry.latency = latency.map(|latency| latency.min(LATENCY_MAX));
    entry.foreign_until = Option::decode(reader)?.map(|time| calendar.until(time));
    entry.banned_until = Option::decode(reader)?.map(|time| calendar.until(time));
    Ok((entry, was_met))
}

fn encode_ip(ip: Option<IpAddr>, out: &mut Vec<u8>) {
    match ip {
        None => out.push(0),
        Some(IpAddr::V4(ip)) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
}

fn decode_ip(reader: &mut Reader<'_>) -> Result<Option<IpAddr>, DecodeError> {
    Ok(match reader.byte("address family")? {
        0 => None,
        4 => Some(Ipv4Addr::from(reader.array::<4>("ipv4 address")?).into()),
        6 => Some(Ipv6Addr::from(reader.array::<16>("ipv6 address")?).into()),
        other => return Err(DecodeError::Value { what: "address family", value: other.into() }),
    })
}

fn encode_source(source: Source, out: &mut Vec<u8>) {
    let (tag, ip) = match source {
        Source::Named => (0, None),
        Source::Lan => (1, None),
        Source::Table => (2, None),
        Source::Exchange { teller } => (3, teller),
        Source::Inbound { from } => (4, Some(from)),
    };
    out.push(tag);
    encode_ip(ip, out);
}

fn decode_source(reader: &mut Reader<'_>) -> Result<Source, DecodeError> {
    let tag = reader.byte("source")?;
    Ok(match (tag, decode_ip(reader)?) {
        (0, None) => Source::Named,
        (1, None) => Source::Lan,
        (2, None) => Source::Table,
        (3, teller) => Source::Exchange { teller },
        (4, Some(from)) => Source::Inbound { from },
        _ => return Err(DecodeError::Value { what: "source", value: tag.into() }),
    })
}

fn count(reader: &mut Reader<'_>, what: &'static str, max: usize) -> Result<usize, DecodeError> {
    let count = u32::decode(reader)? as usize;
    if count > max {
        return Err(DecodeError::Count { what, count, max });
    }
    Ok(count)
}
