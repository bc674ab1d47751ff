//! The calls on open descriptors: reading, writing, seeking, closing, asking about them.

use wasmtime::Linker;

use super::{
    State,
    descriptors::{APPEND, Open},
    errno::{Answer, Errno, Fault},
    files::{Stat, Times},
    functions,
    memory::Memory,
};

/// What a descriptor may be used for, as preview 1 numbers it. Programs' libraries look only at these five; the
/// others are always granted.
const RIGHT_READ: u64 = 1 << 1;
const RIGHT_SEEK: u64 = 1 << 2;
const RIGHT_TELL: u64 = 1 << 5;
const RIGHT_WRITE: u64 = 1 << 6;
const RIGHT_SET_SIZE: u64 = 1 << 22;
const RIGHTS: u64 = (1 << 30) - 1;

const KIND_UNKNOWN: u8 = 0;
const KIND_DIRECTORY: u8 = 3;
const KIND_FILE: u8 = 4;

/// The flags that a descriptor may have: append, and those about durability, which mean nothing in memory.
const FLAGS: u32 = 0b11111;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    functions! { linker:
        fd_read(memory, state, number: u32, list: u32, count: u32, out: u32) {
            let bytes = read(memory, state, number, list, count, None)?;
            memory.write_u32(out, bytes)
        }
        fd_pread(memory, state, number: u32, list: u32, count: u32, offset: u64, out: u32) {
            let bytes = read(memory, state, number, list, count, Some(offset))?;
            memory.write_u32(out, bytes)
        }
        fd_write(memory, state, number: u32, list: u32, count: u32, out: u32) {
            let bytes = write(memory, state, number, list, count, None)?;
            memory.write_u32(out, bytes)
        }
        fd_pwrite(memory, state, number: u32, list: u32, count: u32, offset: u64, out: u32) {
            let bytes = write(memory, state, number, list, count, Some(offset))?;
            memory.write_u32(out, bytes)
        }
        fd_seek(memory, state, number: u32, delta: i64, from: u32, out: u32) {
            let offset = seek(state, number, delta, from)?;
            memory.write_u64(out, offset)
        }
        fd_tell(memory, state, number: u32, out: u32) {
            let offset = seek(state, number, 0, 1)?;
            memory.write_u64(out, offset)
        }
        fd_close(_memory, state, number: u32) {
            let closed = state.descriptors.remove(number)?;
            close(state, closed.open);
            Ok(())
        }
        fd_renumber(_memory, state, from: u32, to: u32) {
            if let Some(closed) = state.descriptors.renumber(from, to)? {
                close(state, closed.open);
            }
            Ok(())
        }
        fd_sync(_memory, state, number: u32) {
            state.descriptors.get(number).map(|_| ())
        }
        fd_datasync(_memory, state, number: u32) {
            state.descriptors.get(number).map(|_| ())
        }
        fd_advise(_memory, state, number: u32, _offset: u64, _bytes: u64, advice: u32) {
            state.descriptors.get(number)?;
            if advice > 5 { Err(Errno::Invalid.into()) } else { Ok(()) }
        }
        fd_allocate(_memory, state, number: u32, offset: u64, bytes: u64) {
            let end = offset.checked_add(bytes).ok_or(Errno::TooLarge)?;
            let id = writable(state, number)?;
            if end > state.files.stat(id).bytes { resize(state, number, end) } else { Ok(()) }
        }
        fd_filestat_set_size(_memory, state, number: u32, bytes: u64) {
            resize(state, number, bytes)
        }
        fd_filestat_get(memory, state, number: u32, out: u32) {
            let stat = state.descriptors.node(number)?.map(|id| state.files.stat(id));
            memory.write(out, &filestat(stat))
        }
        fd_filestat_set_times(_memory, state, number: u32, accessed: u64, modified: u64, flags: u32) {
            let id = state.descriptors.node(number)?.ok_or(Errno::BadDescriptor)?;
            set_times(state, id, (accessed, modified), flags)
        }
        fd_fdstat_get(memory, state, number: u32, out: u32) {
            let descriptor = state.descriptors.get(number)?;
            let stat = fdstat(descriptor.open, descriptor.flags);
            memory.write(out, &stat)
        }
        fd_fdstat_set_flags(_memory, state, number: u32, flags: u32) {
            if flags & !FLAGS != 0 {
                return Err(Errno::Invalid.into());
            }
            state.descriptors.get_mut(number)?.flags = flags as u16;
            Ok(())
        }
        fd_fdstat_set_rights(_memory, state, number: u32, _base: u64, _inheriting: u64) {
            // Rights were dropped from the interface and mean nothing here. What a program may do follows from the
            // place.
            state.descriptors.get(number)?;
            Err(Errno::NotSupported.into())
        }
        fd_prestat_get(memory, state, number: u32, out: u32) {
            let path = state.descriptors.get(number)?.given.ok_or(Errno::BadDescriptor)?;
            memory.write_u64(out, (path.len() as u64) << 32)
        }
        fd_prestat_dir_name(memory, state, number: u32, start: u32, bytes: u32) {
            let path = state.descriptors.get(number)?.given.ok_or(Errno::BadDescriptor)?;
            if path.len() > bytes as usize {
                return Err(Errno::NameTooLong.into());
            }
            memory.write(start, path.as_bytes())
        }
    }
    Ok(())
}

