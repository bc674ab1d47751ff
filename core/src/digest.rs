//! BLAKE3 digests. They name everything: blocks, programs, inputs, outputs, receipts.

use crate::codec::{self, fixed_bytes};

fixed_bytes! {
    /// A BLAKE3 digest.
    Digest, 32, "a digest"
}

impl Digest {
    /// The digest that stands for nothing: the parent of the first block.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest of plain bytes, as any BLAKE3 tool computes it.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of a value's canonical bytes. `context` separates it from digests of other kinds of values
    /// (BLAKE3's key derivation mode).
    #[must_use]
    pub fn of_value<T: serde::Serialize + ?Sized>(context: &'static str, value: &T) -> Self {
        Self::of_parts(context, &[&codec::encode(value)])
    }

    /// The digest of concatenated byte strings. `context` separates it from other digests.
    #[must_use]
    pub fn of_parts(context: &'static str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in parts {
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }
}
