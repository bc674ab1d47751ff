//! Settings: where files and the node are. Flags override the environment, which overrides the configuration file.
//!
//! Without `--home`, the configuration and the key are in the platform's directory for configuration, and the store
//! in its directory for data. With `--home DIR`, everything is below that one directory, so that several peers can
//! live on one machine.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use meshwork_api::NodeFile;
use meshwork_core::{
    identity::{NetworkId, SecretKey},
    types::Genesis,
};
use serde::Deserialize;

use crate::{
    client::Client,
    failure::{Done, Failure},
    keys,
};

/// Options that every command takes.
#[derive(Args, Clone, Debug, Default)]
pub struct GlobalOptions {
    /// Directory for everything of this peer: key, configuration and store
    #[arg(long, value_name = "DIR", env = "MESHWORK_HOME", global = true, help_heading = "Global options")]
    pub home: Option<PathBuf>,
    /// Where the node's HTTP API is: `up` listens there, the others talk to it. Found by itself for a node with the
    /// same home
    #[arg(long, value_name = "ADDRESS", env = "MESHWORK_API", global = true, help_heading = "Global options")]
    pub api: Option<String>,
    /// Key file
    #[arg(long, value_name = "FILE", env = "MESHWORK_KEY", global = true, help_heading = "Global options")]
    pub key: Option<PathBuf>,
    /// Genesis file of the network
    #[arg(long, value_name = "FILE", env = "MESHWORK_GENESIS", global = true, help_heading = "Global options")]
    pub genesis: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// What to log on standard error, such as `info,meshwork_node=debug`. RUST_LOG does the same
    #[arg(long, value_name = "FILTER", env = "MESHWORK_LOG", global = true, help_heading = "Global options")]
    pub log: Option<String>,
    /// Log as JSON lines
    #[arg(long, env = "MESHWORK_LOG_JSON", global = true, help_heading = "Global options")]
    pub log_json: bool,
}

/// The configuration file, `config.toml`. Paths in it are relative to it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    api: Option<String>,
    key: Option<PathBuf>,
    genesis: Option<PathBuf>,
    network: Option<NetworkId>,
    log: Option<String>,
    /// Settings of `up`.
    pub up: UpConfig,
}

/// The `[up]` table: settings of `meshwork up` that no flag overrides.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpConfig {
    /// Multiaddresses to listen on.
    pub listen: Vec<String>,
    /// Multiaddresses of peers to connect to first.
    pub peers: Vec<String>,
    /// Whether to look for peers on the local network.
    pub mdns: Option<bool>,
    /// Whether to run tasks.
    pub work: Option<bool>,
    /// How many tasks may run at once.
    pub slots: Option<u32>,
    /// Thousandths of a core that all tasks together may use.
    pub millicores: Option<u32>,
    /// Memory that all tasks together may use.
    pub memory: Option<ByteSize>,
    /// Whether to run no tasks if this machine lacks a means to confine them.
    pub require_confinement: Option<bool>,
    /// Disk space for the ledger, programs, inputs and outputs.
    pub disk: Option<ByteSize>,
    /// File of the journal's id. Default: beside the key.
    pub journal_id: Option<PathBuf>,
    /// Address that serves only the metrics.
    pub metrics: Option<SocketAddr>,
    /// How much of the past to keep.
    pub keep: Option<Keep>,
    /// Labels that tasks may require.
    pub labels: BTreeMap<String, String>,
}

/// How much of the past a peer keeps.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Every block since the first
    Archive,
    /// Every receipt, so that any result can be proven, and recent blocks
    Full,
    /// Only what the peer needs to take part, and to prove results of jobs that the ledger still knows
    Pruned,
}

impl From<Keep> for meshwork_api::Keep {
    fn from(keep: Keep) -> Self {
        match keep {
            Keep::Archive => Self::Archive,
            Keep::Full => Self::Full,
            Keep::Pruned => Self::Pruned,
        }
    }
}

/// The options, the environment and the configuration file together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The command line's options and the environment's.
    pub options: GlobalOptions,
    /// The configuration file's content.
    pub file: ConfigFile,
    /// The directory of the configuration, the key and the genesis.
    pub config_dir: PathBuf,
    /// The directory of the store.
    pub data_dir: PathBuf,
}

