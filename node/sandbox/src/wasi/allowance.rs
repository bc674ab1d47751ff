//! The bounds of one run, and how much of each is used.
//!
//! Everything that a program can make the host keep is counted here before it is kept: linear memory, exceptions, tables, output,
//! temporary files, names. The counts depend only on the program, so a limit ends it alike on every machine.

use meshwork_core::types::{MemoryUse, OutputUse, TaskLimit};
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
    /// The bound on memory, if the program asked for more, and what for the last time.
    pub memory_refused: Option<TaskLimit>,
    /// The bound on output by which the program was last told that there is no space left.
    pub output_refused: Option<TaskLimit>,
    /// The bound because of which an output stream lacks something that the program wrote.
    pub stream_cut: Option<TaskLimit>,
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
            memory_refused: None,
            output_refused: None,
            stream_cut: None,
            refusals: 0,
            host_failed: None,
            output: 0,
            entries: 0,
        }
    }

    /// Takes `bytes` of the output limit and of the program's memory for a file, because the host holds them until the
    /// task has ended.
    pub(crate) fn take_output(&mut self, bytes: u64) -> Answer {
        let fits = self.fit_output(bytes, OutputUse::Files).and_then(|()| self.fit_memory(bytes, MemoryUse::Files));
        fits.map_err(|limit| self.refuse(limit))?;
        self.add_output(bytes);
        Ok(())
    }

    /// The same for an output stream. What does not fit is missing there.
    pub(crate) fn take_stream(&mut self, bytes: u64) -> Answer {
        let fits = self.fit_output(bytes, OutputUse::Streams).and_then(|()| self.fit_memory(bytes, MemoryUse::Streams));
        if let Err(limit) = fits {
            // A program that passes over this would seem to have said everything.
            self.stream_cut = Some(limit);
            return Err(self.refuse(limit));
        }
        self.add_output(bytes);
        Ok(())
    }

    fn add_output(&mut self, bytes: u64) {
        self.output += bytes;
        self.note_peak();
    }

    pub(crate) fn return_output(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.output);
        self.output -= bytes;
    }

    /// Takes `bytes` of the program's memory for a temporary file.
    pub(crate) fn take_temporary(&mut self, bytes: u64) -> Answer {
        self.fit_memory(bytes, MemoryUse::Temporary).map_err(|limit| self.refuse(limit))?;
        self.temporary += bytes;
        self.note_peak();
        Ok(())
    }

    fn fit_memory(&self, bytes: u64, used: MemoryUse) -> Result<(), TaskLimit> {
        let fits = self.held().checked_add(bytes).is_some_and(|sum| sum <= self.memory_max);
        if fits { Ok(()) } else { Err(TaskLimit::Memory(self.memory_max, used)) }
    }

    fn fit_output(&self, bytes: u64, used: OutputUse) -> Result<(), TaskLimit> {
        let fits = self.output.checked_add(bytes).is_some_and(|sum| sum <= self.output_max);
        if fits { Ok(()) } else { Err(TaskLimit::Output(self.output_max, used)) }
    }

    /// What follows a call for which there is no space: the program is told so, as by a disk. If it goes on and on, it
    /// ends.
    fn refuse(&mut self, limit: TaskLimit) -> Fault {
        let refused =
            if matches!(limit, TaskLimit::Memory(..)) { &mut self.memory_refused } else { &mut self.output_refused };
        *refused = Some(limit);
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals > REFUSALS_MAX { End::Exceeded(limit).into() } else { Errno::NoSpace.into() }
    }

    /// The bound that was last reached, memory before output.
    pub(crate) fn refused(&self) -> Option<TaskLimit> {
        self.memory_refused.or(self.output_refused)
    }

    /// The end of a run that cannot go on without what was refused.
    pub(crate) fn exceeded(&self) -> End {
        self.refused().map_or(End::Broke("it was refused nothing"), End::Exceeded)
    }

    /// Counts bytes of temporary files as output from now on, if they fit besides all but `freed` bytes of the output.
    pub(crate) fn move_to_output(&mut self, bytes: u64, freed: u64) -> Answer {
        debug_assert!(bytes <= self.temporary && freed <= self.output);
        if (self.output - freed).checked_add(bytes).is_none_or(|sum| sum > self.output_max) {
            return Err(self.refuse(TaskLimit::Output(self.output_max, OutputUse::Files)));
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
            return Err(self.refuse(TaskLimit::Files(ENTRIES_MAX as u64)));
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
            self.memory_refused = Some(TaskLimit::Memory(self.memory_max, MemoryUse::Own));
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
