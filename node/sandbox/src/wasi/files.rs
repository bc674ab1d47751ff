//! A program's file system, which exists in memory only. Nothing that a program does here touches the host's.
//!
//! * `/in` holds the inputs, read-only. Inputs are also mounted elsewhere, as the task says.
//! * `/out` holds the output.
//! * `/tmp` holds temporary files, which count as the program's memory.
//! * `/checkpoint` holds checkpoints, for a program that saves them.
//! * `/` itself is the working directory, and all else in it is like what is in `/tmp`.
//!
//! What is there at the start keeps its name: a program can neither move nor remove it.
//!
//! There are no links. Numbers, times and orders are the same on every machine.

use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt, sync::Arc};

use meshwork_core::types::{DEPTH_MAX, PATH_BYTES_MAX, is_mount_sound, is_path_sound};

use super::{
    allowance::{Allowance, ENTRIES_MAX},
    entries::Entries,
    errno::{Answer, End, Errno},
};
use crate::program::NamedFile;

/// The most bytes of one name in a path.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// The number of a file or directory: the program's inode. A run never uses one twice.
pub(crate) type NodeId = u64;

/// The part of the file system that a file or directory belongs to. It decides what a program may do to it and what
/// it counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `/in`, what is mounted, and all below.
    Fixed,
    /// `/out`.
    Output,
    /// `/`, `/tmp`, and what the program makes there.
    Temporary,
    /// `/checkpoint`, which counts as output.
    Checkpoint,
}

/// A range of a host's file, which a program may read.
#[derive(Clone, Debug)]
pub(crate) struct HostFile {
    file: Arc<File>,
    /// The first byte of the range.
    from: u64,
    bytes: u64,
}

impl HostFile {
    /// So many bytes of an open file, from an offset on.
    pub(crate) fn new(file: Arc<File>, from: u64, bytes: u64) -> Self {
        Self { file, from, bytes }
    }

    /// All that is in it.
    pub(crate) fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        content.try_reserve_exact(usize::try_from(self.bytes).unwrap_or(usize::MAX))?;
        content.resize(self.bytes as usize, 0);
        self.file.read_exact_at(&mut content, self.from)?;
        Ok(content)
    }
}

#[derive(Debug)]
enum Content {
    /// The length of its own name is kept so that the length of a path can be told from any directory.
    Directory {
        parent: NodeId,
        name_bytes: usize,
        entries: Entries,
    },
    Written(Vec<u8>),
    Given(HostFile),
}

#[derive(Debug)]
struct Node {
    content: Content,
    place: Place,
    times: Times,
    /// Whether a directory entry names it.
    named: bool,
    /// Whether it was there at the start, so that its name stays.
    stays: bool,
    /// How many descriptors have it open.
    opened: u32,
}

/// When a file or directory was last used. Reading changes nothing, as on a disk that is mounted so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub accessed_ns: u64,
    pub modified_ns: u64,
}

/// What a program may know about a file or directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub id: NodeId,
    pub directory: bool,
    pub bytes: u64,
    pub times: Times,
}

/// How far a tree reaches below its root.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    /// Directories on the longest way down.
    depth: usize,
    /// Bytes of the longest path, with a slash before each name.
    bytes: usize,
}

/// All files and directories of one run.
#[derive(Debug)]
pub(crate) struct Files {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
    root: NodeId,
    input: NodeId,
    out: NodeId,
    checkpoint: Option<NodeId>,
}

impl Files {
    /// The directory `/` with `in`, `out` and `tmp`.
    pub(super) fn new(now_ns: u64) -> Self {
        // Listings use the first two numbers for `.` and `..`.
        let mut files = Self { nodes: BTreeMap::new(), next: 3, root: 3, input: 0, out: 0, checkpoint: None };
        let root = Content::Directory { parent: 3, name_bytes: 0, entries: Entries::default() };
        files.root = files.insert(root, Place::Temporary, now_ns);
        files.node_mut(files.root).stays = true;
        files.input = files.link_standing(files.root, "in", Place::Fixed, now_ns);
        files.out = files.link_standing(files.root, "out", Place::Output, now_ns);
        files.link_standing(files.root, "tmp", Place::Temporary, now_ns);
        files
    }

