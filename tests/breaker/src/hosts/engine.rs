//! Hosts as containers of `docker/compose.yaml`, on any container engine that answers. A second compose file,
//! written here, adds what only a test needs: every API on the containers' network, two small disks, and wrong
//! clocks.

mod compose;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use meshwork::failure::{Done, Failure};
use serde::Deserialize;

use self::compose::{Additions, is_there};
use super::{
    Hosts, Member, Role,
    founding::Founding,
    nobody,
    plan::{self, Plan, SMALL_AUTHORITY, SMALL_WORKER},
    volume::{SmallDisk, bytes_below, empty},
};
use crate::system::{run, run_within};

/// The user that runs in the image.
const IMAGE_USER: u32 = 65532;

/// How long the compose tool may take. It waits until the authorities are healthy.
const COMPOSE_WITHIN: Duration = Duration::from_secs(240);

/// The tag of the other version of the image.
const NEXT: &str = "next";

/// The label that tells the version of an image.
const VERSION_LABEL: &str = "org.opencontainers.image.version";

/// A network of containers. Dropping it removes all of them.
pub(crate) struct Engine {
    plan: Plan,
    founding: Founding,
    additions: Additions,
    containers: BTreeMap<String, Container>,
    disks: BTreeMap<&'static str, SmallDisk>,
    /// The containers that were told to die.
    downed: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Container {
    id: String,
    service: String,
    role: Role,
    address: Option<Ipv4Addr>,
    pid: Option<u32>,
    restarts: u32,
    data: Option<PathBuf>,
    version: String,
}

/// Whether a container engine and its compose tool answer.
#[must_use]
pub(crate) fn answers() -> bool {
    crate::system::works("docker", &["info"]) && is_there()
}

/// Whether the engine has an image.
#[must_use]
pub(crate) fn has_image(tag: &str) -> bool {
    crate::system::works("docker", &["image", "inspect", "--format", "{{.Id}}", tag])
}

impl Engine {
    /// Starts everything.
    ///
    /// # Errors
    /// The engine refuses.
    pub(crate) fn start(plan: Plan) -> Done<Self> {
        let founding = Founding::new(&plan, |name| format!("/dns4/{name}/tcp/4001"))?;
        give_to_image_user(&founding.folder)?;
        let mut disks = BTreeMap::new();
        for name in [SMALL_AUTHORITY, SMALL_WORKER] {
            let folder = plan.scratch.join("disks").join(name);
            disks.insert(name, SmallDisk::mount(folder, plan.small_disk_bytes, IMAGE_USER)?);
        }
        let folder = |name: &str| disks.get(name).map(|disk: &SmallDisk| disk.folder().to_owned()).unwrap_or_default();
        let additions = Additions::new(&plan, &founding.folder, &folder(SMALL_AUTHORITY), &folder(SMALL_WORKER));
        let mut engine =
            Self { plan, founding, additions, containers: BTreeMap::new(), disks, downed: BTreeSet::new() };
        engine.compose(&["up", "-d", "--scale", &format!("worker={}", plan::WORKERS)])?;
        engine.look()?;
        Ok(engine)
    }

    fn compose(&self, arguments: &[&str]) -> Done<String> {
        self.additions.write()?;
        compose::run(&self.additions, COMPOSE_WITHIN, arguments)
    }

    fn container(&self, name: &str) -> Done<&Container> {
        self.containers.get(name).ok_or_else(|| nobody(name))
    }

    fn id(&self, name: &str) -> Done<String> {
        self.container(name).map(|container| container.id.clone())
    }

    fn next_image(&self) -> String {
        format!("{}:{NEXT}", self.plan.prefix)
    }

    /// Makes the other version: the same program under another label.
    fn make_next_image(&self) -> Done {
        let next = self.next_image();
        if has_image(&next) {
            return Ok(());
        }
        let recipe = format!("FROM {}\nLABEL {VERSION_LABEL}={NEXT}\n", self.plan.image);
        run_within(COMPOSE_WITHIN, "docker", &["build", "--tag", &next, "-"], &recipe).map(|_| ())
    }

