//! Hosts as network namespaces. Each peer is a process with a network of its own, an address, a home and a log.
//! The cables of all peers end in one more namespace with a bridge, and a last cable joins it to this machine.
//! So no rule of this machine's own network, such as a container engine's, gets in the way, and no rule of
//! theirs gets out.

mod cables;

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use meshwork::failure::{Done, Failure};
use rustix::process::Signal;

use self::cables::Cables;
use super::{
    API_PORT, CLOCK_OFFSET, Hosts, KEEP, Member, Role,
    founding::Founding,
    nobody,
    plan::{self, MEMORY_MIB, Plan, SLOTS, SMALL_AUTHORITY, SMALL_WORKER},
    processes::{STOP_WITHIN, signal},
    volume::{SmallDisk, bytes_below, empty},
};

/// A peer that ended by itself is restarted after this time, as a service manager would do it.
const START_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The port on which authorities listen.
const MESH_PORT: u16 = 4001;

/// A network of namespaces. Dropping it removes all of them.
pub(crate) struct Namespaces {
    plan: Plan,
    founding: Founding,
    peers: BTreeMap<String, Peer>,
    /// Declared after the peers, whose processes hold the namespaces.
    cables: Cables,
}

struct Peer {
    role: Role,
    address: Ipv4Addr,
    home: PathBuf,
    log: PathBuf,
    program: PathBuf,
    clock: Option<String>,
    child: Option<Child>,
    /// Whether the peer ought to run.
    wanted: bool,
    ended: Option<Instant>,
    restarts: u32,
    disk: Option<SmallDisk>,
}

impl Namespaces {
    /// Lays the cables and starts every peer.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn start(plan: Plan) -> Done<Self> {
        let names: Vec<String> = plan::peers().map(|(name, _)| name).collect();
        let cables = Cables::lay(&plan.prefix, &names)?;
        let addresses: BTreeMap<String, Ipv4Addr> =
            names.iter().enumerate().map(|(place, name)| (name.clone(), cables.address(place))).collect();
        let founding = Founding::new(&plan, |name| {
            format!("/ip4/{}/tcp/{MESH_PORT}", addresses.get(name).copied().unwrap_or(Ipv4Addr::LOCALHOST))
        })?;
        let mut network = Self { plan, founding, peers: BTreeMap::new(), cables };
        for (name, role) in plan::peers() {
            let address = addresses.get(&name).copied().ok_or_else(|| nobody(&name))?;
            let peer = network.prepare(&name, role, address)?;
            network.peers.insert(name.clone(), peer);
            network.start(&name)?;
        }
        Ok(network)
    }

    fn prepare(&self, name: &str, role: Role, address: Ipv4Addr) -> Done<Peer> {
        let home = self.plan.scratch.join("homes").join(name);
        let disk = match name {
            SMALL_WORKER | SMALL_AUTHORITY => Some(SmallDisk::mount(home.clone(), self.plan.small_disk_bytes, 0)?),
            _ => None,
        };
        fs::create_dir_all(&home).map_err(|error| Failure::file("create", &home, &error))?;
        Ok(Peer {
            role,
            address,
            log: self.plan.scratch.join(format!("{name}.log")),
            home,
            program: self.plan.program.clone(),
            clock: None,
            child: None,
            wanted: false,
            ended: None,
            restarts: 0,
            disk,
        })
    }

    fn peer(&mut self, name: &str) -> Done<&mut Peer> {
        self.peers.get_mut(name).ok_or_else(|| nobody(name))
    }

    /// The options and environment of a peer's process.
    fn command(&self, name: &str) -> Done<Command> {
        let peer = self.peers.get(name).ok_or_else(|| nobody(name))?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.cables.path(name).display())).arg(&peer.program);
        command.arg("--home").arg(&peer.home).arg("--genesis").arg(self.founding.genesis_path());
        command.args(["--log", &self.plan.log, "--api", &format!("0.0.0.0:{API_PORT}"), "up", "--no-mdns"]);
        match self.founding.key_path(name) {
            Some(key) => command.arg("--take-key").arg(key),
            None => command.arg("--make-key"),
        };
        match peer.role {
            Role::Worker => {
                command.args(["--slots", &SLOTS.to_string(), "--memory", &format!("{MEMORY_MIB}MiB"), "--disk", "1GiB"])
            }
            Role::Authority | Role::Gateway => command.arg("--no-work"),
        };
        for variable in ["HOME", "API", "KEY", "GENESIS", "LOG", "LOG_JSON"] {
            command.env_remove(format!("MESHWORK_{variable}"));
        }
        command.env(KEEP, peer.role.keeps());
        match &peer.clock {
            Some(offset) => command.env(CLOCK_OFFSET, offset),
            None => command.env_remove(CLOCK_OFFSET),
        };
        Ok(command)
    }
}