    fn insert(&mut self, content: Content, place: Place, now_ns: u64) -> NodeId {
        let id = self.next;
        self.next += 1;
        let times = Times { accessed_ns: now_ns, modified_ns: now_ns };
        self.nodes.insert(id, Node { content, place, times, named: true, stays: false, opened: 0 });
        id
    }

    fn link_directory(&mut self, parent: NodeId, name: &str, place: Place, now_ns: u64) -> NodeId {
        let id = self.insert(
            Content::Directory { parent, name_bytes: name.len(), entries: Entries::default() },
            place,
            now_ns,
        );
        self.entries_mut(parent).insert(name, id);
        id
    }

    /// A directory that is there at the start and keeps its name.
    fn link_standing(&mut self, parent: NodeId, name: &str, place: Place, now_ns: u64) -> NodeId {
        let id = self.link_directory(parent, name, place, now_ns);
        self.node_mut(id).stays = true;
        id
    }

    /// Puts an input at its path: below `/in` if that is relative, and otherwise where it is mounted. An input is a file,
    /// or a directory, which comes before what is in it. Returns false if the path is invalid or taken.
    pub(super) fn add_input(&mut self, path: &str, file: Option<HostFile>, now_ns: u64) -> bool {
        let (mut directory, below) = match path.strip_prefix('/') {
            Some(below) if is_mount_sound(path) => (self.root, below),
            None if is_path_sound(path) => (self.input, path),
            _ => return false,
        };
        let mut names = below.split('/').peekable();
        while let Some(name) = names.next() {
            if name.len() > NAME_BYTES_MAX {
                return false;
            }
            let existing = self.entries_mut(directory).get(name);
            match (names.peek(), existing) {
                (None, None) => {
                    let id = match file {
                        Some(file) => {
                            let id = self.insert(Content::Given(file), Place::Fixed, now_ns);
                            self.entries_mut(directory).insert(name, id);
                            id
                        }
                        None => self.link_directory(directory, name, Place::Fixed, now_ns),
                    };
                    self.node_mut(id).stays = true;
                    return true;
                }
                (None, Some(id)) => return file.is_none() && self.is_directory(id) && self.place(id) == Place::Fixed,
                // What leads to a mount is like the directory that it is in.
                (Some(_), None) => directory = self.link_standing(directory, name, self.place(directory), now_ns),
                (Some(_), Some(id)) if self.is_directory(id) => directory = id,
                (Some(_), Some(_)) => return false,
            }
        }
        false
    }

    /// Creates `/checkpoint` with the files of the last checkpoint. Fails if they exceed what the program may keep,
    /// or a path is invalid.
    pub(super) fn add_checkpoint(
        &mut self,
        saved: Vec<(String, Vec<u8>)>,
        now_ns: u64,
        allowance: &mut Allowance,
    ) -> Result<(), End> {
        let root = self.link_standing(self.root, "checkpoint", Place::Checkpoint, now_ns);
        self.checkpoint = Some(root);
        let too_long = End::Broke("a path of its checkpoint is too long");
        for (path, content) in saved {
            let mut directory = root;
            let (names, name) =
                path.rsplit_once('/').map_or((None, path.as_str()), |(names, name)| (Some(names), name));
            for part in names.into_iter().flat_map(|names| names.split('/')) {
                directory = match self.entries_mut(directory).get(part) {
                    Some(id) if self.is_directory(id) => id,
                    Some(_) => return Err(End::Broke("its checkpoint is no tree of files")),
                    None => {
                        self.must_be_short(directory, part, Extent::default()).map_err(|_| too_long.clone())?;
                        allowance.take_entry().map_err(|_| allowance.exceeded())?;
                        self.link_directory(directory, part, Place::Checkpoint, now_ns)
                    }
                };
            }
            self.must_be_short(directory, name, Extent::default()).map_err(|_| too_long.clone())?;
            let fits = allowance.take_entry().and_then(|()| allowance.take_output(content.len() as u64));
            fits.map_err(|_| allowance.exceeded())?;
            let id = self.insert(Content::Written(content), Place::Checkpoint, now_ns);
            self.entries_mut(directory).insert(name, id);
        }
        Ok(())
    }