    /// Replaces a worker whose container was removed by a new one.
    fn fill_up_workers(&mut self, service: &str) -> Done {
        let scale = format!("worker={}", plan::WORKERS);
        // Running containers stay as they are, even if the files differ by now.
        self.compose(&["up", "-d", "--no-deps", "--no-recreate", "--scale", &scale, service]).map(|_| ())
    }
}

impl Hosts for Engine {
    fn kind(&self) -> &'static str {
        "containers"
    }

    fn look(&mut self) -> Done<Vec<Member>> {
        let project = format!("label=com.docker.compose.project={}", self.plan.prefix);
        let ids = run("docker", &["ps", "--all", "--quiet", "--filter", &project])?;
        let mut arguments = vec!["inspect"];
        arguments.extend(ids.split_whitespace());
        let text = if arguments.len() == 1 { "[]".to_owned() } else { run("docker", &arguments)? };
        let inspected: Vec<Inspected> = serde_json::from_str(&text).map_err(|error| {
            Failure::failed(format!("The engine tells nothing sensible of its containers: {error}."))
        })?;
        self.containers = inspected.into_iter().filter_map(Inspected::peer).collect();
        let member = |(name, container): (&String, &Container)| Member {
            name: name.clone(),
            role: container.role,
            address: container.address,
            pid: container.pid,
            restarts: container.restarts,
        };
        Ok(self.containers.iter().map(member).collect())
    }

    fn start(&mut self, name: &str) -> Done {
        run("docker", &["start", &self.id(name)?])?;
        self.downed.remove(name);
        self.look().map(|_| ())
    }

    fn kill(&mut self, name: &str) -> Done {
        self.downed.insert(name.to_owned());
        run("docker", &["kill", "--signal", "KILL", &self.id(name)?])?;
        self.look().map(|_| ())
    }

    fn pause(&mut self, name: &str) -> Done {
        run("docker", &["pause", &self.id(name)?]).map(|_| ())
    }

    fn resume(&mut self, name: &str) -> Done {
        run("docker", &["unpause", &self.id(name)?]).map(|_| ())
    }

    fn stop(&mut self, name: &str) -> Done {
        self.downed.insert(name.to_owned());
        run("docker", &["stop", &self.id(name)?])?;
        self.look().map(|_| ())
    }

    fn replace(&mut self, name: &str) -> Done {
        let container = self.container(name)?.clone();
        run("docker", &["rm", "--force", "--volumes", &container.id])?;
        if let Some(disk) = self.disks.get(name) {
            empty(disk.folder())?;
        }
        self.fill_up_workers(&container.service)?;
        self.look().map(|_| ())
    }

    fn set_clock(&mut self, name: &str, offset: Option<&str>) -> Done {
        self.additions.set_clock(name, offset);
        self.compose(&["up", "-d", "--no-deps", name])?;
        self.look().map(|_| ())
    }

    fn limits_memory(&self) -> bool {
        true
    }

    fn set_memory(&mut self, name: &str, limit: Option<&str>) -> Done {
        self.additions.set_memory(name, limit);
        self.compose(&["up", "-d", "--no-deps", name])?;
        self.look().map(|_| ())
    }

    fn upgrade(&mut self, name: &str) -> Done {
        self.make_next_image()?;
        let container = self.container(name)?.clone();
        self.additions.set_image(&container.service, &self.next_image());
        if container.role == Role::Worker {
            // A worker keeps nothing that its network needs, so a new one takes its place once it has given
            // back its tasks.
            run("docker", &["stop", &container.id])?;
            run("docker", &["rm", "--volumes", &container.id])?;
            self.fill_up_workers(&container.service)?;
        } else {
            self.compose(&["up", "-d", "--no-deps", &container.service])?;
        }
        self.look().map(|_| ())
    }

    fn version(&self, name: &str) -> Done<String> {
        self.container(name).map(|container| container.version.clone())
    }

    fn small_disk(&self, name: &str) -> Option<&Path> {
        self.disks.get(name).map(SmallDisk::folder)
    }

