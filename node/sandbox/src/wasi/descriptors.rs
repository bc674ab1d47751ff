//! A program's open descriptors.

use super::{
    errno::{Answer, Errno},
    files::NodeId,
};

/// The most open descriptors of a program.
const DESCRIPTORS_MAX: usize = 1024;

/// What a descriptor refers to.
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

/// An open descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor {
    pub open: Open,
    /// The flags that it was opened with, or got since.
    pub flags: u16,
    /// The path of the directory, if the program was started with it.
    pub given: Option<&'static str>,
}

/// Write at the end, whatever the offset.
pub(crate) const APPEND: u16 = 1;

/// The descriptors of a run. A new one gets the lowest free number.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Vec<Option<Descriptor>>);

impl Descriptors {
    pub(super) fn add(&mut self, open: Open, flags: u16) -> Answer<u32> {
        let number = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if number >= DESCRIPTORS_MAX {
            return Err(Errno::TooManyFiles.into());
        }
        if number == self.0.len() {
            self.0.push(None);
        }
        self.0[number] = Some(Descriptor { open, flags, given: None });
        Ok(number as u32)
    }

    pub(super) fn get(&self, number: u32) -> Answer<&Descriptor> {
        Ok(self.0.get(number as usize).and_then(Option::as_ref).ok_or(Errno::BadDescriptor)?)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Answer<&mut Descriptor> {
        Ok(self.0.get_mut(number as usize).and_then(Option::as_mut).ok_or(Errno::BadDescriptor)?)
    }

    /// The directory that `number` refers to.
    pub(super) fn directory(&self, number: u32) -> Answer<NodeId> {
        match self.get(number)?.open {
            Open::Directory { id } => Ok(id),
            _ => Err(Errno::NotDirectory.into()),
        }
    }

    /// The file or directory that `number` refers to, if it is one.
    pub(super) fn node(&self, number: u32) -> Answer<Option<NodeId>> {
        Ok(match self.get(number)?.open {
            Open::File { id, .. } | Open::Directory { id } => Some(id),
            Open::Nothing | Open::Stdout | Open::Stderr => None,
        })
    }

    pub(super) fn remove(&mut self, number: u32) -> Answer<Descriptor> {
        let entry = self.0.get_mut(number as usize).ok_or(Errno::BadDescriptor)?;
        Ok(entry.take().ok_or(Errno::BadDescriptor)?)
    }

    /// Makes `to` refer to what `from` refers to, and returns what `to` referred to.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Answer<Option<Descriptor>> {
        self.get(to)?;
        if from == to {
            return Ok(None);
        }
        let moved = self.remove(from)?;
        Ok(self.0[to as usize].replace(moved))
    }
}