    /// The files below `/checkpoint`, by path, in order; `None` if `directory` is neither `/checkpoint` nor below it.
    pub(super) fn saved_in(&self, directory: NodeId) -> Option<Vec<(String, Vec<u8>)>> {
        let root = self.checkpoint.filter(|root| self.is_within(directory, *root))?;
        let mut saved = Vec::new();
        let mut waiting = vec![(String::new(), root)];
        while let Some((path, id)) = waiting.pop() {
            match &self.node(id).content {
                Content::Written(content) => saved.push((path, content.clone())),
                Content::Directory { entries, .. } => {
                    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                    waiting.extend(entries.iter().map(|(name, id)| (below(name), id)));
                }
                Content::Given(_) => {}
            }
        }
        saved.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Some(saved)
    }

    /// A file that has no name, for standard input.
    pub(super) fn add_unnamed(&mut self, file: HostFile, now_ns: u64) -> NodeId {
        let id = self.insert(Content::Given(file), Place::Fixed, now_ns);
        self.node_mut(id).named = false;
        id
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    /// Nodes live while a name or a descriptor refers to them, so every id in use belongs to a node.
    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[&id]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("nodes live while something names or opens them")
    }

    fn entries_mut(&mut self, id: NodeId) -> &mut Entries {
        match &mut self.node_mut(id).content {
            Content::Directory { entries, .. } => entries,
            _ => unreachable!("asked only of directories"),
        }
    }

    fn entries(&self, id: NodeId) -> Answer<&Entries> {
        match &self.node(id).content {
            Content::Directory { entries, .. } => Ok(entries),
            _ => Err(Errno::NotDirectory.into()),
        }
    }

    pub(super) fn is_directory(&self, id: NodeId) -> bool {
        matches!(self.node(id).content, Content::Directory { .. })
    }

    pub(super) fn place(&self, id: NodeId) -> Place {
        self.node(id).place
    }

    /// Whether the directory was removed while open.
    fn is_removed(&self, id: NodeId) -> bool {
        !self.node(id).named
    }

    pub(super) fn lookup(&self, directory: NodeId, name: &str) -> Answer<Option<NodeId>> {
        Ok(self.entries(directory)?.get(name))
    }

    pub(super) fn stat(&self, id: NodeId) -> Stat {
        let node = self.node(id);
        let bytes = match &node.content {
            Content::Directory { .. } => 0,
            Content::Written(content) => content.len() as u64,
            Content::Given(file) => file.bytes,
        };
        Stat { id, directory: self.is_directory(id), bytes, times: node.times }
    }

    pub(super) fn set_times(&mut self, id: NodeId, times: Times) -> Answer {
        self.must_be_writable(id)?;
        self.node_mut(id).times = times;
        Ok(())
    }

    fn must_be_writable(&self, id: NodeId) -> Answer {
        if self.place(id) == Place::Fixed { Err(Errno::ReadOnly.into()) } else { Ok(()) }
    }

    fn must_be_movable(&self, id: NodeId) -> Answer {
        if self.node(id).stays { Err(Errno::Busy.into()) } else { Ok(()) }
    }

    pub(super) fn open(&mut self, id: NodeId) {
        self.node_mut(id).opened += 1;
    }

    pub(super) fn close(&mut self, id: NodeId, allowance: &mut Allowance) {
        self.node_mut(id).opened -= 1;
        self.forget_if_unused(id, allowance);
    }

    fn forget_if_unused(&mut self, id: NodeId, allowance: &mut Allowance) {
        let node = self.node(id);
        if node.named || node.opened > 0 {
            return;
        }
        if node.place != Place::Fixed {
            allowance.return_entry();
        }
        give_back(node.place, self.stat(id).bytes, allowance);
        self.nodes.remove(&id);
    }

