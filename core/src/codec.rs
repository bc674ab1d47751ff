//! Canonical CBOR (RFC 8949 §4.2.1). Each value has exactly one encoding, and a stranger's bytes are bounded
//! before anything is allocated for them.
//!
//! Structures are encoded as arrays of their fields in order (no field names), byte strings as byte strings,
//! enums as their variant's name with its content. The decoder refuses anything that does not encode again to
//! the very same bytes. So indefinite lengths, integers longer than necessary, unsorted maps and trailing bytes
//! never get in.

use std::{fmt, ops::Deref, sync::Arc};

use ciborium_ll::{Decoder, Header};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use thiserror::Error;

/// How deep arrays, maps and tags may nest in anything that is decoded.
pub const DEPTH_MAX: usize = 24;

/// Why bytes were refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// There are more bytes than this kind of value may have.
    #[error("{bytes} bytes are more than the {bytes_max} allowed here")]
    TooLarge {
        /// The number of bytes.
        bytes: usize,
        /// The number allowed.
        bytes_max: usize,
    },
    /// Arrays or maps nest deeper than [`DEPTH_MAX`].
    #[error("values nest deeper than {DEPTH_MAX}")]
    TooDeep,
    /// The input announces a length that the rest of it cannot hold.
    #[error("a length is announced that the input does not hold")]
    Truncated,
    /// The bytes are not one well-formed, definite-length CBOR value.
    #[error("not one well-formed CBOR value")]
    Malformed,
    /// The bytes are CBOR, but not of the expected shape.
    #[error("not of the expected shape: {0}")]
    Shape(String),
    /// The value has another encoding, which is canonical.
    #[error("not the canonical encoding")]
    NotCanonical,
}

impl DecodeError {
    /// The kind of error in a few words that never change, for counting.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too large",
            Self::TooDeep => "nested too deep",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Shape(_) => "of the wrong shape",
            Self::NotCanonical => "not canonical",
        }
    }
}

/// The canonical bytes of a value of this crate.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    ciborium::into_writer(value, &mut bytes).expect("writing this crate's types to memory cannot fail");
    bytes
}

/// Decodes a value that `bytes` encode canonically, if they are at most `bytes_max` long.
///
/// # Errors
/// A [`DecodeError`] that says what is wrong. No bytes of a stranger make this panic, or allocate more than in
/// proportion to the input.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, DecodeError> {
    if bytes.len() > bytes_max {
        return Err(DecodeError::TooLarge { bytes: bytes.len(), bytes_max });
    }
    check_bounds(bytes)?;
    let value: T = ciborium::from_reader(bytes).map_err(|error| DecodeError::Shape(error.to_string()))?;
    // Comparing while encoding needs no second buffer and stops at the first difference.
    let mut rest = Unequal(bytes);
    match ciborium::into_writer(&value, &mut rest) {
        Ok(()) if rest.0.is_empty() => Ok(value),
        _ => Err(DecodeError::NotCanonical),
    }
}

/// A writer that accepts exactly the bytes that it was made with.
struct Unequal<'a>(&'a [u8]);

