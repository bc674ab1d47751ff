//! The founding of the network: a key for each authority, and the genesis, as `meshwork genesis test` makes
//! them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use meshwork::{
    failure::{Done, Failure},
    keys,
    time::now_us,
};
use meshwork_core::{
    identity::SecretKey,
    types::{Access, Authority, BlockTime, ConsensusParameters, Genesis, LedgerLimits, ScheduleParameters},
};

use super::plan::{AUTHORITIES, Plan};

/// Heights between two state digests: few, so that many digests can be compared in a short time.
const SNAPSHOT_INTERVAL: u64 = 128;

/// A genesis and keys in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Founding {
    /// What all peers agree on.
    pub genesis: Genesis,
    /// The folder with `genesis.toml` and `NAME.key`.
    pub folder: PathBuf,
}

impl Founding {
    /// Makes keys and a genesis. `address` gives the address of each authority by its name.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn new(plan: &Plan, address: impl Fn(&str) -> String) -> Done<Self> {
        let folder = plan.scratch.join("network");
        fs::create_dir_all(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
        let mut authorities = Vec::new();
        for number in 1..=AUTHORITIES {
            let name = format!("authority-{number}");
            let key = keys::generate();
            keys::create(&folder.join(format!("{name}.key")), &key)?;
            authorities.push(authority(&name, &key, address(&name)));
        }
        let genesis = genesis(plan, authorities)?;
        let path = folder.join("genesis.toml");
        fs::write(&path, genesis.to_toml()).map_err(|error| Failure::file("write", &path, &error))?;
        Ok(Self { genesis, folder })
    }

    /// The path of the genesis.
    #[must_use]
    pub(crate) fn genesis_path(&self) -> PathBuf {
        self.folder.join("genesis.toml")
    }

    /// The path of a peer's key, if it was given one.
    #[must_use]
    pub(crate) fn key_path(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.join(format!("{name}.key"))).filter(|path| Path::exists(path))
    }
}

fn authority(name: &str, key: &SecretKey, address: String) -> Authority {
    Authority { name: name.to_owned(), key: key.public(), addresses: vec![address] }
}

/// The rules of a new network, except for how often states are digested and how long things are kept.
fn genesis(plan: &Plan, authorities: Vec<Authority>) -> Done<Genesis> {
    let consensus = ConsensusParameters { snapshot_interval: SNAPSHOT_INTERVAL, ..ConsensusParameters::default() };
    let mut ledger = LedgerLimits { retention_ms: plan.retention_ms, ..LedgerLimits::default() };
    if let Some(claim_stands_ms) = plan.claim_stands_ms {
        ledger.claim_stands_ms_max = claim_stands_ms;
    }
    let genesis = Genesis {
        name: plan.prefix.clone(),
        time: BlockTime(now_us()),
        authorities,
        access: Access::default(),
        consensus,
        ledger,
        schedule: ScheduleParameters::default(),
    };
    genesis.check().map_err(|error| Failure::failed(format!("These numbers make no network: {error}.")))?;
    Ok(genesis)
}
