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
mod tests;
