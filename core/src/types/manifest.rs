//! The answer of a task: its standard output and the tree of files that it left under `/out`, described by a [`Manifest`].
//! A folder that a submitter gives to tasks is described by one too, with an empty standard output.
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

use super::{BlobRef, folders_of, is_tree_path_sound};
use crate::{codec, digest::Digest, invariant::known};

/// What a task answered: its parts, by digest and size. One that was decoded is sound: its packs are as large as its
/// contents make them, and its paths make a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize)]
#[serde(try_from = "Written")]
pub struct Manifest {
    packs: Vec<BlobRef>,
    stdout: BlobRef,
    files: Vec<OutputFile>,
    empty_folders: Vec<String>,
}

/// A manifest as a stranger may have written it.
#[derive(Deserialize_tuple)]
struct Written {
    packs: Vec<BlobRef>,
    stdout: BlobRef,
    files: Vec<OutputFile>,
    empty_folders: Vec<String>,
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
    /// It names more than [`Manifest::FILES_MAX`] files and empty folders.
    #[error("it names too many files and folders")]
    TooManyFiles,
    /// Its contents have more than [`Manifest::BYTES_MAX`] bytes together.
    #[error("its files are too large together")]
    TooLarge,
    /// A path is absolute, leads elsewhere, or is too long or too deep: see [`is_tree_path_sound`].
    #[error("a path is too long or too deep, or leads elsewhere")]
    BadPath,
    /// Its files or its empty folders are not in the order of their paths, or two have the same.
    #[error("its paths do not rise")]
    Unordered,
    /// A path is that of a file and of a folder, or an empty folder has something in it.
    #[error("one path is that of a file and of a folder, or of an empty folder that is not empty")]
    Clash,
    /// It names one digest with two sizes.
    #[error("it names one digest with two sizes")]
    TwoSizes,
    /// Its packs are not those that its contents make.
    #[error("its packs are not as large as what they contain")]
    WrongPacks,
}

impl Manifest {
    /// The most files and empty folders that a manifest may name.
    pub const FILES_MAX: usize = 16_384;
    /// The most bytes of all contents together.
    pub const BYTES_MAX: u64 = 64 << 30;
    /// The most bytes of a content that lies in a pack.
    pub const PACKED_BYTES_MAX: u64 = 64 << 10;
    /// The most bytes of a pack.
    pub const PACK_BYTES_MAX: u64 = 16 << 20;

