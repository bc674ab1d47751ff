//! Folders of this machine that tasks are given: what is in them, and how they are sent.
//!
//! A folder is taken as it is, with its hidden files and its empty folders, in the order of the paths. A symbolic link
//! stands for what it leads to, and may lead only to what is in the folder as well.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use meshwork_core::{
    blobs::{BLOB_BYTES_MAX, MANIFEST_BYTES_MAX},
    codec,
    digest::Digest,
    types::{BlobRef, Manifest, OutputFile, Packer, is_tree_path_sound},
};

use crate::{
    client::Client,
    failure::{Done, Failure},
};

/// What is in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// In the order of their paths.
    files: Vec<File>,
    /// The folders in it that have nothing in them, in order.
    empty_folders: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    /// Its path below the folder, with slashes.
    path: String,
    /// Its path on this machine.
    place: PathBuf,
    bytes: u64,
}

/// Why a folder cannot be given to tasks.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It, or something in it, cannot be read.
    #[error("{} cannot be read: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// A name is no text.
    #[error("{} has a name that is no text", .0.display())]
    NotText(PathBuf),
    /// A path is too long or too deep.
    #[error("{} is too deep in the folder, or its path is too long", .0.display())]
    TooDeep(PathBuf),
    /// A symbolic link leads out of the folder.
    #[error("{} is a symbolic link that leads out of the folder", .0.display())]
    LeadsOut(PathBuf),
    /// A symbolic link leads to a folder that it is in.
    #[error("{} is a symbolic link that leads in a circle", .0.display())]
    Circle(PathBuf),
    /// Something is neither a file nor a folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    /// A file is larger than a blob.
    #[error("{} has more than {BLOB_BYTES_MAX} bytes", .0.display())]
    LargeFile(PathBuf),
    /// There are too many files, or they are too large together.
    #[error(
        "{} has more than {} files and empty folders, or {} bytes, or the list of them takes more than {MANIFEST_BYTES_MAX}",
        .0.display(), Manifest::FILES_MAX, Manifest::BYTES_MAX
    )]
    TooMuch(PathBuf),
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        Self::usage(format!("{error}; give a folder of files."))
    }
}

impl Folder {
    /// Looks through a folder. No file is opened.
    ///
    /// # Errors
    /// The first thing in it that cannot be given to a task.
    pub fn scan(folder: &Path) -> Result<Self, FolderError> {
        let root = folder.canonicalize().map_err(|error| FolderError::Io(folder.to_owned(), error))?;
        let mut scan = Scan { root: root.clone(), way: vec![root], found: Self::default(), bytes: 0 };
        scan.enter(folder, "")?;
        let Self { mut files, mut empty_folders } = scan.found;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        empty_folders.sort();
        let found = Self { files, empty_folders };
        if found.list_bytes() > MANIFEST_BYTES_MAX { Err(FolderError::TooMuch(folder.to_owned())) } else { Ok(found) }
    }

    /// The most bytes that the manifest can take: that of files with some digest, and a name for each pack.
    fn list_bytes(&self) -> usize {
        const PACK_BYTES: u64 = 64;
        let some = |bytes| BlobRef { digest: Digest::ZERO, bytes };
        let file = |file: &File| OutputFile { path: file.path.clone(), content: some(file.bytes) };
        let files = self.files.iter().map(file).collect();
        let (manifest, _) = Packer::default().finish(some(0), files, self.empty_folders.clone());
        let packed = self.files.iter().map(|file| file.bytes).filter(|bytes| *bytes <= Manifest::PACKED_BYTES_MAX);
        let packs = packed.sum::<u64>() / (Manifest::PACK_BYTES_MAX - Manifest::PACKED_BYTES_MAX) + 1;
        codec::encode(&manifest).len() + usize::try_from(packs * PACK_BYTES).unwrap_or(usize::MAX)
    }

