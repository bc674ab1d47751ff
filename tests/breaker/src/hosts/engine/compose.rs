//! The compose tool, and the compose file that is added to the project's own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use meshwork::failure::{Done, Failure};
use serde_json::{Map, Value, json};

use crate::{
    hosts::{
        API_PORT, CLOCK_OFFSET, KEEP, Role,
        plan::{AUTHORITIES, MEMORY_MIB, Plan, SLOTS, SMALL_AUTHORITY, SMALL_WORKER},
    },
    system::{run_within, works},
};

/// The project's own file.
fn compose_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker/compose.yaml")
}

/// Whether a compose tool of either kind is installed.
pub(super) fn is_there() -> bool {
    works("docker-compose", &["version"]) || works("docker", &["compose", "version"])
}

/// Runs the compose tool on the project's file and the additions.
pub(super) fn run(additions: &Additions, within: Duration, arguments: &[&str]) -> Done<String> {
    let (own, added) = (compose_file().display().to_string(), additions.path.display().to_string());
    // Any free port: the usual one may belong to an operator's own network.
    let mut all = vec!["MESHWORK_PORT=0"];
    if works("docker-compose", &["version"]) {
        all.push("docker-compose");
    } else {
        all.extend(["docker", "compose"]);
    }
    all.extend(["--project-name", &additions.project, "--file", &own, "--file", &added]);
    all.extend(arguments);
    run_within(within, "env", &all, "")
}

/// The additions to the project's compose file. They are written as JSON, which is also YAML.
#[derive(Clone, Debug)]
pub(super) struct Additions {
    project: String,
    path: PathBuf,
    network: PathBuf,
    small_authority: PathBuf,
    small_worker: PathBuf,
    image: String,
    log: String,
    images: BTreeMap<String, String>,
    clocks: BTreeMap<String, String>,
    memories: BTreeMap<String, String>,
}

impl Additions {
    /// No wrong clock, and one image for all.
    pub(super) fn new(plan: &Plan, network: &Path, small_authority: &Path, small_worker: &Path) -> Self {
        Self {
            project: plan.prefix.clone(),
            path: plan.scratch.join("additions.json"),
            network: network.to_owned(),
            small_authority: small_authority.to_owned(),
            small_worker: small_worker.to_owned(),
            image: plan.image.clone(),
            log: plan.log.clone(),
            images: BTreeMap::new(),
            clocks: BTreeMap::new(),
            memories: BTreeMap::new(),
        }
    }

    /// Sets a service's clock wrong, or right again.
    pub(super) fn set_clock(&mut self, service: &str, offset: Option<&str>) {
        set(&mut self.clocks, service, offset);
    }

    /// Limits how much memory a service may have, or restores the limit of the project's file.
    pub(super) fn set_memory(&mut self, service: &str, limit: Option<&str>) {
        set(&mut self.memories, service, limit);
    }

    /// Makes a service run another image.
    pub(super) fn set_image(&mut self, service: &str, image: &str) {
        self.images.insert(service.to_owned(), image.to_owned());
    }

    /// Writes the file.
    pub(super) fn write(&self) -> Done {
        let text = serde_json::to_vec_pretty(&self.file())
            .map_err(|error| Failure::failed(format!("The compose file could not be written down: {error}.")))?;
        fs::write(&self.path, text).map_err(|error| Failure::file("write", &self.path, &error))
    }

    fn file(&self) -> Value {
        let bound =
            |folder: &Path| json!({"driver": "local", "driver_opts": {"type": "none", "o": "bind", "device": folder}});
        let mut services = Map::new();
        services.insert("init".into(), json!({"image": self.image}));
        let authorities = (1..=AUTHORITIES).map(|number| (format!("authority-{number}"), Role::Authority));
        for (name, role) in authorities.chain([("gateway".into(), Role::Gateway)]) {
            services.insert(name.clone(), self.service(&name, role));
        }
        let mut worker = self.service("worker", Role::Worker);
        worker["command"] = work_command();
        services.insert("worker".into(), worker);
        services.insert(SMALL_WORKER.into(), self.small_worker());
        json!({
            "services": services,
            "volumes": {
                "network": bound(&self.network),
                (SMALL_AUTHORITY): bound(&self.small_authority),
                (SMALL_WORKER): bound(&self.small_worker),
            }
        })
    }

