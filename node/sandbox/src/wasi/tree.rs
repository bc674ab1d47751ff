//! The calls on paths: opening, creating, moving, removing, listing.

use wasmtime::Linker;

use super::{
    State,
    descriptors::Open,
    errno::{Answer, Errno},
    files::Place,
    functions,
    memory::Memory,
    path::{self, Target},
    streams::{filestat, kind, set_times, wanted},
};

const CREATE: u32 = 1;
const DIRECTORY: u32 = 2;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;

/// The bytes of a listing's entry before its name.
const ENTRY_BYTES: usize = 24;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    functions! { linker:
        path_open(
            memory, state, number: u32, _follow: u32, start: u32, bytes: u32, how: u32, base: u64, _inheriting: u64,
            flags: u32, out: u32
        ) {
            let opened = {
                let path = path::parse(memory.read(start, bytes)?)?;
                open(state, number, path, how, base, flags)?
            };
            memory.write_u32(out, opened)
        }
        path_create_directory(memory, state, number: u32, start: u32, bytes: u32) {
            let path = path::parse(memory.read(start, bytes)?)?;
            let from = state.descriptors.directory(number)?;
            let (parent, name) = match path::resolve(&state.files, from, path)? {
                Target::Directory(_) => return Err(Errno::Exists.into()),
                Target::Name { parent, name, .. } => (parent, name),
            };
            if state.files.lookup(parent, name)?.is_some() {
                return Err(Errno::Exists.into());
            }
            state.files.create(parent, name, true, state.clock.now_ns(), &mut state.allowance)?;
            state.charge(1024);
            Ok(())
        }
        path_filestat_get(memory, state, number: u32, _follow: u32, start: u32, bytes: u32, out: u32) {
            let id = {
                let path = path::parse(memory.read(start, bytes)?)?;
                path::find(&state.files, state.descriptors.directory(number)?, path)?
            };
            state.charge(u64::from(bytes));
            memory.write(out, &filestat(Some(state.files.stat(id))))
        }
        path_filestat_set_times(
            memory, state, number: u32, _follow: u32, start: u32, bytes: u32, accessed: u64, modified: u64, flags: u32
        ) {
            let path = path::parse(memory.read(start, bytes)?)?;
            let id = path::find(&state.files, state.descriptors.directory(number)?, path)?;
            set_times(state, id, (accessed, modified), flags)
        }
        path_unlink_file(memory, state, number: u32, start: u32, bytes: u32) {
            let path = path::parse(memory.read(start, bytes)?)?;
            let (parent, name) = path::name(&state.files, state.descriptors.directory(number)?, path)?;
            state.files.remove_file(parent, name, state.clock.now_ns(), &mut state.allowance)
        }
        path_remove_directory(memory, state, number: u32, start: u32, bytes: u32) {
            let path = path::parse(memory.read(start, bytes)?)?;
            let (parent, name) = path::name(&state.files, state.descriptors.directory(number)?, path)?;
            state.files.remove_directory(parent, name, state.clock.now_ns(), &mut state.allowance)
        }
        path_rename(
            memory, state, number: u32, start: u32, bytes: u32, new_number: u32, new_start: u32, new_bytes: u32
        ) {
            let path = path::parse(memory.read(start, bytes)?)?;
            let new_path = path::parse(memory.read(new_start, new_bytes)?)?;
            let from = path::name(&state.files, state.descriptors.directory(number)?, path)?;
            let to = path::name(&state.files, state.descriptors.directory(new_number)?, new_path)?;
            // The way down from what is moved has to be measured.
            let moved = state.files.lookup(from.0, from.1)?.map_or(0, |id| state.files.count(id));
            state.charge(1024 + 64 * moved);
            state.files.rename(from, to, state.clock.now_ns(), &mut state.allowance)?;
            state.save_checkpoint(to.0);
            Ok(())
        }
        path_link(
            _memory, _state, _number: u32, _follow: u32, _start: u32, _bytes: u32, _new_number: u32, _new_start: u32,
            _new_bytes: u32
        ) {
            Err(Errno::NotSupported.into())
        }
        path_symlink(_memory, _state, _old_start: u32, _old_bytes: u32, _number: u32, _start: u32, _bytes: u32) {
            Err(Errno::NotSupported.into())
        }
        path_readlink(
            memory, state, number: u32, start: u32, bytes: u32, _buffer: u32, _buffer_bytes: u32, _out: u32
        ) {
            let path = path::parse(memory.read(start, bytes)?)?;
            path::find(&state.files, state.descriptors.directory(number)?, path)?;
            // There are no symbolic links.
            Err(Errno::Invalid.into())
        }
        fd_readdir(memory, state, number: u32, start: u32, bytes: u32, cookie: u64, out: u32) {
            let written = list(memory, state, number, start, bytes, cookie)?;
            memory.write_u32(out, written)
        }
    }
    Ok(())
}