impl Settings {
    /// Reads the configuration file, if there is one.
    ///
    /// # Errors
    /// The file is invalid, or the platform has no such directories.
    pub fn load(options: GlobalOptions) -> Done<Self> {
        let (config_dir, data_dir) = match &options.home {
            Some(home) => (home.clone(), home.join("data")),
            None => {
                let directories = directories::ProjectDirs::from("", "", "meshwork").ok_or_else(|| {
                    Failure::usage("This user has no home directory to keep things in; say where with --home DIR.")
                })?;
                (directories.config_dir().to_owned(), directories.data_local_dir().to_owned())
            }
        };
        let path = config_dir.join("config.toml");
        let file = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| {
                let error = error.to_string();
                let error = error.trim_end();
                Failure::usage(format!("The configuration {} is not as it should be: {error}", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => ConfigFile::default(),
            Err(error) => return Err(Failure::given_file(&path, &error)),
        };
        Ok(Self { options, file, config_dir, data_dir })
    }

    /// The log filter, if one is set.
    pub fn log(&self) -> Option<String> {
        self.options.log.clone().or_else(|| std::env::var("RUST_LOG").ok()).or_else(|| self.file.log.clone())
    }

    /// The path of the key file.
    pub fn key_path(&self) -> PathBuf {
        let from_file = || self.file.key.as_ref().map(|path| self.config_dir.join(path));
        self.options.key.clone().or_else(from_file).unwrap_or_else(|| self.config_dir.join("key"))
    }

    /// The key.
    ///
    /// # Errors
    /// See [`keys::read`].
    pub fn key(&self) -> Done<SecretKey> {
        Ok(keys::read(&self.key_path())?)
    }

    /// The API's address, if one is set.
    pub fn api(&self) -> Option<&str> {
        self.options.api.as_deref().or(self.file.api.as_deref())
    }

    /// A client for the node: at the address that is set, or that a node with the same home wrote down.
    ///
    /// # Errors
    /// No address is known.
    pub fn client(&self) -> Done<Client> {
        if let Some(api) = self.api() {
            return Client::new(api);
        }
        let path = self.data_dir.join(NodeFile::NAME);
        let Ok(text) = fs::read_to_string(&path) else {
            let sentence = format!(
                "No node is known: there is no {}; start one with `meshwork up`, or say where one is with --api.",
                path.display()
            );
            return Err(Failure { exit: crate::failure::Exit::Unreachable, sentence });
        };
        let node: NodeFile = serde_json::from_str(&text).map_err(|error| {
            Failure::failed(format!("{} cannot be read: {error}; restart the node that wrote it.", path.display()))
        })?;
        Client::new(&node.api.to_string())
    }

    /// The path of the genesis file, if there is one.
    pub fn genesis_path(&self) -> Option<PathBuf> {
        let from_file = || self.file.genesis.as_ref().map(|path| self.config_dir.join(path));
        let beside_config = || Some(self.config_dir.join("genesis.toml")).filter(|path| path.exists());
        self.options.genesis.clone().or_else(from_file).or_else(beside_config)
    }

    /// The genesis on this machine, if there is one. If the configuration names a network, it must be that one's.
    ///
    /// # Errors
    /// The file is missing, invalid, or of another network.
    pub fn genesis(&self) -> Done<Option<Genesis>> {
        let Some(path) = self.genesis_path() else { return Ok(None) };
        let genesis = read_genesis(&path)?;
        match self.file.network {
            Some(network) if network != genesis.network_id() => Err(Failure::usage(format!(
                "The genesis {} is of network {}, but the configuration names network {network}; use the genesis of that \
                 network, or change `network` in the configuration.",
                path.display(),
                genesis.network_id()
            ))),
            _ => Ok(Some(genesis)),
        }
    }

    /// The genesis that proofs are checked against, and who vouches for it. It comes from this machine or, failing
    /// that, from the node.
    ///
    /// # Errors
    /// There is no genesis, or it is not of the network that the configuration names.
    pub async fn genesis_or_ask(&self, client: &Client) -> Done<(Genesis, Trust)> {
        if let Some(genesis) = self.genesis()? {
            return Ok((genesis, Trust::Own));
        }
        let text = client.genesis().await?;
        let genesis = Genesis::from_toml(&text)
            .map_err(|error| Failure::failed(format!("The node's genesis is not one: {error}; ask another node.")))?;
        match self.file.network {
            None => Ok((genesis, Trust::Node)),
            Some(network) if network == genesis.network_id() => Ok((genesis, Trust::Own)),
            Some(network) => Err(Failure::proof(format!(
                "The node is of network {}, but the configuration names network {network}; ask a node of that network.",
                genesis.network_id()
            ))),
        }
    }
}

/// Who vouches for a genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A file on this machine, or the network's id in its configuration.
    Own,
    /// Only the node that was asked.
    Node,
}

/// Reads a genesis file.
///
/// # Errors
/// The file is missing or invalid; the sentence names the line.
pub fn read_genesis(path: &Path) -> Done<Genesis> {
    let text = fs::read_to_string(path).map_err(|error| Failure::given_file(path, &error))?;
    Genesis::from_toml(&text).map_err(|error| {
        let error = error.to_string();
        Failure::usage(format!("The genesis {} is refused: {}", path.display(), error.trim_end()))
    })
}

/// Parses the address and port on which the API listens.
///
/// # Errors
/// The text is not one.
pub fn parse_api(text: &str) -> Done<SocketAddr> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/').replace("localhost", "127.0.0.1");
    bare.parse().map_err(|_| {
        Failure::usage(format!("{text:?} is not where an API can listen; write an address and a port: 127.0.0.1:7420."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: &str) -> (tempfile::TempDir, Done<Settings>) {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join("config.toml"), config).expect("written");
        let options = GlobalOptions { home: Some(home.path().to_owned()), ..GlobalOptions::default() };
        let settings = Settings::load(options);
        (home, settings)
    }

    #[test]
    fn flags_go_over_the_file() {
        let (_home, settings) = settings("api = '127.0.0.1:1'\nkey = 'k'\n[up]\nslots = 3\nmemory = '2GiB'\n");
        let mut settings = settings.expect("good");
        assert_eq!(settings.api(), Some("127.0.0.1:1"));
        assert_eq!(settings.key_path(), settings.config_dir.join("k"));
        assert_eq!((settings.file.up.slots, settings.file.up.memory), (Some(3), Some(ByteSize::gib(2))));
        settings.options.api = Some("127.0.0.1:2".into());
        settings.options.key = Some("/elsewhere".into());
        assert_eq!(settings.api(), Some("127.0.0.1:2"));
        assert_eq!(settings.key_path(), Path::new("/elsewhere"));
    }

    #[test]
    fn the_packages_file_says_nothing_wrong_even_where_its_lines_are_taken_in() {
        let packaged = include_str!("../../packaging/debian/config.toml");
        let (_home, as_shipped) = settings(packaged);
        assert_eq!(as_shipped.expect("good").api(), Some("127.0.0.1:7420"));
        let taken_in = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
            _ => line.to_owned(),
        };
        let lines: Vec<String> = packaged.lines().map(taken_in).collect();
        let (_home, whole) = settings(&lines.join("\n"));
        let up = whole.expect("good").file.up;
        assert!(checked(&up.listen) && checked(&up.peers) && up.work.is_some() && up.mdns.is_some());
        assert!(up.slots.is_some() && up.millicores.is_some() && up.memory.is_some() && up.disk.is_some());
        assert_eq!(up.labels.len(), 1);
    }

    fn checked(addresses: &[String]) -> bool {
        !addresses.is_empty() && addresses.iter().all(|text| text.parse::<crate::addresses::Address>().is_ok())
    }

    #[test]
    fn an_unknown_field_of_the_file_is_named() {
        let (_home, settings) = settings("[up]\nslotz = 3\n");
        let failure = settings.expect_err("unknown");
        assert!(failure.sentence.contains("slotz") && failure.sentence.contains("line 2"), "{failure}");
    }

    #[test]
    fn without_a_node_file_the_next_step_is_named() {
        let (_home, settings) = settings("");
        let failure = settings.expect("good").client().expect_err("no node");
        assert_eq!(failure.exit, crate::failure::Exit::Unreachable);
        assert!(failure.sentence.contains("meshwork up"), "{failure}");
    }

    #[test]
    fn api_addresses_are_read_as_people_write_them() {
        for text in ["127.0.0.1:80", "http://127.0.0.1:80", "http://localhost:80/"] {
            assert_eq!(parse_api(text).expect(text).to_string(), "127.0.0.1:80");
        }
        assert!(parse_api("somewhere").is_err());
    }
}
