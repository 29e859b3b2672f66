//! Canonical bytes: little-endian integers, byte strings and lists with a `u32` length in front.
//!
//! One value has one encoding. Decoding never allocates more than the input could fill, and refuses what is left over.

use crate::{BlockId, Hash256, TxId, U256};

/// Why bytes do not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{what} needs {need} more bytes, {left} are left")]
    Short { what: &'static str, need: usize, left: usize },
    #[error("{left} bytes are left over after {what}")]
    Trailing { what: &'static str, left: usize },
    #[error("{value} is not a valid {what}")]
    Value { what: &'static str, value: u64 },
    #[error("{what} is not UTF-8 text")]
    Text { what: &'static str },
    #[error("{what} has {count} entries, {max} are allowed")]
    Count { what: &'static str, count: usize, max: usize },
}

/// Has canonical bytes.
pub trait Encode {
    /// Appends the canonical bytes of this value.
    fn encode(&self, out: &mut Vec<u8>);

    /// Returns the canonical bytes of this value.
    fn to_bytes(&self) -> Vec<u8> {
        // About as many as in memory: growing step by step would cost more than writing.
        let mut out = Vec::with_capacity(size_of_val(self));
        self.encode(&mut out);
        out
    }
}

/// Is read from canonical bytes.
pub trait Decode: Sized {
    /// Reads one value and moves the reader past it.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads one value that fills `bytes` to the end.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish(std::any::type_name::<Self>())?;
        Ok(value)
    }
}

/// A place in a byte string that is being decoded.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// Takes the next `count` bytes.
    pub fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        match self.left.split_at_checked(count) {
            Some((taken, left)) => {
                self.left = left;
                Ok(taken)
            }
            None => Err(DecodeError::Short { what, need: count, left: self.left.len() }),
        }
    }

    /// Takes the next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        self.take(what, N).map(|bytes| bytes.try_into().expect("take returns the length asked for"))
    }

    /// Takes one byte.
    pub fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// Takes a byte string with a `u32` length in front.
    pub fn byte_string(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = u32::decode(self)?;
        self.take(what, length as usize)
    }

    /// Returns how many bytes are left.
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// Refuses bytes that are left over.
    pub fn finish(self, what: &'static str) -> Result<(), DecodeError> {
        match self.left.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { what, left }),
        }
    }
}

macro_rules! integer {
    ($($int:ident),*) => {$(
        impl Encode for $int {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }

        impl Decode for $int {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array(stringify!($int)).map(Self::from_le_bytes)
            }
        }
    )*};
}
integer!(u16, u32, u64, i64);

// No `Encode for u8`: a list of bytes is a byte string, copied whole.
impl Encode for [u8] {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_length(self.len(), out);
        out.extend_from_slice(self);
    }
}

impl Encode for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

impl Decode for Vec<u8> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.byte_string("byte string").map(<[u8]>::to_vec)
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Decode for bool {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("bool")? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::Value { what: "bool", value: other.into() }),
        }
    }
}

impl Encode for U256 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes::<32>());
    }
}

impl Decode for U256 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("u256").map(Self::from_le_bytes::<32>)
    }
}

macro_rules! hash {
    ($($hash:ident),*) => {$(
        impl Encode for $hash {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        }

        impl Decode for $hash {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array(stringify!($hash)).map(Self)
            }
        }
    )*};
}
hash!(Hash256, BlockId, TxId);

/// Appends the `u32` length that stands in front of byte strings and lists.
///
/// # Panics
/// Where there are more than 2^32 − 1 entries: nothing that the host builds comes near.
pub fn encode_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length).expect("lists and byte strings stay below 2^32 entries").encode(out);
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(size_of_val(self) + size_of::<u32>());
        encode_length(self.len(), out);
        self.iter().for_each(|item| item.encode(out));
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = u32::decode(reader)? as usize;
        // Entries take about as many bytes as in memory: a length that lies reserves no more than twice what the input is long.
        let mut items = Self::with_capacity(count.min(1 + 2 * reader.left() / size_of::<T>().max(1)));
        for _ in 0..count {
            items.push(T::decode(reader)?);
        }
        Ok(items)
    }
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode(out);
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }
}

impl Decode for String {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = reader.byte_string("text")?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Text { what: "text" })
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("tag")? {
            0 => Ok(None),
            1 => T::decode(reader).map(Some),
            other => Err(DecodeError::Value { what: "option", value: other.into() }),
        }
    }
}

impl<T: Encode, E: Encode> Encode for Result<T, E> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Ok(value) => {
                out.push(0);
                value.encode(out);
            }
            Err(error) => {
                out.push(1);
                error.encode(out);
            }
        }
    }
}

impl<T: Decode, E: Decode> Decode for Result<T, E> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("tag")? {
            0 => T::decode(reader).map(Ok),
            1 => E::decode(reader).map(Err),
            other => Err(DecodeError::Value { what: "result", value: other.into() }),
        }
    }
}

/// Implements [`Encode`] and [`Decode`] for a struct: its fields in the order named.
#[macro_export]
macro_rules! canonical_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::Encode::encode(&self.$field, out);)*
            }
        }

        impl $crate::Decode for $name {
            fn decode(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Ok(Self { $($field: $crate::Decode::decode(reader)?),* })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{KnownBlock, Placement, Scan};
    use proptest::prelude::*;

    #[track_caller]
    fn refuses<T: Decode + std::fmt::Debug>(bytes: &[u8], want: DecodeError) {
        assert_eq!(T::from_bytes(bytes).map(|_| ()), Err(want));
    }

    #[test]
    fn a_length_past_the_end_is_refused_without_room_for_it() {
        refuses::<Vec<u8>>(&[0xff; 4], DecodeError::Short { what: "byte string", need: 0xffff_ffff, left: 0 });
        refuses::<Vec<u64>>(&[0xff; 4], DecodeError::Short { what: "u64", need: 8, left: 0 });
    }

    #[test]
    fn bytes_left_over_are_refused() {
        refuses::<u16>(&[1, 2, 3], DecodeError::Trailing { what: "u16", left: 1 });
    }

    #[test]
    fn a_tag_that_means_nothing_is_refused() {
        refuses::<Option<u16>>(&[2, 0, 0], DecodeError::Value { what: "option", value: 2 });
        refuses::<bool>(&[2], DecodeError::Value { what: "bool", value: 2 });
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_have_one_encoding(bytes: Vec<u8>) {
            fn check<T: Decode + Encode>(bytes: &[u8]) {
                if let Ok(value) = T::from_bytes(bytes) {
                    assert_eq!(value.to_bytes(), bytes);
                }
            }
            check::<Vec<Option<KnownBlock>>>(&bytes);
            check::<Vec<Result<Placement, crate::contract::Violation>>>(&bytes);
            check::<Scan>(&bytes);
            check::<Vec<Vec<u8>>>(&bytes);
        }
    }
}
