//! The answer of a task: its standard output and the files that it left under `/out`, described by a [`Manifest`].
//!
//! A manifest is a pure function of the answer ([`Manifest::of`]). So whoever computes the same answer makes the same
//! manifest, and its digest names the answer.
//!
//! Hundreds of tiny files are kept as few blobs. Each distinct content of at most [`Manifest::PACKED_BYTES_MAX`] lies
//! in a *pack*: they follow each other in the order of their first naming, and a new pack begins when the next one
//! would make it larger than [`Manifest::PACK_BYTES_MAX`]. A larger content is a blob of its own. Where a content lies
//! follows from the sizes, so a manifest does not say it, and cannot say it wrongly. A pack of one content has that
//! content's digest: it is the content's own blob.
//!
//! What is *not* certain is that a pack of a stranger has the contents that its manifest names. [`Piece::holds`]
//! compares them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use thiserror::Error;

use super::BlobRef;
use crate::{codec, digest::Digest, invariant::known};

/// What a task answered: its parts, by digest and size. It is sound: its packs are as large as its contents make them,
/// and its paths differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize)]
#[serde(try_from = "Written")]
pub struct Manifest {
    packs: Vec<BlobRef>,
    stdout: BlobRef,
    files: Vec<OutputFile>,
}

/// A manifest as a stranger may have written it.
#[derive(Deserialize_tuple)]
struct Written {
    packs: Vec<BlobRef>,
    stdout: BlobRef,
    files: Vec<OutputFile>,
}

/// A file that a program left under `/out`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct OutputFile {
    /// Its path below `/out`.
    pub path: String,
    /// Its content's digest and size, whether the content is a blob of its own or lies in a pack.
    pub content: BlobRef,
}

/// Where a content lies: so many bytes of a blob, from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The content's own digest and size.
    pub content: BlobRef,
    /// The blob: a pack, or the content itself.
    pub blob: BlobRef,
    /// The content's first byte in the blob.
    pub offset: u64,
}

impl Piece {
    /// Whether the content is all of the blob.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.content == self.blob
    }

    /// Whether these bytes of the blob are the content. If the content is all of the blob, this holds anyway.
    #[must_use]
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.content == BlobRef::of(bytes)
    }
}

/// A manifest, and the blobs that it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The manifest.
    pub manifest: Manifest,
    /// What to store with it: the packs, and the contents that are blobs of their own.
    pub blobs: Vec<Vec<u8>>,
}

/// Why a manifest is not sound.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ManifestError {
    /// It names more than [`Manifest::FILES_MAX`] files.
    #[error("it names too many files")]
    TooManyFiles,
    /// Its files are not in the order of their paths, or two have the same.
    #[error("its paths do not rise")]
    Unordered,
    /// It names one digest with two sizes.
    #[error("it names one digest with two sizes")]
    TwoSizes,
    /// Its packs are not those that its contents make.
    #[error("its packs are not as large as what they contain")]
    WrongPacks,
}

impl Manifest {
    /// The most files that a manifest may name.
    pub const FILES_MAX: usize = 16_384;
    /// The most bytes of a content that lies in a pack.
    pub const PACKED_BYTES_MAX: u64 = 64 << 10;
    /// The most bytes of a pack.
    pub const PACK_BYTES_MAX: u64 = 16 << 20;

    /// The manifest of what a program wrote to standard output and left under `/out`, in whatever order the files
    /// come. Their paths differ.
    #[must_use]
    pub fn of(stdout: Vec<u8>, mut files: Vec<(String, Vec<u8>)>) -> Packed {
        files.sort_by(|one, other| one.0.cmp(&other.0));
        let mut layout = Layout::default();
        let (mut packs, mut own) = (Vec::<Vec<u8>>::new(), Vec::new());
        let mut name = |content: Vec<u8>| {
            let blob = BlobRef::of(&content);
            match known(layout.add(blob).ok()).flatten() {
                Some(Place::Own) => own.push(content),
                Some(Place::Packed { pack, .. }) => match packs.get_mut(pack) {
                    Some(begun) => begun.extend_from_slice(&content),
                    None => packs.push(content),
                },
                None => {}
            }
            blob
        };
        let stdout = name(stdout);
        let files = files.into_iter().map(|(path, content)| OutputFile { path, content: name(content) }).collect();
        let manifest = Self { packs: packs.iter().map(|pack| BlobRef::of(pack)).collect(), stdout, files };
        packs.append(&mut own);
        Packed { manifest, blobs: packs }
    }

    /// The packs, in order.
    #[must_use]
    pub fn packs(&self) -> &[BlobRef] {
        &self.packs
    }

    /// The digest and size of what the program wrote to standard output.
    #[must_use]
    pub const fn stdout(&self) -> BlobRef {
        self.stdout
    }