/// Opens or creates what `path` names, and returns its descriptor.
fn open(state: &mut State, number: u32, path: &str, how: u32, rights: u64, flags: u32) -> Answer<u32> {
    let from = state.descriptors.directory(number)?;
    state.charge(1024);
    let (mut read, write) = wanted(rights);
    let (existing, at) = match path::resolve(&state.files, from, path)? {
        Target::Directory(id) => (Some(id), None),
        Target::Name { parent, name, directory } => {
            (state.files.lookup(parent, name)?, Some((parent, name, directory)))
        }
    };
    let must_be_directory = how & DIRECTORY != 0 || at.is_some_and(|(.., slash)| slash);
    let id = match (existing, at) {
        (Some(_), _) if how & CREATE != 0 && how & EXCLUSIVE != 0 => return Err(Errno::Exists.into()),
        (Some(id), _) => {
            let directory = state.files.is_directory(id);
            if must_be_directory && !directory {
                return Err(Errno::NotDirectory.into());
            }
            if directory && (write || how & TRUNCATE != 0) {
                return Err(Errno::IsDirectory.into());
            }
            if (write || how & TRUNCATE != 0) && state.files.place(id) == Place::Fixed {
                return Err(Errno::ReadOnly.into());
            }
            id
        }
        (None, Some((parent, name, _))) if how & CREATE != 0 => {
            if must_be_directory {
                return Err(Errno::Invalid.into());
            }
            state.files.create(parent, name, false, state.clock.now_ns(), &mut state.allowance)?
        }
        (None, _) => return Err(Errno::NoEntry.into()),
    };
    // A program that asks for neither may still ask about the file, and some libraries then read it.
    read |= !write;
    let open =
        if state.files.is_directory(id) { Open::Directory { id } } else { Open::File { id, offset: 0, read, write } };
    let opened = state.descriptors.add(open, flags as u16)?;
    state.files.open(id);
    if how & TRUNCATE != 0 {
        state.files.resize(id, 0, state.clock.now_ns(), &mut state.allowance)?;
    }
    Ok(opened)
}

/// Writes a directory's entries, from the one after `cookie`, until the buffer is full; the last may be cut. A cookie
/// is the number of the entry before, 0 at first.
fn list(memory: &mut Memory<'_>, state: &mut State, number: u32, start: u32, bytes: u32, cookie: u64) -> Answer<u32> {
    let directory = state.descriptors.directory(number)?;
    let buffer = memory.slice(start, bytes)?;
    let found = state.files.list(directory, cookie)?;
    // Numbers 1 and 2 stand for these two. No file has them.
    let special = [(1, "."), (2, "..")].into_iter().filter(|(id, _)| *id > cookie);
    let (mut written, mut listed) = (0, 0);
    for (id, name) in special.chain(found) {
        let (inode, kind) = if id < 3 { (directory, 3) } else { (id, kind(state.files.stat(id))) };
        let mut entry = Vec::with_capacity(ENTRY_BYTES + name.len());
        entry.extend_from_slice(&id.to_le_bytes());
        entry.extend_from_slice(&inode.to_le_bytes());
        entry.extend_from_slice(&(name.len() as u32).to_le_bytes());
        entry.extend_from_slice(&[kind, 0, 0, 0]);
        entry.extend_from_slice(name.as_bytes());
        let fits = entry.len().min(buffer.len() - written);
        buffer[written..written + fits].copy_from_slice(&entry[..fits]);
        written += fits;
        listed += 1;
        if written == buffer.len() {
            break;
        }
    }
    state.charge(written as u64 + listed * 128);
    Ok(written as u32)
}