    fn service(&self, name: &str, role: Role) -> Value {
        let mut environment = Map::new();
        environment.insert("MESHWORK_API".into(), format!("0.0.0.0:{API_PORT}").into());
        environment.insert("MESHWORK_LOG".into(), self.log.as_str().into());
        environment.insert(KEEP.into(), role.keeps().into());
        if let Some(offset) = self.clocks.get(name) {
            environment.insert(CLOCK_OFFSET.into(), offset.as_str().into());
        }
        let mut service = json!({"image": self.images.get(name).unwrap_or(&self.image), "environment": environment});
        if let Some(limit) = self.memories.get(name) {
            service["mem_limit"] = limit.as_str().into();
            service["memswap_limit"] = limit.as_str().into();
        }
        service
    }

    /// A worker as in the project's file, but on a disk that can be filled.
    fn small_worker(&self) -> Value {
        let mut worker = self.service(SMALL_WORKER, Role::Worker);
        let healthy: Map<String, Value> = (1..=AUTHORITIES)
            .map(|number| (format!("authority-{number}"), json!({"condition": "service_healthy"})))
            .collect();
        let as_the_others = json!({
            "read_only": true,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "restart": "unless-stopped",
            "stop_grace_period": "30s",
            "cpus": 1.0,
            "depends_on": healthy,
            "volumes": ["network:/network:ro", format!("{SMALL_WORKER}:/data")],
            "command": work_command(),
        });
        if let (Value::Object(worker), Value::Object(more)) = (&mut worker, as_the_others) {
            worker.extend(more);
            worker.entry("mem_limit").or_insert_with(|| "512m".into());
        }
        worker
    }
}

fn set(settings: &mut BTreeMap<String, String>, service: &str, value: Option<&str>) {
    match value {
        Some(value) => settings.insert(service.to_owned(), value.to_owned()),
        None => settings.remove(service),
    };
}

fn work_command() -> Value {
    json!([
        "--genesis=/network/genesis.toml",
        "up",
        "--make-key",
        "--no-mdns",
        format!("--slots={SLOTS}"),
        format!("--memory={MEMORY_MIB}MiB"),
        "--disk=1GiB"
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_another_image_and_less_memory_are_the_services_own() {
        let plan = Plan {
            prefix: "p".into(),
            scratch: "/s".into(),
            program: "/m".into(),
            image: "meshwork".into(),
            log: "info".into(),
            small_disk_bytes: 1,
            retention_ms: 1,
            claim_stands_ms: None,
        };
        let folder = Path::new("/s/x");
        let mut additions = Additions::new(&plan, folder, folder, folder);
        additions.set_clock("authority-2", Some("+10s"));
        additions.set_image("gateway", "p:next");
        let file = additions.file();
        let services = &file["services"];
        assert_eq!(services["authority-2"]["environment"][CLOCK_OFFSET], "+10s");
        assert_eq!(services["authority-3"]["environment"].get(CLOCK_OFFSET), None);
        assert_eq!(
            (&services["gateway"]["image"], &services["worker"]["image"]),
            (&json!("p:next"), &json!("meshwork"))
        );
        additions.set_memory(SMALL_WORKER, Some("16m"));
        let file = additions.file();
        let limit = |service: &str| file["services"][service].get("mem_limit").cloned();
        assert_eq!((limit(SMALL_WORKER), limit("gateway")), (Some(json!("16m")), None));
        additions.set_memory(SMALL_WORKER, None);
        assert_eq!(additions.file()["services"][SMALL_WORKER]["mem_limit"], "512m");
        additions.set_clock("authority-2", None);
        assert_eq!(additions.file()["services"]["authority-2"]["environment"].get(CLOCK_OFFSET), None);
    }
}