    /// The files that the program left under `/out`, in the order of their paths.
    #[must_use]
    pub fn files(&self) -> &[OutputFile] {
        &self.files
    }

    /// All contents, in the order of their naming.
    pub fn contents(&self) -> impl Iterator<Item = BlobRef> {
        std::iter::once(self.stdout).chain(self.files.iter().map(|file| file.content))
    }

    /// Where each distinct content lies, by its digest.
    #[must_use]
    pub fn pieces(&self) -> BTreeMap<Digest, Piece> {
        let mut layout = Layout::default();
        let mut pieces = BTreeMap::new();
        for content in self.contents() {
            let (blob, offset) = match known(layout.add(content).ok()).flatten() {
                Some(Place::Own) => (content, 0),
                Some(Place::Packed { pack, offset }) => {
                    let Some(blob) = known(self.packs.get(pack)) else { continue };
                    (*blob, offset)
                }
                None => continue,
            };
            pieces.insert(content.digest, Piece { content, blob, offset });
        }
        pieces
    }

    /// The digest that names the answer: that of the encoded manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&codec::encode(self))
    }
}

impl TryFrom<Written> for Manifest {
    type Error = ManifestError;

    fn try_from(Written { packs, stdout, files }: Written) -> Result<Self, ManifestError> {
        if files.len() > Self::FILES_MAX {
            return Err(ManifestError::TooManyFiles);
        }
        if !files.is_sorted_by(|one, next| one.path < next.path) {
            return Err(ManifestError::Unordered);
        }
        let manifest = Self { packs, stdout, files };
        let mut layout = Layout::default();
        for content in manifest.contents() {
            layout.add(content)?;
        }
        let is_packed = layout.packs.iter().eq(manifest.packs.iter().map(|pack| &pack.bytes));
        if is_packed { Ok(manifest) } else { Err(ManifestError::WrongPacks) }
    }
}

/// Lays contents out, one after the other.
#[derive(Default)]
struct Layout {
    /// The sizes of the distinct contents so far.
    sizes: BTreeMap<Digest, u64>,
    /// The sizes of the packs so far. The last one may grow.
    packs: Vec<u64>,
}

/// Where a content comes to lie.
enum Place {
    /// It is a blob of its own.
    Own,
    /// It lies in the pack of this number, from this byte on.
    Packed { pack: usize, offset: u64 },
}

