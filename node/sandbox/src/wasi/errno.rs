//! The answers of a preview 1 call, and the reasons that end a program from inside one.

use meshwork_core::types::TaskLimit;

/// The error numbers of WASI preview 1 that this host answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Errno {
    BadDescriptor = 8,
    Busy = 10,
    Exists = 20,
    Fault = 21,
    TooLarge = 22,
    NotUtf8 = 25,
    Invalid = 28,
    IsDirectory = 31,
    TooManyFiles = 33,
    NameTooLong = 37,
    NoEntry = 44,
    NoSpace = 51,
    NotDirectory = 54,
    NotEmpty = 55,
    NotSocket = 57,
    NotSupported = 58,
    ReadOnly = 69,
    NoSeek = 70,
    NotCapable = 76,
}

/// Why a program ends while it is inside a call, or at a check of the clock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    #[error("exited with status {0}")]
    Exited(i32),
    /// It went on and on although there was no space.
    #[error("{0}")]
    Exceeded(TaskLimit),
    #[error("ran out of time")]
    TimedOut,
    #[error("spent its fuel")]
    OutOfFuel,
    /// The program broke the host's calling rules, for instance by having no memory.
    #[error("{0}")]
    Broke(&'static str),
    /// This machine failed; the program is not to blame.
    #[error("{0}")]
    Host(String),
}

/// What follows a call that did not succeed: an error number for the program, or its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Errno(Errno),
    End(End),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<End> for Fault {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

pub(crate) type Answer<T = ()> = Result<T, Fault>;
