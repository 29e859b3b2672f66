//! The lines: what one says, read once, and the lines that answer or tell.
//!
//! An id is echoed as it was written and never a key: it may be null, a number or a text, and may repeat. A line without a method is
//! an answer. What a line has beyond what is known here is passed over. Lines are written straight into the buffer that is sent.

use crate::hex;
use adit_primitives::contract::shares::ShareVerdict;
use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::{RawValue, Value};
use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

/// An id, to be echoed as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// `null`, or none at all.
    Null,
    Number(u64),
    /// Any other number, or a text: as JSON.
    Other(Box<str>),
}

/// A line.
#[derive(Debug)]
pub enum Message<'a> {
    Request(Request<'a>),
    Answer(Answer<'a>),
}

/// A line with a method: something is asked, or told.
#[derive(Debug)]
pub struct Request<'a> {
    pub id: Id,
    pub method: Cow<'a, str>,
    pub params: Params<'a>,
}

/// A line without a method: it answers a request of ours.
#[derive(Debug)]
pub struct Answer<'a> {
    pub id: Id,
    /// Absent where it is null.
    pub result: Option<&'a RawValue>,
    /// Absent where it is null.
    pub error: Option<&'a RawValue>,
}

/// Why a line says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("the line is not one JSON object with an id, a method and params")]
    Malformed,
    #[error("the id is longer than {max} bytes")]
    LongId { max: usize },
    #[error("the id is neither a number nor a text nor null")]
    StrangeId,
}

/// The longest id that is echoed, as JSON.
pub const ID_BYTES_MAX: usize = 128;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Borrows where nothing is escaped: serde looks for that in a field of its own only.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Message<'a> {
    /// Reads a line.
    pub fn parse(line: &'a [u8]) -> Result<Self, MessageError> {
        // A list would be read as the fields in order.
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err(MessageError::Malformed);
        }
        let line: Line<'a> = serde_json::from_slice(line).map_err(|_| MessageError::Malformed)?;
        let id = Id::read(line.id)?;
        Ok(match line.method {
            Some(Text(method)) => Self::Request(Request { id, method, params: Params::of(line.params) }),
            None => Self::Answer(Answer { id, result: line.result, error: line.error }),
        })
    }
}

impl Id {
    fn read(raw: Option<&RawValue>) -> Result<Self, MessageError> {
        let Some(raw) = raw else { return Ok(Self::Null) };
        let text = raw.get();
        if text.len() > ID_BYTES_MAX {
            return Err(MessageError::LongId { max: ID_BYTES_MAX });
        }
        match text.as_bytes().first() {
            Some(b'n') => Ok(Self::Null),
            Some(b'0'..=b'9' | b'-' | b'"') => match text.parse() {
                Ok(number) => Ok(Self::Number(number)),
                // Half a surrogate pair and 1e999 pass for JSON up to here, and would break whoever reads the echo.
                Err(_) if serde_json::from_str::<Value>(text).is_ok() => Ok(Self::Other(text.into())),
                Err(_) => Err(MessageError::StrangeId),
            },
            _ => Err(MessageError::StrangeId),
        }
    }

    /// Returns an id that is a whole number, or the digits of one as a text.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Null => None,
            Self::Number(number) => Some(*number),
            Self::Other(json) => json.strip_prefix('"')?.strip_suffix('"')?.parse().ok(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Number(number) => write_number(*number, out),
            Self::Other(json) => out.extend_from_slice(json.as_bytes()),
        }
    }
}

impl Answer<'_> {
    /// Tells whether the result is `true`: some pools put an empty error beside it.
    pub fn is_true(&self) -> bool {
        self.result.is_some_and(|result| result.get() == "true")
    }

    /// Returns the error's code and text, whichever of the forms in the field it has: an array, an object, a text, or a plain
    /// `false` as the result.
    pub fn refusal(&self) -> Refusal {
        #[derive(Deserialize)]
        struct Named {
            #[serde(default)]
            code: i64,
            #[serde(default)]
            message: String,
        }
        let other = |text: String| Refusal { code: 20, text: text.into() };
        let Some(error) = self.error.map(RawValue::get) else { return other("no reason given".to_owned()) };
        if let Ok(text) = serde_json::from_str(error) {
            return other(text);
        }
        let params = Params::of(self.error);
        let named = match (params.text(0), params.text(1)) {
            (Some(code), Some(text)) => Named { code: code.parse().unwrap_or_default(), message: text.into_owned() },
            _ => match serde_json::from_str(error) {
                Ok(named) => named,
                Err(_) => return other(error.to_owned()),
            },
        };
        Refusal { code: u8::try_from(named.code).unwrap_or(20), text: named.message.into() }
    }
}

/// The most parameters that any method has.
const PARAMS_MAX: usize = 9;

/// The parameters of a request. What is not a list has none; what is beyond the known ones is passed over.
#[derive(Debug, Default)]
pub struct Params<'a> {
    items: [Option<&'a RawValue>; PARAMS_MAX],
}