impl Layout {
    /// Where the next content comes to lie; `None` if it lies somewhere already.
    fn add(&mut self, content: BlobRef) -> Result<Option<Place>, ManifestError> {
        match self.sizes.insert(content.digest, content.bytes) {
            None => {}
            Some(bytes) if bytes == content.bytes => return Ok(None),
            Some(_) => return Err(ManifestError::TwoSizes),
        }
        if content.bytes > Manifest::PACKED_BYTES_MAX {
            return Ok(Some(Place::Own));
        }
        let room = Manifest::PACK_BYTES_MAX - content.bytes;
        if self.packs.last().is_none_or(|pack| *pack > room) {
            self.packs.push(0);
        }
        let pack = self.packs.len() - 1;
        let offset = self.packs[pack];
        self.packs[pack] += content.bytes;
        Ok(Some(Place::Packed { pack, offset }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, content: &[u8]) -> (String, Vec<u8>) {
        (path.to_owned(), content.to_vec())
    }

    /// Bytes that differ from those of any other seed.
    fn bytes(length: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Reads every content out of the blobs, as whoever unpacks does.
    fn unpacked(packed: &Packed) -> Vec<Vec<u8>> {
        let blobs: BTreeMap<Digest, &Vec<u8>> = packed.blobs.iter().map(|blob| (Digest::of(blob), blob)).collect();
        let pieces = packed.manifest.pieces();
        let read = |content: BlobRef| {
            let Piece { blob, offset, .. } = pieces[&content.digest];
            let bytes = &blobs[&blob.digest][offset as usize..(offset + content.bytes) as usize];
            assert!(pieces[&content.digest].holds(bytes) && blobs[&blob.digest].len() as u64 == blob.bytes);
            bytes.to_vec()
        };
        packed.manifest.contents().map(read).collect()
    }

    #[test]
    fn a_thousand_tiny_files_are_one_blob_and_a_large_one_is_its_own() {
        let tiny = |seed: u64| (format!("{seed:04}"), bytes(170, seed));
        let files: Vec<_> = (0..1000).map(tiny).chain([file("large", &bytes(70_000, 5000))]).collect();
        let packed = Manifest::of(b"said".to_vec(), files.clone());
        let sizes: Vec<usize> = packed.blobs.iter().map(Vec::len).collect();
        assert_eq!(sizes, [170_004, 70_000]);
        let contents: Vec<_> =
            std::iter::once(b"said".to_vec()).chain(files.into_iter().map(|(_, file)| file)).collect();
        assert_eq!(unpacked(&packed), contents);
    }

    #[test]
    fn equal_contents_lie_in_a_pack_once_and_a_lone_one_is_its_own_blob() {
        let packed = Manifest::of(Vec::new(), vec![file("a", b"same"), file("b", b"same")]);
        assert_eq!(packed.blobs, [b"same"]);
        assert!(packed.manifest.pieces()[&Digest::of(b"same")].is_whole());
    }

    #[test]
    fn a_pack_that_is_full_is_followed_by_another() {
        let each = Manifest::PACKED_BYTES_MAX as usize;
        let count = Manifest::PACK_BYTES_MAX / Manifest::PACKED_BYTES_MAX + 1;
        let files: Vec<_> = (0..count).map(|seed| (format!("{seed:04}"), bytes(each, seed))).collect();
        let packed = Manifest::of(Vec::new(), files);
        let sizes: Vec<u64> = packed.blobs.iter().map(|pack| pack.len() as u64).collect();
        assert_eq!(sizes, [Manifest::PACK_BYTES_MAX, Manifest::PACKED_BYTES_MAX]);
        unpacked(&packed);
    }

    #[test]
    fn a_manifest_that_is_not_sound_is_none() {
        let decoded = |manifest: &Manifest| codec::decode::<Manifest>(&codec::encode(manifest), 1 << 20);
        let good = Manifest::of(b"out".to_vec(), vec![file("a", b"one"), file("b", &bytes(70_000, 1))]).manifest;
        assert_eq!(decoded(&good).as_ref(), Ok(&good));
        let mut wrong = Vec::new();
        let mut differ = |change: &dyn Fn(&mut Manifest)| {
            let mut other = good.clone();
            change(&mut other);
            wrong.push(other);
        };
        differ(&|manifest| manifest.packs[0].bytes += 1);
        differ(&|manifest| manifest.packs.clear());
        differ(&|manifest| manifest.packs.push(BlobRef::of(b"")));
        differ(&|manifest| manifest.stdout.bytes = u64::MAX);
        differ(&|manifest| manifest.files[0].content.bytes += 1);
        differ(&|manifest| manifest.files[0].content = BlobRef { bytes: 9, ..manifest.stdout });
        differ(&|manifest| manifest.files.swap(0, 1));
        differ(&|manifest| manifest.files[0].path = "b".to_owned());
        for manifest in wrong {
            assert!(decoded(&manifest).is_err(), "{manifest:?}");
        }
    }

    fn answers() -> impl Strategy<Value = (Vec<u8>, Vec<(String, Vec<u8>)>)> {
        let content = || prop::collection::vec(any::<u8>(), 0..6);
        let files = prop::collection::btree_map("[a-c]{1,3}", content(), 0..5);
        (content(), files.prop_map(|files| files.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn the_digest_names_the_answer_and_no_other(
            (stdout, files) in answers(), (other_stdout, other_files) in answers()
        ) {
            let packed = Manifest::of(stdout.clone(), files.clone());
            let reversed = files.iter().rev().cloned().collect();
            prop_assert_eq!(&Manifest::of(stdout.clone(), reversed), &packed, "a tree has no order");
            let other = Manifest::of(other_stdout.clone(), other_files.clone());
            prop_assert_eq!(packed.manifest.digest() == other.manifest.digest(), (&stdout, &files) == (&other_stdout, &other_files));
            let decoded: Manifest = codec::decode(&codec::encode(&packed.manifest), 1 << 20).expect("sound");
            prop_assert_eq!(&decoded, &packed.manifest);
            let contents: Vec<_> = std::iter::once(stdout).chain(files.into_iter().map(|(_, file)| file)).collect();
            prop_assert_eq!(unpacked(&packed), contents);
        }

        #[test]
        fn any_change_of_a_byte_or_a_path_is_another_answer(
            (stdout, files) in answers(), at in any::<prop::sample::Index>(), bit in 0..8u8
        ) {
            let digest = Manifest::of(stdout.clone(), files.clone()).manifest.digest();
            let mut parts: Vec<Vec<u8>> = std::iter::once(stdout).chain(files.iter().map(|(_, file)| file.clone())).collect();
            let part = at.index(parts.len());
            match parts[part].first_mut() {
                Some(byte) => *byte ^= 1 << bit,
                None => parts[part].push(bit),
            }
            let paths = files.iter().map(|(path, _)| path.clone());
            let changed = Manifest::of(parts.remove(0), paths.zip(parts).collect());
            prop_assert_ne!(changed.manifest.digest(), digest);
            if let Some(moved) = files.get(part) {
                let renamed: Vec<_> =
                    files.iter().filter(|file| *file != moved).cloned().chain([(format!("{}d", moved.0), moved.1.clone())]).collect();
                prop_assert_ne!(Manifest::of(Vec::new(), renamed).manifest.digest(), Manifest::of(Vec::new(), files.clone()).manifest.digest());
            }
        }
    }
}
