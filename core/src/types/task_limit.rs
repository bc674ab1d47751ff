//! The limits that end a program, each with its value and the word by which a submitter raises it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Setback;

/// A limit that a program reached, with its value. Most are the task's own; the others are the same for every task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskLimit {
    /// Memory, in bytes. The program wanted more of it for this.
    Memory(u64, MemoryUse),
    /// Wall time of one attempt, in milliseconds.
    Time(u64),
    /// Processor work of one attempt, in units of fuel.
    Fuel(u64),
    /// Bytes of output. The program wanted to write more of them here.
    Output(u64, OutputUse),
    /// Files and directories at one time. No task can have more.
    Files(u64),
    /// Bytes of one file under `/out`. No task can have more.
    File(u64),
    /// Bytes of the list of the files under `/out`, with their paths. No task can have more.
    FileList(u64),
}

/// What a program wanted memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryUse {
    /// For itself: linear memory and exceptions.
    Own,
    /// For what it wrote to an output stream.
    Streams,
    /// For files under `/out` or `/checkpoint`.
    Files,
    /// For files under `/tmp`.
    Temporary,
}

/// What a program wrote too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputUse {
    /// Standard output or standard error.
    Streams,
    /// Files under `/out` or `/checkpoint`.
    Files,
}

impl TaskLimit {
    /// The name by which a submitter sets it, as a flag of `submit` and as a key of a job file; `None` if it is the same
    /// for every task.
    #[must_use]
    pub const fn setting(self) -> Option<&'static str> {
        match self {
            Self::Memory(..) => Some("memory"),
            Self::Time(_) => Some("timeout"),
            Self::Fuel(_) => Some("fuel"),
            Self::Output(..) => Some("output-limit"),
            Self::Files(_) | Self::File(_) | Self::FileList(_) => None,
        }
    }

    /// The kind of setback that reaching it is.
    #[must_use]
    pub const fn setback(self) -> Setback {
        match self {
            Self::Memory(..) => Setback::OutOfMemory,
            Self::Time(_) => Setback::TimedOut,
            Self::Fuel(_) => Setback::OutOfFuel,
            Self::Output(..) | Self::Files(_) | Self::File(_) | Self::FileList(_) => Setback::OutputTooLarge,
        }
    }
}

/// An amount in the largest unit of which it is a whole number, so that it is exact and can be written in a flag.
fn exactly(amount: u64, units: &[(u64, &str)]) -> String {
    let unit = units.iter().find(|(size, _)| amount >= *size && amount.is_multiple_of(*size));
    unit.map_or_else(|| amount.to_string(), |(size, name)| format!("{}{name}", amount / size))
}

fn bytes(amount: u64) -> String {
    exactly(amount, &[(1 << 40, " TiB"), (1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB"), (1, " bytes")])
}

fn time(ms: u64) -> String {
    exactly(ms, &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")])
}

impl fmt::Display for TaskLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Memory(most, used) => {
                write!(f, "ran out of memory: it may have {}", bytes(most))?;
                f.write_str(match used {
                    MemoryUse::Own => "",
                    MemoryUse::Streams => ", which what it writes to its output streams takes part of",
                    MemoryUse::Files => ", which its files under /out take part of",
                    MemoryUse::Temporary => ", which its files under /tmp take part of",
                })?;
            }
            Self::Time(ms) => write!(f, "ran out of time: an attempt may take {}", time(ms))?,
            Self::Fuel(fuel) => write!(f, "ran out of fuel: an attempt may spend {fuel}")?,
            Self::Output(most, OutputUse::Streams) => {
                write!(f, "wrote too much to its output streams: with /out, they may have {}", bytes(most))?;
            }
            Self::Output(most, OutputUse::Files) => {
                write!(f, "wrote too much to /out: with its output streams, it may have {}", bytes(most))?;
            }
            Self::Files(most) => write!(f, "made too many files: it may have {most} files and directories at a time")?,
            Self::File(most) => write!(f, "left too large a file under /out: one may have {}", bytes(most))?,
            Self::FileList(most) => {
                write!(f, "left too many files under /out: their list, with their paths, may have {}", bytes(most))?;
            }
        }
        match self.setting() {
            Some(setting) => write!(f, " (--{setting} raises that)"),
            None => f.write_str(", as any task"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_names_its_value_and_what_raises_it() {
        let said = |limit: TaskLimit| limit.to_string();
        assert_eq!(
            said(TaskLimit::Memory(128 << 20, MemoryUse::Own)),
            "ran out of memory: it may have 128 MiB (--memory raises that)"
        );
        assert!(said(TaskLimit::Memory(1000, MemoryUse::Temporary)).contains("1000 bytes, which its files under /tmp"));
        assert_eq!(said(TaskLimit::Time(90_000)), "ran out of time: an attempt may take 90s (--timeout raises that)");
        assert_eq!(said(TaskLimit::Fuel(7)), "ran out of fuel: an attempt may spend 7 (--fuel raises that)");
        let streams = said(TaskLimit::Output(16 << 20, OutputUse::Streams));
        assert!(streams.contains("output streams") && streams.ends_with("16 MiB (--output-limit raises that)"));
        assert!(said(TaskLimit::Output(0, OutputUse::Files)).contains("it may have 0 (--output-limit"));
        assert!(said(TaskLimit::Files(10_000)).ends_with("10000 files and directories at a time, as any task"));
    }
}