impl<'a> Params<'a> {
    /// Reads a list; anything else has no items.
    pub fn of(raw: Option<&'a RawValue>) -> Self {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// Returns a parameter as JSON.
    pub fn raw(&self, index: usize) -> Option<&'a RawValue> {
        self.items.get(index).copied().flatten()
    }

    /// Returns a parameter that is a text, or the digits of one that is a number.
    pub fn text(&self, index: usize) -> Option<Cow<'a, str>> {
        let json = self.raw(index)?.get();
        match json.as_bytes().first()? {
            b'"' if !json.contains('\\') => Some(Cow::Borrowed(json.get(1..json.len() - 1)?)),
            b'"' => serde_json::from_str(json).ok().map(Cow::Owned),
            b'-' | b'0'..=b'9' => Some(Cow::Borrowed(json)),
            _ => None,
        }
    }

    /// Returns a parameter of exactly `N` bytes in hexadecimal digits.
    pub fn bytes<const N: usize>(&self, index: usize) -> Option<[u8; N]> {
        hex::array(&self.text(index)?)
    }

    /// Returns a parameter of any kind of JSON, read as `T`.
    pub fn read_as<T: Deserialize<'a>>(&self, index: usize) -> Option<T> {
        serde_json::from_str(self.raw(index)?.get()).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Params<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Params<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of parameters")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Params<'de>, A::Error> {
                let mut params = Params::default();
                for item in &mut params.items {
                    *item = list.next_element()?;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(params)
            }
        }
        deserializer.deserialize_seq(Items)
    }
}

/// Why a request is refused: Stratum's code, 20 to 25, and a reason that miners show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: u8,
    pub text: Cow<'static, str>,
}

impl Refusal {
    pub const UNKNOWN_METHOD: Self = Self::of(20, "unknown method");
    pub const TOO_MANY: Self = Self::of(20, "too many requests wait for their answer");
    pub const UNKNOWN_JOB: Self = Self::of(21, "job not found");
    pub const STALE: Self = Self::of(21, "stale share");
    pub const DUPLICATE: Self = Self::of(22, "duplicate share");
    pub const LOW_DIFFICULTY: Self = Self::of(23, "low difficulty share");
    pub const UNAUTHORIZED: Self = Self::of(24, "unauthorized worker");
    pub const NOT_SUBSCRIBED: Self = Self::of(25, "not subscribed");

    const fn of(code: u8, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text) }
    }

    /// Refuses for a reason that has no code of its own.
    pub const fn other(text: &'static str) -> Self {
        Self::of(20, text)
    }

    /// Returns what a miner is told of its share.
    pub const fn of_verdict(verdict: ShareVerdict) -> Result<(), Self> {
        Err(match verdict {
            ShareVerdict::Accept => return Ok(()),
            ShareVerdict::Stale => Self::STALE,
            ShareVerdict::Duplicate => Self::DUPLICATE,
            ShareVerdict::LowDifficulty => Self::LOW_DIFFICULTY,
            ShareVerdict::Time => Self::other("time is outside of what is allowed"),
            ShareVerdict::Version => Self::other("version has bits that may not be rolled"),
            ShareVerdict::Policy => Self::other("refused by the pool's policy"),
        })
    }
}

/// Appends the answer `true`.
pub fn write_true(id: &Id, out: &mut Vec<u8>) {
    write_result(id, out, |out| out.extend_from_slice(b"true"));
}

/// Appends an answer whose result is the JSON that `result` appends.
pub fn write_result(id: &Id, out: &mut Vec<u8>, result: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"result\":");
    result(out);
    out.extend_from_slice(b",\"error\":null}\n");
}

/// Appends the answer that refuses: the error as an array, the only form whose reason miners show.
pub fn write_refusal(id: &Id, refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"result\":null,\"error\":[");
    write_number(refusal.code.into(), out);
    out.push(b',');
    write_text(&refusal.text, out);
    out.extend_from_slice(b",null]}\n");
}

/// Appends a line with a method, whose parameters are the JSON that `params` appends. Without an id, no answer is expected.
pub fn write_request(id: &Id, method: &str, out: &mut Vec<u8>, params: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\",\"params\":[");
    params(out);
    out.extend_from_slice(b"]}\n");
}

/// Appends a text as JSON.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a text is JSON, and a vector takes every byte");
}

/// Appends bytes as a text of hexadecimal digits.
pub fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    hex::write(bytes, out);
    out.push(b'"');
}

/// Appends a whole number.
pub fn write_number(number: u64, out: &mut Vec<u8>) {
    write!(out, "{number}").expect("a vector takes every byte");
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        Self { code: 20, text: error.to_string().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_the_code_that_miners_know() {
        let code = |verdict| Refusal::of_verdict(verdict).map_err(|refusal| refusal.code);
        assert_eq!(code(ShareVerdict::Accept), Ok(()));
        assert_eq!(code(ShareVerdict::Stale), Err(21));
        assert_eq!(code(ShareVerdict::Duplicate), Err(22));
        assert_eq!(code(ShareVerdict::LowDifficulty), Err(23));
        for verdict in [ShareVerdict::Time, ShareVerdict::Version, ShareVerdict::Policy] {
            assert_eq!(code(verdict), Err(20));
        }
    }
}