    /// Creates an empty file or directory.
    pub(super) fn create(
        &mut self,
        parent: NodeId,
        name: &str,
        directory: bool,
        now_ns: u64,
        allowance: &mut Allowance,
    ) -> Answer<NodeId> {
        self.must_be_writable(parent)?;
        if self.is_removed(parent) {
            return Err(Errno::NoEntry.into());
        }
        self.must_be_short(parent, name, Extent::default())?;
        allowance.take_entry()?;
        let content = if directory {
            Content::Directory { parent, name_bytes: name.len(), entries: Entries::default() }
        } else {
            Content::Written(Vec::new())
        };
        let id = self.insert(content, self.place(parent), now_ns);
        self.entries_mut(parent).insert(name, id);
        self.node_mut(parent).times.modified_ns = now_ns;
        Ok(id)
    }

    /// Removes a file's name. The file is gone once no descriptor has it open.
    pub(super) fn remove_file(&mut self, parent: NodeId, name: &str, now_ns: u64, allowance: &mut Allowance) -> Answer {
        let id = self.lookup(parent, name)?.ok_or(Errno::NoEntry)?;
        self.must_be_writable(parent)?;
        if self.is_directory(id) {
            return Err(Errno::IsDirectory.into());
        }
        self.must_be_movable(id)?;
        self.unlink(parent, name, id, now_ns, allowance);
        Ok(())
    }

    pub(super) fn remove_directory(
        &mut self,
        parent: NodeId,
        name: &str,
        now_ns: u64,
        allowance: &mut Allowance,
    ) -> Answer {
        let id = self.lookup(parent, name)?.ok_or(Errno::NoEntry)?;
        self.must_be_writable(parent)?;
        self.must_be_movable(id)?;
        if !self.entries(id)?.is_empty() {
            return Err(Errno::NotEmpty.into());
        }
        self.unlink(parent, name, id, now_ns, allowance);
        Ok(())
    }

    fn unlink(&mut self, parent: NodeId, name: &str, id: NodeId, now_ns: u64, allowance: &mut Allowance) {
        self.entries_mut(parent).remove(name);
        self.node_mut(parent).times.modified_ns = now_ns;
        self.node_mut(id).named = false;
        self.forget_if_unused(id, allowance);
    }

    /// Moves the entry `from` to `to`, each a directory and a name. Replaces what may be replaced there. What moves from
    /// one part of the file system to another counts as that part's from then on.
    pub(super) fn rename(
        &mut self,
        from: (NodeId, &str),
        to: (NodeId, &str),
        now_ns: u64,
        allowance: &mut Allowance,
    ) -> Answer {
        let id = self.lookup(from.0, from.1)?.ok_or(Errno::NoEntry)?;
        let replaced = self.lookup(to.0, to.1)?;
        self.must_be_writable(from.0)?;
        self.must_be_writable(to.0)?;
        self.must_be_movable(id)?;
        replaced.map_or(Ok(()), |other| self.must_be_movable(other))?;
        if self.is_removed(to.0) {
            return Err(Errno::NoEntry.into());
        }
        if self.is_directory(id) && self.is_within(to.0, id) {
            return Err(Errno::Invalid.into());
        }
        self.must_be_short(to.0, to.1, self.extent(id))?;
        let mut freed = 0;
        match replaced {
            Some(other) if other == id => return Ok(()),
            Some(other) => match (self.is_directory(id), self.is_directory(other)) {
                (false, true) => return Err(Errno::IsDirectory.into()),
                (true, false) => return Err(Errno::NotDirectory.into()),
                (true, true) if !self.entries(other)?.is_empty() => return Err(Errno::NotEmpty.into()),
                (true, true) => {}
                (false, false) => freed = if self.node(other).opened == 0 { self.stat(other).bytes } else { 0 },
            },
            None => {}
        }
        let (place, new_place) = (self.place(from.0), self.place(to.0));
        match (place == Place::Temporary, new_place == Place::Temporary) {
            (true, false) => allowance.move_to_output(self.bytes_within(id), freed)?,
            (false, true) => allowance.move_to_temporary(self.bytes_within(id)),
            _ => {}
        }
        if let Some(other) = replaced {
            self.unlink(to.0, to.1, other, now_ns, allowance);
        }
        if place != new_place {
            self.set_place(id, new_place);
        }
        self.entries_mut(from.0).remove(from.1);
        self.entries_mut(to.0).insert(to.1, id);
        self.node_mut(from.0).times.modified_ns = now_ns;
        self.node_mut(to.0).times.modified_ns = now_ns;
        if let Content::Directory { parent, name_bytes, .. } = &mut self.node_mut(id).content {
            (*parent, *name_bytes) = (to.0, to.1.len());
        }
        Ok(())
    }