impl Hosts for Namespaces {
    fn kind(&self) -> &'static str {
        "network namespaces"
    }

    fn look(&mut self) -> Done<Vec<Member>> {
        let mut to_start = Vec::new();
        for (name, peer) in &mut self.peers {
            if let Some(child) = &mut peer.child
                && let Ok(Some(_)) = child.try_wait()
            {
                peer.child = None;
                peer.ended = Some(Instant::now());
            }
            let is_due = peer.ended.is_none_or(|ended| ended.elapsed() >= START_AGAIN_AFTER);
            if peer.wanted && peer.child.is_none() && is_due {
                to_start.push(name.clone());
            }
        }
        for name in to_start {
            self.start(&name)?;
            self.peer(&name)?.restarts += 1;
        }
        let member = |(name, peer): (&String, &Peer)| Member {
            name: name.clone(),
            role: peer.role,
            address: Some(peer.address),
            pid: peer.child.as_ref().map(Child::id),
            restarts: peer.restarts,
        };
        Ok(self.peers.iter().map(member).collect())
    }

    fn start(&mut self, name: &str) -> Done {
        let mut command = self.command(name)?;
        let peer = self.peer(name)?;
        let log = fs::OpenOptions::new().create(true).append(true).open(&peer.log);
        let log = log.map_err(|error| Failure::file("write", &peer.log, &error))?;
        // The process has a group of its own, so that an interruption from the keyboard reaches only this
        // program, which then ends the process. If this program is itself killed, its end of the pipe closes,
        // and the peer ends.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.arg("--until-stdin-closes").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let child =
            command.spawn().map_err(|error| Failure::failed(format!("{name} could not be started: {error}.")))?;
        peer.child = Some(child);
        peer.wanted = true;
        peer.ended = None;
        Ok(())
    }

    fn kill(&mut self, name: &str) -> Done {
        let peer = self.peer(name)?;
        peer.wanted = false;
        if let Some(mut child) = peer.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        Ok(())
    }

    fn pause(&mut self, name: &str) -> Done {
        signal(pid(self.peer(name)?, name)?, Signal::STOP)
    }

    fn resume(&mut self, name: &str) -> Done {
        signal(pid(self.peer(name)?, name)?, Signal::CONT)
    }

    fn stop(&mut self, name: &str) -> Done {
        let peer = self.peer(name)?;
        peer.wanted = false;
        let Some(mut child) = peer.child.take() else { return Ok(()) };
        signal(child.id(), Signal::TERM)?;
        let until = Instant::now() + STOP_WITHIN;
        while !matches!(child.try_wait(), Ok(Some(_))) {
            if Instant::now() > until {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::failed(format!(
                    "{name} did not end within {} s of being asked to, and was killed.",
                    STOP_WITHIN.as_secs()
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn replace(&mut self, name: &str) -> Done {
        self.kill(name)?;
        let home = self.peer(name)?.home.clone();
        empty(&home)?;
        self.start(name)
    }

    fn set_clock(&mut self, name: &str, offset: Option<&str>) -> Done {
        self.stop(name)?;
        self.peer(name)?.clock = offset.map(str::to_owned);
        self.start(name)
    }

    fn upgrade(&mut self, name: &str) -> Done {
        let next = self.plan.scratch.join("next");
        fs::create_dir_all(&next).map_err(|error| Failure::file("create", &next, &error))?;
        let program = next.join("meshwork");
        if !program.exists() {
            fs::copy(&self.plan.program, &program).map_err(|error| Failure::file("write", &program, &error))?;
        }
        self.stop(name)?;
        self.peer(name)?.program = program;
        self.start(name)
    }

    fn version(&self, name: &str) -> Done<String> {
        let peer = self.peers.get(name).ok_or_else(|| nobody(name))?;
        let path = PathBuf::from(format!("/proc/{}/exe", pid(peer, name)?));
        let program = fs::read_link(&path).map_err(|error| Failure::file("read", &path, &error))?;
        Ok(program.display().to_string())
    }

    fn small_disk(&self, name: &str) -> Option<&Path> {
        self.peers.get(name)?.disk.as_ref().map(SmallDisk::folder)
    }

    fn data(&self, name: &str) -> Option<PathBuf> {
        self.peers.get(name).map(|peer| peer.home.clone())
    }

    fn disk_bytes(&self, name: &str) -> u64 {
        self.peers.get(name).map_or(0, |peer| bytes_below(&peer.home))
    }

    fn log(&self, name: &str, lines: usize) -> String {
        let Some(peer) = self.peers.get(name) else { return String::new() };
        let log = fs::read(&peer.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn founding(&self) -> &Founding {
        &self.founding
    }
}

fn pid(peer: &Peer, name: &str) -> Done<u32> {
    peer.child.as_ref().map(Child::id).ok_or_else(|| Failure::failed(format!("{name} is not running.")))
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // All are killed first, so that none has time to notice that others are gone.
        for child in self.peers.values_mut().filter_map(|peer| peer.child.as_mut()) {
            let _ = child.kill();
        }
        for child in self.peers.values_mut().filter_map(|peer| peer.child.as_mut()) {
            let _ = child.wait();
        }
    }
}
