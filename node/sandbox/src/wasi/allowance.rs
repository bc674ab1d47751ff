//! The bounds of one run, and how much of each is used.
//!
//! Everything that a program can make the host keep is counted here before it is kept: linear memory, exceptions, tables, output,
//! temporary files, names. The counts depend only on the program, so a limit ends it alike on every machine.

use wasmtime::ResourceLimiter;

use super::errno::{Answer, End, Errno, Fault};

/// The most files and directories of a program at one time.
pub(crate) const ENTRIES_MAX: usize = 10_000;
/// The most elements of one table: enough for the function pointers of any real program.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// The most tables of one module.
pub(crate) const TABLES_MAX: usize = 4;
/// How often a program is told that there is no space left. After that it is ended.
const REFUSALS_MAX: u32 = 16;

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
    /// Whether the program was told that its output has no space left.
    pub output_refused: bool,
    /// Whether an output stream lacks something that the program wrote.
    pub stream_cut: bool,
    refusals: u32,
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
            output_refused: false,
            stream_cut: false,
            refusals: 0,
            host_failed: None,
            output: 0,
            entries: 0,
        }
    }

    /// Takes `bytes` of the output limit and of the program's memory, because the host holds them until the task has
    /// ended.
    pub(crate) fn take_output(&mut self, bytes: u64) -> Answer {
        if self.output.checked_add(bytes).is_none_or(|sum| sum > self.output_max) {
            return Err(self.refuse_output());
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
            return Err(self.refuse(End::OutOfMemory));
        }
        Ok(())
    }

    fn refuse_output(&mut self) -> Fault {
        self.output_refused = true;
        self.refuse(End::OutputTooLarge)
    }

    /// What follows a call for which there is no space: the program is told so, as by a disk. If it goes on and on, it
    /// ends.
    fn refuse(&mut self, end: End) -> Fault {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals > REFUSALS_MAX { end.into() } else { Errno::NoSpace.into() }
    }

    /// Counts bytes of temporary files as output from now on, if they fit besides all but `freed` bytes of the output.
    pub(crate) fn move_to_output(&mut self, bytes: u64, freed: u64) -> Answer {
        debug_assert!(bytes <= self.temporary && freed <= self.output);
        if (self.output - freed).checked_add(bytes).is_none_or(|sum| sum > self.output_max) {
            return Err(self.refuse_output());
        }
        self.temporary -= bytes;
        self.output += bytes;
        Ok(())
    }

    /// Counts bytes of output as those of temporary files from now on.
    pub(crate) fn move_to_temporary(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.output);
        self.output -= bytes;
        self.temporary += bytes;
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
            return Err(self.refuse_output());
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
