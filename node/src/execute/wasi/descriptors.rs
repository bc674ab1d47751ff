//! The descriptors that a program has open.

use super::{
    errno::{Answer, Errno},
    files::NodeId,
};

/// The most descriptors that a program may have open at one time.
const DESCRIPTORS_MAX: usize = 1024;

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// Standard input with nothing in it.
    Nothing,
    Stdout,
    Stderr,
    File {
        id: NodeId,
        offset: u64,
        read: bool,
        write: bool,
    },
    Directory {
        id: NodeId,
    },
}

/// A number that a program has for something open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor {
    pub open: Open,
    /// The flags that it was opened with or given since.
    pub flags: u16,
    /// Whether it is the directory that the program was started with.
    pub given: bool,
}

/// Write at the end, whatever the offset.
pub(crate) const APPEND: u16 = 1;

/// The table of a run's descriptors, each at the lowest number that was free.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Vec<Option<Descriptor>>);

impl Descriptors {
    pub fn add(&mut self, open: Open, flags: u16) -> Answer<u32> {
        let number = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if number >= DESCRIPTORS_MAX {
            return Err(Errno::TooManyFiles.into());
        }
        if number == self.0.len() {
            self.0.push(None);
        }
        self.0[number] = Some(Descriptor { open, flags, given: false });
        Ok(number as u32)
    }

    pub fn get(&self, number: u32) -> Answer<&Descriptor> {
        Ok(self.0.get(number as usize).and_then(Option::as_ref).ok_or(Errno::BadDescriptor)?)
    }

    pub fn get_mut(&mut self, number: u32) -> Answer<&mut Descriptor> {
        Ok(self.0.get_mut(number as usize).and_then(Option::as_mut).ok_or(Errno::BadDescriptor)?)
    }

    /// The directory that `number` stands for.
    pub fn directory(&self, number: u32) -> Answer<NodeId> {
        match self.get(number)?.open {
            Open::Directory { id } => Ok(id),
            _ => Err(Errno::NotDirectory.into()),
        }
    }

    /// The file or directory that `number` stands for, if it is one.
    pub fn node(&self, number: u32) -> Answer<Option<NodeId>> {
        Ok(match self.get(number)?.open {
            Open::File { id, .. } | Open::Directory { id } => Some(id),
            Open::Nothing | Open::Stdout | Open::Stderr => None,
        })
    }

    pub fn remove(&mut self, number: u32) -> Answer<Descriptor> {
        let entry = self.0.get_mut(number as usize).ok_or(Errno::BadDescriptor)?;
        Ok(entry.take().ok_or(Errno::BadDescriptor)?)
    }

    /// Moves what `from` stands for to `to`, and answers what `to` stood for.
    pub fn renumber(&mut self, from: u32, to: u32) -> Answer<Option<Descriptor>> {
        self.get(to)?;
        if from == to {
            return Ok(None);
        }
        let moved = self.remove(from)?;
        Ok(self.0[to as usize].replace(moved))
    }
}
