//! Pieces of decoding that frames share: lists and texts with a largest length, byte strings that stay slices.

use adit_primitives::{Decode, DecodeError, Reader};
use bytes::Bytes;

/// Reads a list of at most `max` entries.
pub fn bounded<T>(
    reader: &mut Reader<'_>,
    what: &'static str,
    max: usize,
    mut entry: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = u32::decode(reader)? as usize;
    if count > max {
        return Err(DecodeError::Count { what, count, max });
    }
    // Every entry has a byte at least: a count that lies makes no more room than the body could fill.
    let mut entries = Vec::with_capacity(count.min(reader.left()));
    for _ in 0..count {
        entries.push(entry(reader)?);
    }
    Ok(entries)
}

/// Reads a text of at most `max` bytes.
pub fn bounded_text(reader: &mut Reader<'_>, what: &'static str, max: usize) -> Result<String, DecodeError> {
    let bytes = reader.byte_string(what)?;
    if bytes.len() > max {
        return Err(DecodeError::Count { what, count: bytes.len(), max });
    }
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Text { what })
}

/// Reads a byte string of at most `max` bytes as a slice of `body`, which the reader reads.
pub fn slice(reader: &mut Reader<'_>, body: &Bytes, what: &'static str, max: usize) -> Result<Bytes, DecodeError> {
    let bytes = reader.byte_string(what)?;
    if bytes.len() > max {
        return Err(DecodeError::Count { what, count: bytes.len(), max });
    }
    Ok(body.slice_ref(bytes))
}