pub(super) fn close(state: &mut State, open: Open) {
    if let Open::File { id, .. } | Open::Directory { id } = open {
        state.files.close(id, &mut state.allowance);
    }
}

fn read(
    memory: &mut Memory<'_>,
    state: &mut State,
    number: u32,
    list: u32,
    count: u32,
    at: Option<u64>,
) -> Answer<u32> {
    let (id, start) = match state.descriptors.get(number)?.open {
        Open::File { id, offset, read: true, .. } => (id, at.unwrap_or(offset)),
        Open::Nothing if at.is_none() => return Ok(0),
        Open::Nothing => return Err(Errno::NoSeek.into()),
        Open::Directory { .. } => return Err(Errno::IsDirectory.into()),
        Open::File { .. } | Open::Stdout | Open::Stderr => return Err(Errno::BadDescriptor.into()),
    };
    let mut total = 0_u32;
    for index in 0..count {
        state.charge(8);
        let buffer = memory.buffer_at(list, index)?;
        // One call must report what it read in 32 bits.
        let bytes = buffer.bytes.min(u32::MAX - total);
        let offset = start.checked_add(u64::from(total)).ok_or(Errno::Invalid)?;
        let read = state.files.read(id, offset, memory.slice(buffer.start, bytes)?)? as u32;
        state.charge(u64::from(read));
        total += read;
        if read < buffer.bytes {
            break;
        }
    }
    if at.is_none()
        && let Open::File { offset, .. } = &mut state.descriptors.get_mut(number)?.open
    {
        *offset = start + u64::from(total);
    }
    Ok(total)
}

fn write(
    memory: &mut Memory<'_>,
    state: &mut State,
    number: u32,
    list: u32,
    count: u32,
    at: Option<u64>,
) -> Answer<u32> {
    let descriptor = *state.descriptors.get(number)?;
    let start = match descriptor.open {
        Open::Stdout | Open::Stderr if at.is_some() => return Err(Errno::NoSeek.into()),
        Open::Stdout | Open::Stderr => 0,
        Open::File { id, offset, write: true, .. } => match at {
            Some(at) => at,
            None if descriptor.flags & APPEND != 0 => state.files.stat(id).bytes,
            None => offset,
        },
        Open::Directory { .. } => return Err(Errno::IsDirectory.into()),
        Open::File { .. } | Open::Nothing => return Err(Errno::BadDescriptor.into()),
    };
    let now_ns = state.clock.now_ns();
    let mut total = 0_u32;
    for index in 0..count {
        state.charge(8);
        let buffer = memory.buffer_at(list, index)?;
        let bytes = memory.read(buffer.start, buffer.bytes)?;
        let Some(sum) = total.checked_add(buffer.bytes) else { break };
        state.charge(u64::from(buffer.bytes));
        let kept = match descriptor.open {
            Open::Stdout | Open::Stderr => say(state, descriptor.open, bytes),
            Open::File { id, .. } if !bytes.is_empty() => {
                let offset = start.checked_add(u64::from(total)).ok_or(Errno::TooLarge)?;
                state.files.write(id, offset, bytes, now_ns, &mut state.allowance)
            }
            _ => Ok(()),
        };
        match kept {
            // As on a disk, what did fit is told first.
            Err(Fault::Errno(Errno::NoSpace)) if total > 0 => break,
            kept => kept?,
        }
        total = sum;
    }
    if at.is_none()
        && let Open::File { offset, .. } = &mut state.descriptors.get_mut(number)?.open
    {
        *offset = start + u64::from(total);
    }
    Ok(total)
}

fn say(state: &mut State, stream: Open, bytes: &[u8]) -> Answer {
    state.allowance.take_stream(bytes.len() as u64)?;
    let said = if matches!(stream, Open::Stderr) { &mut state.stderr } else { &mut state.stdout };
    said.extend_from_slice(bytes);
    Ok(())
}