impl std::io::Write for Unequal<'_> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.strip_prefix(data).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Walks the headers once, without building anything. Every announced length must fit what remains of the
/// input, and nesting must stay within [`DEPTH_MAX`].
fn check_bounds(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut rest = bytes;
    // How many values are still due at each open level.
    let mut due: Vec<usize> = vec![1];
    while let Some(level) = due.last_mut() {
        if *level == 0 {
            due.pop();
            continue;
        }
        *level -= 1;
        let mut decoder = Decoder::from(rest);
        let header = decoder.pull().map_err(|_| DecodeError::Malformed)?;
        let header_bytes = decoder.offset();
        rest = rest.get(header_bytes..).ok_or(DecodeError::Truncated)?;
        let opens = match header {
            Header::Positive(_) | Header::Negative(_) | Header::Simple(_) => None,
            Header::Bytes(Some(length)) | Header::Text(Some(length)) => {
                rest = rest.get(length..).ok_or(DecodeError::Truncated)?;
                None
            }
            Header::Array(Some(length)) => Some(length),
            Header::Map(Some(length)) => Some(length.checked_mul(2).ok_or(DecodeError::Truncated)?),
            // No value of this crate has indefinite lengths, floats or tags.
            _ => return Err(DecodeError::Malformed),
        };
        if let Some(values) = opens {
            // Every value takes at least one byte.
            if values > rest.len() {
                return Err(DecodeError::Truncated);
            }
            if due.len() >= DEPTH_MAX {
                return Err(DecodeError::TooDeep);
            }
            due.push(values);
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(DecodeError::Malformed) }
}

/// Shared, immutable bytes, encoded as one CBOR byte string.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteString(Arc<[u8]>);

impl Deref for ByteString {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for ByteString {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for ByteString {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for ByteString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for ByteString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_bytes::ByteBuf::deserialize(deserializer).map(|bytes| bytes.into_vec().into())
    }
}

/// Declares a newtype over `[u8; N]`: a CBOR byte string in binary formats, lower-case hexadecimal for people.
macro_rules! fixed_bytes {
    ($(#[$meta:meta])* $name:ident, $length:expr, $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&::hex::encode(self.0))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&::hex::encode(&self.0[..6]))
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::codec::HexError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; $length];
                ::hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| $crate::codec::HexError { what: $what, digits: 2 * $length })?;
                Ok(Self(bytes))
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = <::std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                    text.parse().map_err(::serde::de::Error::custom)
                } else {
                    let bytes = <::serde_bytes::ByteArray<$length>>::deserialize(deserializer)?;
                    Ok(Self(bytes.into_array()))
                }
            }
        }
    };
}
pub(crate) use fixed_bytes;

/// A text is not the hexadecimal digits that were expected.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what} is {digits} hexadecimal digits")]
pub struct HexError {
    /// What was expected, with its article.
    pub what: &'static str,
    /// The number of digits that it must have.
    pub digits: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_that_the_input_cannot_hold_is_refused_before_allocating() {
        // An array header that announces 2^63 elements, nine bytes in all.
        let bytes = [0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(decode::<Vec<u64>>(&bytes, 64), Err(DecodeError::Truncated));
        let bytes = [0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(decode::<ByteString>(&bytes, 64), Err(DecodeError::Truncated));
    }

    #[test]
    fn nesting_is_bounded() {
        let mut bytes = vec![0x81; DEPTH_MAX + 1];
        bytes.push(0);
        assert_eq!(check_bounds(&bytes), Err(DecodeError::TooDeep));
        bytes.drain(..2);
        assert_eq!(check_bounds(&bytes), Ok(()));
    }

    #[test]
    fn other_encodings_of_a_value_are_refused() {
        assert_eq!(decode::<u64>(&[0x05], 16), Ok(5));
        for other in [&[0x18, 0x05][..], &[0x05, 0x00], &[0x9f, 0xff], &[0xc1, 0x05], &[]] {
            assert!(decode::<u64>(other, 16).is_err(), "{other:?}");
        }
        assert_eq!(decode::<u64>(&[0x18, 0x05], 16), Err(DecodeError::NotCanonical));
        assert_eq!(decode::<u64>(&[0x05], 0), Err(DecodeError::TooLarge { bytes: 1, bytes_max: 0 }));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(value: (u64, i32, String, Vec<Vec<u8>>, Option<bool>)) {
            let bytes = encode(&value);
            prop_assert_eq!(decode::<(u64, i32, String, Vec<Vec<u8>>, Option<bool>)>(&bytes, bytes.len()), Ok(value));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_only_canonical_ones_pass(bytes: Vec<u8>) {
            if let Ok(value) = decode::<Vec<(u64, String, ByteString)>>(&bytes, 4096) {
                prop_assert_eq!(encode(&value), bytes);
            }
        }
    }
}
