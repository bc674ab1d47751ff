//! A disk that is small enough to be filled: a file system in memory, mounted at a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use meshwork::failure::{Done, Failure};

use crate::system::run;

/// The name of the file that fills a disk.
const FILLING: &str = "filling";

/// A small file system. Dropping it unmounts it.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts a new file system at a folder, which it makes for a user.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn mount(folder: PathBuf, bytes: u64, user: u32) -> Done<Self> {
        fs::create_dir_all(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
        let options = format!("size={bytes},uid={user},gid={user},mode=0755");
        run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", &folder.display().to_string()])?;
        Ok(Self { folder })
    }

    /// The folder of the mount.
    #[must_use]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Processes that still run there are ending; the folder goes with the last of them.
        let _ = run("umount", &["--lazy", &self.folder.display().to_string()]);
    }
}

/// Fills the disk that holds a folder, to its last byte. Returns how many bytes that took.
///
/// # Errors
/// The system refuses for another reason than a full disk.
pub(crate) fn fill(folder: &Path) -> Done<u64> {
    use std::io::Write;
    const PIECE: usize = 1 << 16;
    let path = folder.join(FILLING);
    let mut file = fs::File::create(&path).map_err(|error| Failure::file("create", &path, &error))?;
    let piece = vec![0_u8; PIECE];
    let mut bytes = 0;
    loop {
        match file.write(&piece) {
            Ok(0) => return Ok(bytes),
            Ok(written) => bytes += written as u64,
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::file("write", &path, &error)),
        }
    }
}

/// Frees the space that was filled.
///
/// # Errors
/// The system refuses.
pub(crate) fn free_space(folder: &Path) -> Done {
    let path = folder.join(FILLING);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::file("remove", &path, &error)),
        _ => Ok(()),
    }
}

/// Removes everything in a folder, and leaves the folder.
///
/// # Errors
/// Something cannot be removed.
pub(crate) fn empty(folder: &Path) -> Done {
    let cannot = |error: std::io::Error| Failure::file("empty", folder, &error);
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(cannot)?;
    }
    Ok(())
}

/// The bytes of all blocks of the files below a folder. Files that vanish meanwhile count as none.
#[must_use]
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    const BLOCK_BYTES: u64 = 512;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes_of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(_) if entry.file_name() == FILLING => 0,
        Ok(metadata) => metadata.blocks() * BLOCK_BYTES,
        Err(_) => 0,
    };
    entries.flatten().map(bytes_of).sum()
}