    fn data(&self, name: &str) -> Option<PathBuf> {
        self.containers.get(name)?.data.clone()
    }

    fn disk_bytes(&self, name: &str) -> u64 {
        self.data(name).map_or(0, |data| bytes_below(&data))
    }

    fn log(&self, name: &str, lines: usize) -> String {
        let Ok(id) = self.id(name) else { return String::new() };
        // A peer logs to standard error, which the engine passes to its own.
        let command = format!("docker logs --tail {lines} {id} 2>&1");
        run("sh", &["-c", &command]).unwrap_or_default().trim_end().to_owned()
    }

    fn founding(&self) -> &Founding {
        &self.founding
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for name in self.containers.keys().filter(|name| !self.downed.contains(*name)) {
            // A paused container cannot be stopped.
            if let Ok(id) = self.id(name) {
                let _ = run("docker", &["unpause", &id]);
            }
        }
        if let Err(failure) = self.compose(&["down", "--volumes", "--remove-orphans", "--timeout", "1"]) {
            crate::report::say(&failure.sentence);
        }
        if has_image(&self.next_image()) {
            let _ = run("docker", &["rmi", &self.next_image()]);
        }
    }
}

/// Makes the keys readable for the image's user alone.
fn give_to_image_user(folder: &Path) -> Done {
    let cannot = |error: std::io::Error| Failure::file("hand over", folder, &error);
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        std::os::unix::fs::chown(&path, Some(IMAGE_USER), Some(IMAGE_USER)).map_err(cannot)?;
    }
    std::os::unix::fs::chown(folder, Some(IMAGE_USER), Some(IMAGE_USER)).map_err(cannot)
}

/// The parts of `docker inspect` that matter here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    state: State,
    #[serde(default)]
    restart_count: u32,
    config: Config,
    network_settings: Settings,
    #[serde(default)]
    mounts: Vec<Mount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    pid: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    networks: BTreeMap<String, Network>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    #[serde(rename = "IPAddress")]
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    destination: String,
    source: PathBuf,
}

impl Inspected {
    /// The container as a peer, by its name. Nothing if it is no peer.
    fn peer(self) -> Option<(String, Container)> {
        let label = |name: &str| self.config.labels.get(name).cloned();
        let service = label("com.docker.compose.service")?;
        let (name, role) = match service.as_str() {
            "init" => return None,
            "gateway" => (service.clone(), Role::Gateway),
            "worker" => (format!("worker-{}", label("com.docker.compose.container-number")?), Role::Worker),
            SMALL_WORKER => (service.clone(), Role::Worker),
            _ => (service.clone(), Role::Authority),
        };
        let address = self.network_settings.networks.values().find_map(|network| network.address.parse().ok());
        let data = self.mounts.into_iter().find(|mount| mount.destination == "/data").map(|mount| mount.source);
        let version = self.config.labels.get(VERSION_LABEL).cloned().unwrap_or_default();
        let pid = Some(self.state.pid).filter(|pid| *pid != 0);
        let container =
            Container { id: self.id, service, role, address, pid, restarts: self.restart_count, data, version };
        Some((name, container))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_a_peer_by_its_service_and_number() {
        let text = r#"[{"Id":"abc","State":{"Pid":7,"Running":true},"RestartCount":2,
            "Config":{"Labels":{"com.docker.compose.service":"worker","com.docker.compose.container-number":"3",
                "org.opencontainers.image.version":"0.1.0"}},
            "NetworkSettings":{"Networks":{"x":{"IPAddress":"172.18.0.5"}}},
            "Mounts":[{"Destination":"/data","Source":"/some/where"}]}]"#;
        let [inspected] = serde_json::from_str::<[Inspected; 1]>(text).expect("good");
        let (name, container) = inspected.peer().expect("a peer");
        assert_eq!((name.as_str(), container.role, container.pid), ("worker-3", Role::Worker, Some(7)));
        assert_eq!(container.address, Some(Ipv4Addr::new(172, 18, 0, 5)));
        assert_eq!((container.restarts, container.version.as_str()), (2, "0.1.0"));
    }
}
