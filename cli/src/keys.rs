//! Key files: the 32 bytes of a secret key as hexadecimal digits, readable by their owner only.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use meshwork_core::identity::SecretKey;
use thiserror::Error;

use crate::failure::Failure;

/// The most bytes of a key file that are read: more than a key has, so that a longer file is noticed.
const FILE_BYTES_MAX: u64 = 1024;

/// Why there is no usable key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file does not exist.
    #[error("There is no key at {0}; make one with `meshwork init`, or name another with --key.")]
    Missing(PathBuf),
    /// A key is there already, and is never overwritten.
    #[error(
        "There is a key at {0} already, and it is not overwritten; name another place with --key, or move it away."
    )]
    Exists(PathBuf),
    /// Others than the owner may read or change the file.
    #[error(
        "The key file {path} is open to others (mode {mode:03o}), so it is not used; close it with `chmod 600 {path}`.",
        path = .path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold a key.
    #[error("{0} is not a key file: one holds 64 hexadecimal digits; make one with `meshwork init`.")]
    Malformed(PathBuf),
    /// The system refused.
    #[error("The key file {path} cannot be {doing}: {error}; check its owner and permissions.", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as a participle.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Creates a key from the system's randomness.
pub fn generate() -> SecretKey {
    SecretKey::from_seed(rand::random())
}

/// Writes a key to a new file that only its owner may read.
///
/// # Errors
/// The file exists, or the system refuses to make it.
pub fn create(path: &Path, key: &SecretKey) -> Result<(), KeyError> {
    let io = |doing| move |error| KeyError::Io { path: path.to_owned(), doing, error };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(io("created"))?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(KeyError::Exists(path.to_owned())),
        opened => opened.map_err(io("created"))?,
    };
    let written = writeln!(file, "{}", hex::encode(key.to_seed())).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key would get in the way of the next try.
        let _ = fs::remove_file(path);
    }
    written.map_err(io("written"))
}

/// Reads a key, if only its owner may.
///
/// # Errors
/// The file is missing, open to others, unreadable, or does not hold a key.
pub fn read(path: &Path) -> Result<SecretKey, KeyError> {
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyError::Missing(path.to_owned()),
        _ => KeyError::Io { path: path.to_owned(), doing: "read", error },
    };
    let file = fs::File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(KeyError::Malformed(path.to_owned()));
    }
    check_permissions(path, &metadata)?;
    let mut text = String::new();
    match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(KeyError::Malformed(path.to_owned())),
        read => read.map_err(io)?,
    };
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| KeyError::Malformed(path.to_owned()))?;
    Ok(SecretKey::from_seed(seed))
}

#[cfg(unix)]
fn check_permissions(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyError::Open { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn check_permissions(_: &Path, _: &fs::Metadata) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_never_overwritten() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("deep/key");
        let key = generate();
        create(&path, &key).expect("created");
        assert_eq!(read(&path).expect("read").public(), key.public());
        assert!(matches!(create(&path, &generate()), Err(KeyError::Exists(_))));
        assert_eq!(read(&path).expect("read").public(), key.public());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused_with_advice() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("key");
        create(&path, &generate()).expect("created");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
        let error = read(&path).expect_err("open").to_string();
        assert!(error.contains("mode 640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn what_is_not_a_key_is_said_to_be_none() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("key");
        assert!(matches!(read(&path), Err(KeyError::Missing(_))));
        create(&path, &generate()).expect("created");
        for content in [&b"short"[..], &[0xff, 0xfe], &[b'a'; 70], &[b'a'; 4096]] {
            fs::write(&path, content).expect("written");
            assert!(matches!(read(&path), Err(KeyError::Malformed(_))), "{content:?}");
        }
    }
}