fn seek(state: &mut State, number: u32, delta: i64, from: u32) -> Answer<u64> {
    let end = state.descriptors.node(number)?.map(|id| state.files.stat(id).bytes);
    match &mut state.descriptors.get_mut(number)?.open {
        Open::File { offset, .. } => {
            let base = match from {
                0 => 0,
                1 => *offset,
                2 => end.unwrap_or(0),
                _ => return Err(Errno::Invalid.into()),
            };
            // More than any file here can have, but within what the interface can express.
            let sum = base.checked_add_signed(delta).filter(|sum| i64::try_from(*sum).is_ok());
            *offset = sum.ok_or(Errno::Invalid)?;
            Ok(*offset)
        }
        Open::Directory { .. } => Err(Errno::IsDirectory.into()),
        Open::Nothing | Open::Stdout | Open::Stderr => Err(Errno::NoSeek.into()),
    }
}

fn writable(state: &State, number: u32) -> Answer<u64> {
    match state.descriptors.get(number)?.open {
        Open::File { id, write: true, .. } => Ok(id),
        Open::Directory { .. } => Err(Errno::IsDirectory.into()),
        _ => Err(Errno::Invalid.into()),
    }
}

fn resize(state: &mut State, number: u32, bytes: u64) -> Answer {
    let id = writable(state, number)?;
    let before = state.files.stat(id).bytes;
    state.files.resize(id, bytes, state.clock.now_ns(), &mut state.allowance)?;
    state.charge(bytes.saturating_sub(before));
    Ok(())
}

/// Sets the times of the last access and the last change, as `flags` say: to given times, or to now.
pub(super) fn set_times(state: &mut State, id: u64, (accessed, modified): (u64, u64), flags: u32) -> Answer {
    const GIVEN: u32 = 1;
    const NOW: u32 = 2;
    if flags > 0b1111 {
        return Err(Errno::Invalid.into());
    }
    let now = state.clock.now_ns();
    let chosen = |flags: u32, given: u64, before: u64| match (flags & GIVEN != 0, flags & NOW != 0) {
        (true, true) => Err(Errno::Invalid),
        (true, false) => Ok(given),
        (false, true) => Ok(now),
        (false, false) => Ok(before),
    };
    let before = state.files.stat(id).times;
    let accessed_ns = chosen(flags, accessed, before.accessed_ns)?;
    let modified_ns = chosen(flags >> 2, modified, before.modified_ns)?;
    let times = Times { accessed_ns, modified_ns };
    if times == before { Ok(()) } else { state.files.set_times(id, times) }
}

/// The structure `filestat`; that of a stream if there is no file.
pub(super) fn filestat(stat: Option<Stat>) -> [u8; 64] {
    let mut bytes = [0; 64];
    let mut put = |offset: usize, value: u64| bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    if let Some(stat) = stat {
        put(8, stat.id);
        put(16, u64::from(if stat.directory { KIND_DIRECTORY } else { KIND_FILE }));
        put(24, 1);
        put(32, stat.bytes);
        put(40, stat.times.accessed_ns);
        put(48, stat.times.modified_ns);
        put(56, stat.times.modified_ns);
    }
    bytes
}

fn fdstat(open: Open, flags: u16) -> [u8; 24] {
    let stream = RIGHTS & !(RIGHT_READ | RIGHT_WRITE | RIGHT_SEEK | RIGHT_TELL);
    let (kind, rights) = match open {
        Open::Nothing => (KIND_UNKNOWN, stream | RIGHT_READ),
        Open::Stdout | Open::Stderr => (KIND_UNKNOWN, stream | RIGHT_WRITE),
        Open::Directory { .. } => (KIND_DIRECTORY, stream & !RIGHT_SET_SIZE),
        Open::File { read, write, .. } => {
            let mut rights = RIGHTS & !(RIGHT_READ | RIGHT_WRITE);
            rights |= if read { RIGHT_READ } else { 0 };
            rights |= if write { RIGHT_WRITE } else { 0 };
            (KIND_FILE, rights)
        }
    };
    let mut bytes = [0; 24];
    bytes[0] = kind;
    bytes[2..4].copy_from_slice(&flags.to_le_bytes());
    bytes[8..16].copy_from_slice(&rights.to_le_bytes());
    bytes[16..24].copy_from_slice(&RIGHTS.to_le_bytes());
    bytes
}

/// The kind of a directory entry.
pub(super) fn kind(stat: Stat) -> u8 {
    if stat.directory { KIND_DIRECTORY } else { KIND_FILE }
}

/// Whether the rights that a program asks for when it opens a file include reading, and writing.
pub(super) fn wanted(rights: u64) -> (bool, bool) {
    (rights & RIGHT_READ != 0, rights & RIGHT_WRITE != 0)
}
