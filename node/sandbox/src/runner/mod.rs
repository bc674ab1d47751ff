//! The runner's side: a process that compiles or runs one stranger's program and can do nothing else.
//!
//! It is confined before it sees a byte of the program. Even a program that takes over the process finds no file, no
//! network, no other process, and nothing of the node's but the socket, on which the node believes it nothing that
//! the program could not have said anyhow.

mod compile;
mod confine;
mod priority;
mod run;
mod saver;
mod watchdog;

use std::{
    io::stdin,
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
    sync::Arc,
};

use wasmtime::{Engine, InstancePre, Linker, Module};

use self::{priority::Priority, saver::Saver, watchdog::Ticker};
use crate::{
    engine,
    wasi::{self, State},
    wire::{Channel, WireError},
    words::{Reply, Request, Role},
};

/// All that a runner does, until the node closes the socket that is this process's standard input. The arguments are
/// those that [`RunnerCommand`](crate::RunnerCommand) appends.
///
/// Call this before anything else in `main`: a process with several threads cannot be confined as well.
pub fn run_runner(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let role = arguments.next().and_then(|word| Role::from_word(&word));
    let niceness = arguments.next().and_then(|number| number.parse().ok());
    let (Some(role), Some(niceness)) = (role, niceness) else { return ExitCode::from(2) };
    // Nobody reads what goes wrong here. The node sees that the socket is closed.
    match Runner::start(role, niceness).and_then(Runner::serve) {
        Ok(()) | Err(WireError::Closed) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

struct Runner {
    channel: Channel,
    engine: Engine,
    linker: Linker<State>,
    program: Option<InstancePre<State>>,
    ticker: Ticker,
    priority: Arc<Priority>,
    saver: Arc<Saver>,
}

impl Runner {
    fn start(role: Role, niceness: i32) -> Result<Self, WireError> {
        if role == Role::Compile {
            priority::lower(niceness);
        }
        let mut confinement = confine::before_threads();
        let stream = UnixStream::from(stdin().as_fd().try_clone_to_owned()?);
        let mut channel = Channel::new(stream)?;
        let made = match role {
            Role::Compile => engine::to_compile(),
            Role::Run => engine::to_run(),
        };
        let engine = made.map_err(|error| WireError::Malformed(error.to_string()))?;
        let linker = wasi::link(&engine).map_err(|error| WireError::Malformed(error.to_string()))?;
        let saver = Saver::start(channel.try_clone()?)?;
        let priority = Arc::new(Priority::new(niceness));
        let ticker = Ticker::start(&engine, Arc::clone(&priority))?;
        watchdog::end_with_the_node(channel.try_clone()?)?;
        confine::after_threads(role, niceness, &mut confinement);
        channel.send(&Reply::Ready { confinement, compiler: engine::compiler(&engine) })?;
        Ok(Self { channel, engine, linker, program: None, ticker, priority, saver })
    }

    fn serve(mut self) -> Result<(), WireError> {
        loop {
            match self.channel.receive()? {
                Request::Compile { program_bytes } => {
                    let program = self.channel.receive_bytes(program_bytes)?;
                    match compile::compile(&self.engine, &program) {
                        Ok(compiled) => {
                            self.channel.send(&Reply::Compiled { compiled_bytes: compiled.len() as u64 })?;
                            self.channel.send_bytes(&compiled)?;
                        }
                        Err(bad) => self.channel.send(&Reply::BadModule(bad.into_text()))?,
                    }
                }
                Request::Load => {
                    let file = self.channel.receive_files(1)?.remove(0);
                    let reply = match self.load(file) {
                        Ok(program) => {
                            self.program = Some(program);
                            Reply::Loaded
                        }
                        Err(error) => Reply::HostFailed(format!("a compiled program cannot be used: {error}")),
                    };
                    self.channel.send(&reply)?;
                }
                Request::Run(request) => {
                    let files = self.channel.receive_files(request.files as usize)?;
                    let Some(program) = &self.program else {
                        return Err(WireError::Malformed("nothing to run".into()));
                    };
                    let ticking = self.ticker.tick();
                    let ran = run::run(&self.engine, program, *request, files, &self.saver, self.ticker.clock());
                    drop(ticking);
                    self.priority.lower_when_due();
                    self.saver.flush()?;
                    run::tell(&mut self.channel, ran)?;
                }
            }
        }
    }

    fn load(&self, file: std::fs::File) -> wasmtime::Result<InstancePre<State>> {
        // SAFETY: The node keeps compiled programs under a keyed checksum and made this file of one. It was compiled
        // here, by this version. If the compiler was deceived, what runs is confined to this process, which exists
        // for this one program.
        #[allow(unsafe_code)]
        let module = unsafe { Module::deserialize_open_file(&self.engine, file)? };
        self.linker.instantiate_pre(&module)
    }
}