    /// Sends all of it, and returns the manifest that names it. Small files travel together.
    ///
    /// # Errors
    /// A file cannot be read, changes meanwhile, or the node refuses it.
    pub async fn send(&self, client: &Client) -> Done<BlobRef> {
        let mut packer = Packer::default();
        let stdout = BlobRef::of(b"");
        // It is the first content of every manifest.
        let mut full = packer.pack(b"");
        let mut files = Vec::with_capacity(self.files.len());
        for File { path, place, bytes } in &self.files {
            let changed = || Failure::failed(format!("{} changed while it was sent; try again.", place.display()));
            let content = if *bytes <= Manifest::PACKED_BYTES_MAX {
                let content = fs::read(place).map_err(|error| Failure::given_file(place, &error))?;
                if content.len() as u64 != *bytes {
                    return Err(changed());
                }
                full = packer.pack(&content);
                BlobRef::of(&content)
            } else {
                let blob = client.put_file(place).await?;
                if blob.bytes != *bytes {
                    return Err(changed());
                }
                packer.keep(blob);
                blob
            };
            if let Some(pack) = full.take() {
                client.put_bytes(pack).await?;
            }
            files.push(OutputFile { path: path.clone(), content });
        }
        let (manifest, last) = packer.finish(stdout, files, self.empty_folders.clone());
        if let Some(pack) = last {
            client.put_bytes(pack).await?;
        }
        Ok(client.put_bytes(codec::encode(&manifest)).await?)
    }
}

/// A folder that is being looked through.
struct Scan {
    root: PathBuf,
    /// The folders on the way to where the scan is, as the system knows them.
    way: Vec<PathBuf>,
    found: Folder,
    bytes: u64,
}

impl Scan {
    fn enter(&mut self, directory: &Path, below: &str) -> Result<(), FolderError> {
        let io = |error| FolderError::Io(directory.to_owned(), error);
        let mut is_empty = true;
        for entry in fs::read_dir(directory).map_err(io)? {
            is_empty = false;
            self.take(&entry.map_err(io)?, below)?;
        }
        if is_empty && !below.is_empty() {
            self.found.empty_folders.push(below.to_owned());
        }
        self.check()
    }

    fn take(&mut self, entry: &fs::DirEntry, below: &str) -> Result<(), FolderError> {
        let place = entry.path();
        let io = |error| FolderError::Io(place.clone(), error);
        let name = entry.file_name().into_string().map_err(|_| FolderError::NotText(place.clone()))?;
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if !is_tree_path_sound(&path) {
            return Err(FolderError::TooDeep(place));
        }
        let itself = place.canonicalize().map_err(io)?;
        if !itself.starts_with(&self.root) {
            return Err(FolderError::LeadsOut(place));
        }
        let of = fs::metadata(&itself).map_err(io)?;
        if of.is_dir() {
            if self.way.contains(&itself) {
                return Err(FolderError::Circle(place));
            }
            self.way.push(itself);
            self.enter(&place, &path)?;
            self.way.pop();
            return Ok(());
        }
        if !of.is_file() {
            return Err(FolderError::Special(place));
        }
        if of.len() > BLOB_BYTES_MAX {
            return Err(FolderError::LargeFile(place));
        }
        self.bytes = self.bytes.saturating_add(of.len());
        self.found.files.push(File { path, place, bytes: of.len() });
        self.check()
    }

    fn check(&self) -> Result<(), FolderError> {
        let count = self.found.files.len() + self.found.empty_folders.len();
        if count > Manifest::FILES_MAX || self.bytes > Manifest::BYTES_MAX {
            return Err(FolderError::TooMuch(self.root.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str], empty: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().expect("a directory")).expect("created");
            fs::write(path, file).expect("written");
        }
        empty.iter().for_each(|path| fs::create_dir_all(directory.path().join(path)).expect("created"));
        directory
    }

