//! A program's linear memory, as calls read and write it. Every access is checked; one outside of it is the program's
//! fault.

use super::errno::{Answer, Errno};

/// The linear memory of the calling program.
pub(crate) struct Memory<'a>(pub &'a mut [u8]);

/// One buffer of a vectored read or write.
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    pub start: u32,
    pub bytes: u32,
}

impl Memory<'_> {
    pub(super) fn read(&self, start: u32, bytes: u32) -> Answer<&[u8]> {
        let start = start as usize;
        Ok(self.0.get(start..start + bytes as usize).ok_or(Errno::Fault)?)
    }

    pub(super) fn slice(&mut self, start: u32, bytes: u32) -> Answer<&mut [u8]> {
        let start = start as usize;
        Ok(self.0.get_mut(start..start + bytes as usize).ok_or(Errno::Fault)?)
    }

    pub(super) fn write(&mut self, start: u32, content: &[u8]) -> Answer {
        let start = start as usize;
        self.0.get_mut(start..start + content.len()).ok_or(Errno::Fault)?.copy_from_slice(content);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, start: u32, value: u32) -> Answer {
        self.write(start, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, start: u32, value: u64) -> Answer {
        self.write(start, &value.to_le_bytes())
    }

    /// `N` bytes from `start`.
    pub(super) fn array<const N: usize>(&self, start: u32) -> Answer<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.read(start, N as u32)?);
        Ok(array)
    }

    /// The buffer at `index` in the list that starts at `list`.
    pub(super) fn buffer_at(&self, list: u32, index: u32) -> Answer<Buffer> {
        let entry: [u8; 8] = self.array(entry(list, index, 8)?)?;
        Ok(Buffer { start: u32_in(&entry, 0), bytes: u32_in(&entry, 4) })
    }
}

/// The address of the entry at `index` in a list of equal entries.
pub(crate) fn entry(list: u32, index: u32, entry_bytes: u32) -> Answer<u32> {
    Ok(index.checked_mul(entry_bytes).and_then(|offset| list.checked_add(offset)).ok_or(Errno::Fault)?)
}

/// The number at `offset` in a structure.
pub(crate) fn u32_in(structure: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(structure[offset..offset + 4].try_into().expect("four bytes"))
}

/// The number at `offset` in a structure.
pub(crate) fn u64_in(structure: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(structure[offset..offset + 8].try_into().expect("eight bytes"))
}