    /// The manifest of what a program wrote to standard output and left under `/out`, in whatever order the files and
    /// the empty folders come. Their paths differ.
    #[must_use]
    pub fn of(stdout: Vec<u8>, mut files: Vec<(String, Vec<u8>)>, mut empty_folders: Vec<String>) -> Packed {
        files.sort_by(|one, other| one.0.cmp(&other.0));
        empty_folders.sort();
        let mut packer = Packer::default();
        let (mut blobs, mut own) = (Vec::new(), Vec::new());
        let mut name = |content: Vec<u8>| {
            let blob = BlobRef::of(&content);
            if blob.bytes <= Self::PACKED_BYTES_MAX {
                blobs.extend(packer.pack(&content));
            } else if packer.keep(blob) {
                own.push(content);
            }
            blob
        };
        let stdout = name(stdout);
        let files = files.into_iter().map(|(path, content)| OutputFile { path, content: name(content) }).collect();
        let (manifest, last) = packer.finish(stdout, files, empty_folders);
        blobs.extend(last);
        blobs.append(&mut own);
        Packed { manifest, blobs }
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

    /// The folders under `/out` that have nothing in them, in order.
    #[must_use]
    pub fn empty_folders(&self) -> &[String] {
        &self.empty_folders
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

impl Manifest {
    /// Whether these are the paths of a tree: each leads to one file or one empty folder, and there are not too many.
    ///
    /// # Errors
    /// They are none.
    pub fn check_paths(files: &[OutputFile], empty_folders: &[String]) -> Result<(), ManifestError> {
        if files.len().saturating_add(empty_folders.len()) > Self::FILES_MAX {
            return Err(ManifestError::TooManyFiles);
        }
        let paths = || files.iter().map(|file| &file.path).chain(empty_folders);
        if !paths().all(|path| is_tree_path_sound(path)) {
            return Err(ManifestError::BadPath);
        }
        if !files.is_sorted_by(|one, next| one.path < next.path) || !empty_folders.is_sorted_by(|one, next| one < next)
        {
            return Err(ManifestError::Unordered);
        }
        let is_named = |path: &str| {
            files.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok()
                || empty_folders.binary_search_by(|folder| folder.as_str().cmp(path)).is_ok()
        };
        let mut before = "";
        for path in paths() {
            // What the path before leads through as well has been looked at.
            let alike = path.bytes().zip(before.bytes()).take_while(|(one, other)| one == other).count();
            if folders_of(path).any(|folder| folder.len() >= alike && is_named(folder)) {
                return Err(ManifestError::Clash);
            }
            before = path;
        }
        if empty_folders.iter().any(|folder| files.binary_search_by(|file| file.path.cmp(folder)).is_ok()) {
            return Err(ManifestError::Clash);
        }
        Ok(())
    }
}

impl TryFrom<Written> for Manifest {
    type Error = ManifestError;

    fn try_from(Written { packs, stdout, files, empty_folders }: Written) -> Result<Self, ManifestError> {
        Self::check_paths(&files, &empty_folders)?;
        let manifest = Self { packs, stdout, files, empty_folders };
        let mut layout = Layout::default();
        for content in manifest.contents() {
            layout.add(content)?;
        }
        let bytes = layout.sizes.values().try_fold(0_u64, |sum, bytes| sum.checked_add(*bytes));
        if bytes.is_none_or(|bytes| bytes > Self::BYTES_MAX) {
            return Err(ManifestError::TooLarge);
        }
        let is_packed = layout.packs.iter().eq(manifest.packs.iter().map(|pack| &pack.bytes));
        if is_packed { Ok(manifest) } else { Err(ManifestError::WrongPacks) }
    }
}

/// Makes a manifest of contents that come one after the other, in the order in which it names them. It holds no more of
/// them than one pack.
#[derive(Default)]
pub struct Packer {
    layout: Layout,
    packs: Vec<BlobRef>,
    /// The pack that is being filled.
    pack: Vec<u8>,
}

impl Packer {
    /// Takes the next content, of at most [`Manifest::PACKED_BYTES_MAX`]. Returns the pack before it if that is full, so
    /// that it can be stored.
    #[must_use = "a full pack is a blob to store"]
    pub fn pack(&mut self, content: &[u8]) -> Option<Vec<u8>> {
        let Some(Place::Packed { pack, .. }) = known(self.layout.add(BlobRef::of(content)).ok()).flatten() else {
            return None;
        };
        let full = (pack > self.packs.len()).then(|| std::mem::take(&mut self.pack));
        self.packs.extend(full.as_deref().map(BlobRef::of));
        self.pack.extend_from_slice(content);
        full
    }

    /// Takes the next content, which is larger, as a blob of its own. False if it came before.
    pub fn keep(&mut self, content: BlobRef) -> bool {
        known(self.layout.add(content).ok()).flatten().is_some()
    }

    /// The manifest that names all this, and the last pack.
    #[must_use]
    pub fn finish(
        mut self,
        stdout: BlobRef,
        files: Vec<OutputFile>,
        empty_folders: Vec<String>,
    ) -> (Manifest, Option<Vec<u8>>) {
        let last = (self.layout.packs.len() > self.packs.len()).then_some(self.pack);
        self.packs.extend(last.as_deref().map(BlobRef::of));
        (Manifest { packs: self.packs, stdout, files, empty_folders }, last)
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

    /// The manifest of an answer without empty folders.
    fn of(stdout: Vec<u8>, files: Vec<(String, Vec<u8>)>) -> Packed {
        Manifest::of(stdout, files, Vec::new())
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
        let packed = of(b"said".to_vec(), files.clone());
        let sizes: Vec<usize> = packed.blobs.iter().map(Vec::len).collect();
        assert_eq!(sizes, [170_004, 70_000]);
        let contents: Vec<_> =
            std::iter::once(b"said".to_vec()).chain(files.into_iter().map(|(_, file)| file)).collect();
        assert_eq!(unpacked(&packed), contents);
    }

    #[test]
    fn equal_contents_lie_in_a_pack_once_and_a_lone_one_is_its_own_blob() {
        let packed = of(Vec::new(), vec![file("a", b"same"), file("b", b"same")]);
        assert_eq!(packed.blobs, [b"same"]);
        assert!(packed.manifest.pieces()[&Digest::of(b"same")].is_whole());
    }

    #[test]
    fn a_pack_that_is_full_is_followed_by_another() {
        let each = Manifest::PACKED_BYTES_MAX as usize;
        let count = Manifest::PACK_BYTES_MAX / Manifest::PACKED_BYTES_MAX + 1;
        let files: Vec<_> = (0..count).map(|seed| (format!("{seed:04}"), bytes(each, seed))).collect();
        let packed = of(Vec::new(), files);
        let sizes: Vec<u64> = packed.blobs.iter().map(|pack| pack.len() as u64).collect();
        assert_eq!(sizes, [Manifest::PACK_BYTES_MAX, Manifest::PACKED_BYTES_MAX]);
        unpacked(&packed);
    }

    #[test]
    fn a_manifest_that_is_not_sound_is_none() {
        let decoded = |manifest: &Manifest| codec::decode::<Manifest>(&codec::encode(manifest), 1 << 20);
        let good = of(b"out".to_vec(), vec![file("a", b"one"), file("b", &bytes(70_000, 1))]).manifest;
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

    /// A manifest with files at these paths, as a stranger may write it.
    fn strangers(files: &[&str], empty_folders: &[&str]) -> Result<Manifest, ManifestError> {
        let content = BlobRef::of(b"");
        let files = files.iter().map(|path| OutputFile { path: (*path).to_owned(), content }).collect();
        let empty_folders = empty_folders.iter().map(|path| (*path).to_owned()).collect();
        Written { packs: vec![content], stdout: content, files, empty_folders }.try_into()
    }

    #[test]
    fn paths_that_make_no_tree_are_refused_with_the_reason() {
        assert!(strangers(&["a", "a.b", "b/c", "b/d/e"], &["b/f", "c"]).is_ok());
        let deep = format!("{}x", "d/".repeat(crate::types::DEPTH_MAX + 1));
        for path in ["../a", "/a", "a/../b", "a//b", "", "a\0", &"x".repeat(1025), &deep] {
            assert_eq!(strangers(&[path], &[]), Err(ManifestError::BadPath), "{path:?}");
            assert_eq!(strangers(&[], &[path]), Err(ManifestError::BadPath), "{path:?}");
        }
        for (files, folders) in [
            (&["a", "a.b", "a/b"][..], &[][..]),
            (&["a/b/c"], &["a/b"]),
            (&["a"], &["a/b"]),
            (&["a"], &["a"]),
            (&[], &["a", "a/b"]),
        ] {
            assert_eq!(strangers(files, folders), Err(ManifestError::Clash), "{files:?} {folders:?}");
        }
        for (files, folders) in [(&["b", "a"][..], &[][..]), (&["a", "a"], &[]), (&[], &["b", "a"]), (&[], &["a", "a"])]
        {
            assert_eq!(strangers(files, folders), Err(ManifestError::Unordered), "{files:?} {folders:?}");
        }
        let names: Vec<String> = (0..=Manifest::FILES_MAX).map(|number| format!("{number:06}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(strangers(&names, &[]), Err(ManifestError::TooManyFiles));
        assert_eq!(strangers(&names[..10_000], &names[10_000..]), Err(ManifestError::TooManyFiles));
        assert!(strangers(&names[1..], &[]).is_ok());
    }

    #[test]
    fn contents_that_are_too_large_together_are_refused_however_large_they_say_they_are() {
        let sized = |bytes: &[u64]| {
            let stdout = BlobRef::of(b"");
            let content = |(seed, bytes): (u8, &u64)| BlobRef { digest: Digest::of(&[seed]), bytes: *bytes };
            let contents = (0..).zip(bytes).map(content);
            let files = contents.map(|content| OutputFile { path: content.digest.to_string(), content });
            let mut files: Vec<OutputFile> = files.collect();
            files.sort_by(|one, other| one.path.cmp(&other.path));
            Manifest::try_from(Written { packs: vec![stdout], stdout, files, empty_folders: Vec::new() })
        };
        assert!(sized(&[Manifest::BYTES_MAX]).is_ok());
        assert_eq!(sized(&[Manifest::BYTES_MAX, 1 << 20]), Err(ManifestError::TooLarge));
        assert_eq!(sized(&[u64::MAX, u64::MAX]), Err(ManifestError::TooLarge));
    }

    #[test]
    fn an_empty_folder_is_a_part_of_the_answer() {
        let answer = |folders: &[&str]| {
            let folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
            Manifest::of(b"out".to_vec(), vec![file("a", b"one")], folders).manifest
        };
        let manifest = answer(&["z/b", "c"]);
        assert_eq!(manifest.empty_folders(), ["c", "z/b"]);
        assert_eq!(codec::decode::<Manifest>(&codec::encode(&manifest), 1 << 20).as_ref(), Ok(&manifest));
        assert_ne!(manifest.digest(), answer(&["c"]).digest());
        assert_ne!(answer(&[]).digest(), answer(&["c"]).digest());
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
            let packed = of(stdout.clone(), files.clone());
            let reversed = files.iter().rev().cloned().collect();
            prop_assert_eq!(&of(stdout.clone(), reversed), &packed, "a tree has no order");
            let other = of(other_stdout.clone(), other_files.clone());
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
            let digest = of(stdout.clone(), files.clone()).manifest.digest();
            let mut parts: Vec<Vec<u8>> = std::iter::once(stdout).chain(files.iter().map(|(_, file)| file.clone())).collect();
            let part = at.index(parts.len());
            match parts[part].first_mut() {
                Some(byte) => *byte ^= 1 << bit,
                None => parts[part].push(bit),
            }
            let paths = files.iter().map(|(path, _)| path.clone());
            let changed = of(parts.remove(0), paths.zip(parts).collect());
            prop_assert_ne!(changed.manifest.digest(), digest);
            if let Some(moved) = files.get(part) {
                let renamed: Vec<_> =
                    files.iter().filter(|file| *file != moved).cloned().chain([(format!("{}d", moved.0), moved.1.clone())]).collect();
                prop_assert_ne!(of(Vec::new(), renamed).manifest.digest(), of(Vec::new(), files.clone()).manifest.digest());
            }
        }
    }
}