    /// The bytes of all files at a node and below it.
    fn bytes_within(&self, id: NodeId) -> u64 {
        match &self.node(id).content {
            Content::Directory { entries, .. } => entries.iter().map(|(_, id)| self.bytes_within(id)).sum(),
            _ => self.stat(id).bytes,
        }
    }

    /// Puts a node and all below it into another part of the file system.
    fn set_place(&mut self, id: NodeId, place: Place) {
        let node = self.node_mut(id);
        node.place = place;
        if let Content::Directory { entries, .. } = &node.content {
            for below in entries.iter().map(|(_, id)| id).collect::<Vec<_>>() {
                self.set_place(below, place);
            }
        }
    }

    /// Fails if `name` in `directory`, with so much below it, made a path too long or too deep.
    fn must_be_short(&self, mut directory: NodeId, name: &str, below: Extent) -> Answer {
        let (mut depth, mut bytes) = (below.depth, name.len() + below.bytes);
        while let Content::Directory { parent, name_bytes, .. } = &self.node(directory).content
            && *parent != self.root
            && *parent != directory
        {
            depth += 1;
            bytes += name_bytes + 1;
            directory = *parent;
        }
        if depth > DEPTH_MAX || bytes > PATH_BYTES_MAX { Err(Errno::NameTooLong.into()) } else { Ok(()) }
    }

    /// How far the tree below a node reaches.
    fn extent(&self, id: NodeId) -> Extent {
        let mut extent = Extent::default();
        let mut waiting = vec![(id, Extent::default())];
        while let Some((id, at)) = waiting.pop() {
            extent = Extent { depth: extent.depth.max(at.depth), bytes: extent.bytes.max(at.bytes) };
            if let Content::Directory { entries, .. } = &self.node(id).content {
                let below = |name: &str| Extent { depth: at.depth + 1, bytes: at.bytes + 1 + name.len() };
                waiting.extend(entries.iter().map(|(name, id)| (id, below(name))));
            }
        }
        extent
    }

    /// How many files and directories are at a node and below it.
    pub(super) fn count(&self, id: NodeId) -> u64 {
        match &self.node(id).content {
            Content::Directory { entries, .. } => 1 + entries.iter().map(|(_, id)| self.count(id)).sum::<u64>(),
            _ => 1,
        }
    }

    /// Whether `directory` is `ancestor` or below it.
    fn is_within(&self, mut directory: NodeId, ancestor: NodeId) -> bool {
        while directory != ancestor {
            match self.node(directory).content {
                Content::Directory { parent, .. } if parent != directory => directory = parent,
                _ => return false,
            }
        }
        true
    }

    /// The directory's entries with numbers above `after`, in the order of their numbers, which is the order of their
    /// creation. So adding and removing entries does not disturb a program that lists the directory in parts.
    pub(super) fn list(&self, directory: NodeId, after: NodeId) -> Answer<impl Iterator<Item = (NodeId, &str)>> {
        Ok(self.entries(directory)?.after(after))
    }

