//! The bounds of one run, and how much of each is used.
//!
//! Everything that a program can make the host keep is counted here before it is kept: linear memory, exceptions, tables, output,
//! temporary files, names. The counts depend only on the program, so a limit ends it alike on every machine.

use wasmtime::ResourceLimiter;

use super::errno::{Answer, End};

/// The most files and directories of a program at one time.
pub(crate) const ENTRIES_MAX: usize = 10_000;
/// The most elements of one table: enough for the function pointers of any real program.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// The most tables of one module.
pub(crate) const TABLES_MAX: usize = 4;

/// The counts and bounds of one run.
#[derive(Debug)]
pub(crate) struct Allowance {
    memory_max: u64,
    /// Linear memory, and the heap of exceptions.
    linear: u64,
    temporary: u64,
    /// The most bytes of linear memory, output and temporary files together, at any time so far.
    pub memory_peak: u64,
    /// Whether memory beyond the bound was asked for.
    pub memory_refused: bool,
    /// The machine's error if it could not give memory that the program is allowed.
    pub host_failed: Option<String>,
    output_max: u64,
    output: u64,
    entries: usize,
}

impl Allowance {
    pub(crate) fn new(memory_max: u64, output_max: u64) -> Self {
        Self {
            memory_max,
            output_max,
            linear: 0,
            temporary: 0,
            memory_peak: 0,
            memory_refused: false,
            host_failed: None,
            output: 0,
            entries: 0,
        }
    }

    /// Takes `bytes` of the output limit and of the program's memory, because the host holds them until the task has
    /// ended.
    pub(crate) fn take_output(&mut self, bytes: u64) -> Answer {
        if self.output.checked_add(bytes).is_none_or(|sum| sum > self.output_max) {
            return Err(End::OutputTooLarge.into());
        }
        self.take_memory(bytes)?;
        self.output += bytes;
        self.note_peak();
        Ok(())
    }

    pub(crate) fn return_output(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.output);
        self.output -= bytes;
    }

    /// Takes `bytes` of the program's memory for a temporary file.
    pub(crate) fn take_temporary(&mut self, bytes: u64) -> Answer {
        self.take_memory(bytes)?;
        self.temporary += bytes;
        self.note_peak();
        Ok(())
    }

    fn take_memory(&mut self, bytes: u64) -> Answer {
        if self.held().checked_add(bytes).is_none_or(|sum| sum > self.memory_max) {
            self.memory_refused = true;
            return Err(End::OutOfMemory.into());
        }
        Ok(())
    }

    /// All bytes of the program in the host's memory.
    const fn held(&self) -> u64 {
        self.linear + self.temporary + self.output
    }

    pub(crate) fn return_temporary(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.temporary);
        self.temporary -= bytes;
    }

    /// Takes one more file or directory.
    pub(crate) fn take_entry(&mut self) -> Answer {
        if self.entries == ENTRIES_MAX {
            return Err(End::OutputTooLarge.into());
        }
        self.entries += 1;
        Ok(())
    }

    pub(crate) fn return_entry(&mut self) {
        debug_assert!(self.entries > 0);
        self.entries -= 1;
    }

    /// The bytes of output, the bytes of temporary files, and the entries in use.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> (u64, u64, usize) {
        (self.output, self.temporary, self.entries)
    }

    fn note_peak(&mut self) {
        self.memory_peak = self.memory_peak.max(self.held());
    }
}

impl ResourceLimiter for Allowance {
    // Asked for the linear memory and for the heap of exceptions, each by itself.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let linear = self.linear.saturating_sub(current as u64).saturating_add(desired as u64);
        if linear > self.memory_max.saturating_sub(self.temporary + self.output) {
            self.memory_refused = true;
            return Ok(false);
        }
        // A program that reaches the maximum that it declared itself has not reached this bound. That growth fails by
        // itself.
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.linear = linear;
            self.note_peak();
        }
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if error.is::<std::io::Error>() {
            self.host_failed = Some(format!("this machine has no memory left for the program: {error}"));
        }
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        2
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }
}
