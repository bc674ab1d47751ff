//! Resolves a path to the file or directory that it names. No path leads out of the directory that it starts from.

use super::{
    errno::{Answer, Errno},
    files::{Files, NAME_BYTES_MAX, NodeId},
};

/// The most bytes of a path in a call.
const CALL_PATH_BYTES_MAX: u32 = 4096;

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target<'p> {
    /// A directory that the path reaches only through `.` or `..`.
    Directory(NodeId),
    /// A name in a directory. It may or may not exist.
    Name {
        parent: NodeId,
        name: &'p str,
        /// Whether the path ends in a slash, so that it must name a directory.
        directory: bool,
    },
}

/// Checks a path's bytes and takes them as text.
pub(crate) fn parse(bytes: &[u8]) -> Answer<&str> {
    if bytes.len() > CALL_PATH_BYTES_MAX as usize {
        return Err(Errno::NameTooLong.into());
    }
    let path = str::from_utf8(bytes).map_err(|_| Errno::NotUtf8)?;
    match path {
        "" => Err(Errno::NoEntry.into()),
        _ if path.contains('\0') => Err(Errno::Invalid.into()),
        _ if path.starts_with('/') => Err(Errno::NotCapable.into()),
        _ => Ok(path),
    }
}

/// Follows `path` from `start`.
pub(crate) fn resolve<'p>(files: &Files, start: NodeId, path: &'p str) -> Answer<Target<'p>> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    let slash = path.ends_with('/') || path.ends_with("/.");
    let mut way = vec![start];
    for (index, name) in names.iter().enumerate() {
        let here = way[way.len() - 1];
        if !files.is_directory(here) {
            return Err(Errno::NotDirectory.into());
        }
        if *name == ".." {
            way.pop();
            if way.is_empty() {
                return Err(Errno::NotCapable.into());
            }
            continue;
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(Errno::NameTooLong.into());
        }
        if index + 1 == names.len() {
            return Ok(Target::Name { parent: here, name, directory: slash });
        }
        way.push(files.lookup(here, name)?.ok_or(Errno::NoEntry)?);
    }
    Ok(Target::Directory(way[way.len() - 1]))
}

/// Follows `path` to something that must exist.
pub(crate) fn find(files: &Files, start: NodeId, path: &str) -> Answer<NodeId> {
    match resolve(files, start, path)? {
        Target::Directory(id) => Ok(id),
        Target::Name { parent, name, directory } => {
            let id = files.lookup(parent, name)?.ok_or(Errno::NoEntry)?;
            if directory && !files.is_directory(id) { Err(Errno::NotDirectory.into()) } else { Ok(id) }
        }
    }
}

/// Follows `path` to a name that is to be created, moved or removed.
pub(crate) fn name<'p>(files: &Files, start: NodeId, path: &'p str) -> Answer<(NodeId, &'p str)> {
    match resolve(files, start, path)? {
        Target::Directory(_) => Err(Errno::Invalid.into()),
        Target::Name { parent, name, directory } => {
            let existing = files.lookup(parent, name)?;
            if directory && existing.is_some_and(|id| !files.is_directory(id)) {
                return Err(Errno::NotDirectory.into());
            }
            Ok((parent, name))
        }
    }
}