    /// Reads into `buffer` from `offset`. Fills it, except at the end of the file.
    pub(super) fn read(&self, id: NodeId, offset: u64, buffer: &mut [u8]) -> Answer<usize> {
        match &self.node(id).content {
            Content::Directory { .. } => Err(Errno::IsDirectory.into()),
            Content::Written(content) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| content.get(offset..)).unwrap_or_default();
                let bytes = rest.len().min(buffer.len());
                buffer[..bytes].copy_from_slice(&rest[..bytes]);
                Ok(bytes)
            }
            Content::Given(file) => {
                let bytes = file.bytes.saturating_sub(offset).min(buffer.len() as u64) as usize;
                file.file
                    .read_exact_at(&mut buffer[..bytes], file.from.saturating_add(offset))
                    .map_err(|error| End::Host(format!("an input could not be read: {error}")))?;
                Ok(bytes)
            }
        }
    }

    /// Writes at `offset`. Fills the gap with zeros if the file is shorter.
    pub(super) fn write(
        &mut self,
        id: NodeId,
        offset: u64,
        bytes: &[u8],
        now_ns: u64,
        allowance: &mut Allowance,
    ) -> Answer {
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::TooLarge)?;
        if end > self.stat(id).bytes {
            self.resize(id, end, now_ns, allowance)?;
        }
        match &mut self.node_mut(id).content {
            Content::Written(content) => content[offset as usize..end as usize].copy_from_slice(bytes),
            Content::Directory { .. } => return Err(Errno::IsDirectory.into()),
            Content::Given(_) => return Err(Errno::ReadOnly.into()),
        }
        self.node_mut(id).times.modified_ns = now_ns;
        Ok(())
    }

    /// Truncates a file, or extends it with zeros, to `bytes`. Growth is counted before it is kept.
    pub(super) fn resize(&mut self, id: NodeId, bytes: u64, now_ns: u64, allowance: &mut Allowance) -> Answer {
        let node = self.nodes.get_mut(&id).ok_or(Errno::BadDescriptor)?;
        let content = match &mut node.content {
            Content::Written(content) => content,
            Content::Directory { .. } => return Err(Errno::IsDirectory.into()),
            Content::Given(_) => return Err(Errno::ReadOnly.into()),
        };
        let before = content.len() as u64;
        if bytes > before {
            match node.place {
                Place::Temporary => allowance.take_temporary(bytes - before)?,
                Place::Output | Place::Checkpoint | Place::Fixed => allowance.take_output(bytes - before)?,
            }
            content
                .try_reserve((bytes - before) as usize)
                .map_err(|error| End::Host(format!("this machine cannot hold the program's output: {error}")))?;
        }
        content.resize(bytes as usize, 0);
        if bytes < before {
            content.shrink_to_fit();
            give_back(node.place, before - bytes, allowance);
        }
        node.times.modified_ns = now_ns;
        Ok(())
    }

    /// Bytes of output, bytes of temporary files, and entries, each counted one by one.
    #[cfg(test)]
    pub(super) fn held(&self) -> (u64, u64, usize) {
        let bytes =
            |place| self.nodes.iter().filter(|(_, node)| node.place == place).map(|(id, _)| self.stat(*id).bytes).sum();
        // What was there at the start does not count as the program's.
        let made = self.nodes.values().filter(|node| node.place != Place::Fixed && !node.stays).count();
        (bytes(Place::Output) + bytes(Place::Checkpoint), bytes(Place::Temporary), made)
    }

    /// Takes all files under `/out`, by path, and the paths of the directories there that have nothing in them; both in
    /// order.
    pub(super) fn take_output(&mut self) -> (Vec<NamedFile>, Vec<String>) {
        let (mut output, mut empty_folders) = (Vec::new(), Vec::new());
        let mut waiting = vec![(String::new(), self.out)];
        while let Some((path, id)) = waiting.pop() {
            match &mut self.node_mut(id).content {
                Content::Written(content) => output.push((path, std::mem::take(content))),
                Content::Directory { entries, .. } if entries.is_empty() => {
                    if !path.is_empty() {
                        empty_folders.push(path);
                    }
                }
                Content::Directory { entries, .. } => {
                    for (name, id) in entries.iter() {
                        let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                        waiting.push((path, id));
                    }
                }
                Content::Given(_) => unreachable!("inputs cannot be moved"),
            }
        }
        debug_assert!(output.len() + empty_folders.len() <= ENTRIES_MAX);
        output.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        empty_folders.sort_unstable();
        (output, empty_folders)
    }
}

fn give_back(place: Place, bytes: u64, allowance: &mut Allowance) {
    match place {
        Place::Fixed => {}
        Place::Output | Place::Checkpoint => allowance.return_output(bytes),
        Place::Temporary => allowance.return_temporary(bytes),
    }
}