    fn paths(found: &Folder) -> Vec<&str> {
        found.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_its_paths_with_hidden_files_and_empty_folders() {
        let directory = folder(&["b", "a/z", "a.txt", ".hidden", "a/.git/x", " odd:name?"], &["e/deep", "a/empty"]);
        let found = Folder::scan(directory.path()).expect("good");
        assert_eq!(paths(&found), [" odd:name?", ".hidden", "a.txt", "a/.git/x", "a/z", "b"]);
        assert_eq!(found.empty_folders, ["a/empty", "e/deep"]);
        assert_eq!(Folder::scan(directory.path()).expect("again"), found);
        assert_eq!(Folder::scan(folder(&[], &[]).path()).expect("empty"), Folder::default());
        assert!(matches!(Folder::scan(&directory.path().join("none")), Err(FolderError::Io(..))));
        assert!(matches!(Folder::scan(&directory.path().join("b")), Err(FolderError::Io(..))));
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_is_what_it_leads_to_within_the_folder_and_leads_nowhere_else() {
        use std::os::unix::fs::symlink;
        let directory = folder(&["lib/a", "lib/b"], &[]);
        let link = |to: &str, name: &str| symlink(to, directory.path().join(name)).expect("linked");
        link("lib/a", "to-file");
        link("lib", "to-folder");
        link("../lib/b", "lib/within");
        let found = Folder::scan(directory.path()).expect("good");
        let expected = ["lib/a", "lib/b", "lib/within", "to-file", "to-folder/a", "to-folder/b", "to-folder/within"];
        assert_eq!(paths(&found), expected);
        let wrong = |to: &str| {
            link(to, "wrong");
            let error = Folder::scan(directory.path()).expect_err("wrong");
            fs::remove_file(directory.path().join("wrong")).expect("removed");
            error
        };
        assert!(matches!(wrong("/etc"), FolderError::LeadsOut(_)));
        assert!(matches!(wrong(".."), FolderError::LeadsOut(_)));
        assert!(matches!(wrong("."), FolderError::Circle(_)));
        assert!(matches!(wrong("nowhere"), FolderError::Io(..)));
        let failure = Failure::from(wrong("/etc"));
        assert!(failure.sentence.contains("wrong is a symbolic link that leads out of the folder"), "{failure}");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_neither_file_nor_folder_or_has_a_name_that_is_no_text_is_refused() {
        use std::os::unix::{ffi::OsStrExt, net::UnixListener};
        let directory = folder(&["a"], &[]);
        let _socket = UnixListener::bind(directory.path().join("socket")).expect("bound");
        assert!(matches!(Folder::scan(directory.path()), Err(FolderError::Special(_))));
        let directory = folder(&["a"], &[]);
        let name = std::ffi::OsStr::from_bytes(b"not \xff text");
        if fs::write(directory.path().join(name), "x").is_ok() {
            assert!(matches!(Folder::scan(directory.path()), Err(FolderError::NotText(_))));
        }
    }

    #[test]
    fn a_folder_has_bounds_on_depth_and_on_the_length_of_its_list() {
        let deep = format!("{}x", "d/".repeat(meshwork_core::types::DEPTH_MAX + 1));
        assert!(matches!(Folder::scan(folder(&[&deep], &[]).path()), Err(FolderError::TooDeep(_))));
        let file = |path: String| File { path, place: PathBuf::new(), bytes: 1 };
        let files = |count: usize| (0..count).map(|number| file(format!("{number:0100}"))).collect();
        let listed = |count: usize| Folder { files: files(count), empty_folders: Vec::new() }.list_bytes();
        assert!(listed(7000) <= MANIFEST_BYTES_MAX && listed(8000) > MANIFEST_BYTES_MAX);
        let large = folder(&[], &[]);
        let sparse = fs::File::create(large.path().join("large")).expect("created");
        sparse.set_len(BLOB_BYTES_MAX + 1).expect("sparse");
        assert!(matches!(Folder::scan(large.path()), Err(FolderError::LargeFile(_))));
    }
}
