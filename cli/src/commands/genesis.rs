//! `meshwork genesis`: what a network's peers must agree on before they connect.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Args, Subcommand, ValueEnum};
use meshwork_core::{
    identity::PublicKey,
    types::{
        Access, Authority, BlockTime, ConsensusParameters, Genesis, LedgerLimits, OrderPolicy, PlacementPolicy,
        ScheduleParameters,
    },
};

use crate::{
    addresses::Address,
    context::Context,
    failure::{Done, Failure},
    keys,
    time::now_us,
};

/// The subcommands of `genesis`.
#[derive(Subcommand, Debug)]
pub enum GenesisCommand {
    /// Write the genesis of a new network as TOML.
    ///
    /// Times and bounds in it can be edited before the first peer starts.
    New(New),
    /// Create a key for each authority of a test network, and its genesis.
    ///
    /// Keys and a genesis that exist already are kept.
    Test(Test),
    /// Print the genesis of the network that the node follows.
    ///
    /// Proofs are checked against the genesis, so get its id from somebody you trust.
    Show,
}

/// A new network whose authorities' keys are created here too.
#[derive(Args, Debug)]
pub struct Test {
    /// Name of the network
    name: String,
    /// An authority: its name, and the addresses at which others reach it. Repeat for each authority
    #[arg(long = "authority", value_name = "NAME@MULTIADDR[,MULTIADDR]", required = true)]
    authorities: Vec<TestAuthority>,
    /// Directory for the keys (DIR/NAME.key) and the genesis (DIR/genesis.toml). Whoever can read it can vote as any
    /// of the authorities
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// An authority that has no key yet.
#[derive(Clone, Debug)]
struct TestAuthority {
    name: String,
    addresses: Vec<String>,
}

impl FromStr for TestAuthority {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let is_file_name = |name: &&str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '=']);
        let (name, addresses) = text.split_once('@').ok_or("write NAME@MULTIADDR[,MULTIADDR]")?;
        let name = Some(name).filter(is_file_name).ok_or("a name is one that a file can have")?;
        Ok(Self { name: name.into(), addresses: checked_addresses(addresses)? })
    }
}

/// A new network.
#[derive(Args, Debug)]
pub struct New {
    /// Name of the network
    name: String,
    /// An authority: its name, the public key that `meshwork init` printed, and the addresses at which others reach
    /// it. Repeat for each authority, in the order in which they lead
    #[arg(long = "authority", value_name = "NAME=KEY[@MULTIADDR[,MULTIADDR]]", required = true)]
    authorities: Vec<NewAuthority>,
    /// Write to FILE, which must not exist, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Policies that order ready tasks; each one breaks the ties that those before it leave
    #[arg(long, value_enum, value_delimiter = ',', default_value = "priority")]
    order: Vec<Order>,
    /// Policies that choose a task's worker; each one breaks the ties that those before it leave
    #[arg(long, value_enum, value_delimiter = ',', default_value = "locality,least-loaded")]
    placement: Vec<Placement>,
    /// Allow only this key to work. Repeat for each key. Default: everyone may work
    #[arg(long = "permit-worker", value_name = "KEY")]
    workers: Vec<PublicKey>,
    /// Allow only this key to submit. Repeat for each key. Default: everyone may submit
    #[arg(long = "permit-submitter", value_name = "KEY")]
    submitters: Vec<PublicKey>,
}

/// A policy that orders ready tasks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Order {
    /// Order of admission
    Fifo,
    /// Larger priority first; waiting raises it
    Priority,
    /// Earliest deadline first
    Deadline,
    /// Shortest expected duration first
    Shortest,
    /// Time slices that share the workers among submitters
    Fair,
}

impl From<Order> for OrderPolicy {
    fn from(order: Order) -> Self {
        match order {
            Order::Fifo => Self::Fifo,
            Order::Priority => Self::Priority,
            Order::Deadline => Self::Deadline,
            Order::Shortest => Self::Shortest,
            Order::Fair => Self::Fair,
        }
    }
}

/// A policy that chooses a task's worker.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Placement {
    /// The worker with the smallest load
    LeastLoaded,
    /// Each worker in turn
    RoundRobin,
    /// A random worker
    Random,
    /// The worker with the fewest free slots
    Pack,
    /// A worker that holds the task's largest input
    Locality,
}

impl From<Placement> for PlacementPolicy {
    fn from(placement: Placement) -> Self {
        match placement {
            Placement::LeastLoaded => Self::LeastLoaded,
            Placement::RoundRobin => Self::RoundRobin,
            Placement::Random => Self::Random,
            Placement::Pack => Self::Pack,
            Placement::Locality => Self::Locality,
        }
    }
}

/// An authority, as written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewAuthority(pub(super) Authority);

impl FromStr for NewAuthority {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or("write NAME=KEY[@MULTIADDR[,MULTIADDR]]")?;
        let (key, addresses) = match rest.split_once('@') {
            Some((key, addresses)) => (key, checked_addresses(addresses)?),
            None => (rest, Vec::new()),
        };
        let key: PublicKey = key.parse().map_err(|error| format!("the key of {name}: {error}"))?;
        check_peers(name, &key, &addresses)?;
        Ok(Self(Authority { name: name.into(), key, addresses }))
    }
}

/// Checks that no address ends in the id of another peer: nobody could reach the authority there.
fn check_peers(name: &str, key: &PublicKey, addresses: &[String]) -> Result<(), String> {
    let Some(own) = meshwork_node::mesh::peer_id(key).map(|peer| peer.to_string()) else { return Ok(()) };
    let other = addresses.iter().find(|address| address.split_once("/p2p/").is_some_and(|(_, peer)| peer != own));
    other.map_or(Ok(()), |address| {
        Err(format!("the address {address} of {name} ends in another peer's id; its own is {own}"))
    })
}

fn checked_addresses(texts: &str) -> Result<Vec<String>, String> {
    let check = |address: &str| match address.parse::<Address>() {
        Ok(address) => Ok(address.to_string()),
        Err(error) => Err(error.to_string()),
    };
    texts.split(',').map(check).collect()
}

/// Runs the command.
///
/// # Errors
/// The genesis breaks a rule, a file cannot be written, or the node does not answer.
pub async fn run(context: &Context, command: GenesisCommand) -> Done {
    match command {
        GenesisCommand::New(new) => {
            let out = new.out.clone();
            write(context, &found(new), out)
        }
        GenesisCommand::Show => {
            let text = context.settings.client()?.genesis().await?;
            context.output.bytes(text.as_bytes())
        }
        GenesisCommand::Test(test) => {
            let path = test.dir.join("genesis.toml");
            if path.exists() {
                context
                    .output
                    .note(&format!("There is a network in {} already; it stays as it is.", test.dir.display()));
                return Ok(());
            }
            let genesis = found(New {
                name: test.name,
                authorities: with_keys(test.authorities, &test.dir)?,
                out: None,
                order: vec![Order::Priority],
                placement: vec![Placement::Locality, Placement::LeastLoaded],
                workers: Vec::new(),
                submitters: Vec::new(),
            });
            write(context, &genesis, Some(path))
        }
    }
}

/// Gives each authority its existing key, or creates one.
fn with_keys(authorities: Vec<TestAuthority>, dir: &Path) -> Done<Vec<NewAuthority>> {
    let with_key = |TestAuthority { name, addresses }| {
        let path = dir.join(format!("{name}.key"));
        if !path.exists() {
            keys::create(&path, &keys::generate())?;
        }
        let key = keys::read(&path)?.public();
        Ok(NewAuthority(Authority { name, key, addresses }))
    };
    authorities.into_iter().map(with_key).collect()
}

/// Writes a genesis, after checking that every peer will accept it.
fn write(context: &Context, genesis: &Genesis, out: Option<PathBuf>) -> Done {
    let text = genesis.to_toml();
    // Reading it back finds duplicate and unusable keys, as every peer does.
    let checked = Genesis::from_toml(&text)
        .map_err(|error| Failure::usage(format!("This cannot be a network: {}.", error.to_string().trim_end())))?;
    let Some(path) = out else { return context.output.bytes(text.as_bytes()) };
    let mut options = std::fs::OpenOptions::new();
    let written = options.write(true).create_new(true).open(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| Failure::file("create", &path, &error))?;
    context.output.note(&format!("The genesis is in {}; give it to every peer. The network's id is", path.display()));
    context.output.value("network", &checked.network_id().to_string())
}

fn found(new: New) -> Genesis {
    let permitted =
        |keys: Vec<PublicKey>| Some(keys.into_iter().collect::<BTreeSet<_>>()).filter(|keys| !keys.is_empty());
    Genesis {
        name: new.name,
        time: BlockTime(now_us()),
        authorities: new.authorities.into_iter().map(|authority| authority.0).collect(),
        access: Access { workers: permitted(new.workers), submitters: permitted(new.submitters), ..Access::default() },
        consensus: ConsensusParameters::default(),
        ledger: LedgerLimits::default(),
        schedule: ScheduleParameters {
            order: new.order.into_iter().map(Into::into).collect(),
            placement: new.placement.into_iter().map(Into::into).collect(),
            ..ScheduleParameters::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_name_a_key_and_addresses() {
        let key = crate::keys::generate().public();
        let bare: NewAuthority = format!("a={key}").parse().expect("good");
        assert_eq!(bare.0, Authority { name: "a".into(), key, addresses: vec![] });
        let text = format!("a={key}@/ip4/127.0.0.1/tcp/1,/dns4/x/udp/2/quic-v1");
        let placed: NewAuthority = text.parse().expect("good");
        assert_eq!(placed.0.addresses, ["/ip4/127.0.0.1/tcp/1", "/dns4/x/udp/2/quic-v1"]);
    }

    #[test]
    fn slips_are_named() {
        let key = crate::keys::generate().public();
        let error = |text: &str| text.parse::<NewAuthority>().expect_err(text);
        assert!(error("a").contains("NAME=KEY"));
        assert!(error("a=12").contains("64 hexadecimal digits"));
        assert!(error(&format!("a={key}@127.0.0.1:1")).contains("127.0.0.1:1"));
        assert!(error(&format!("={key}")).contains("NAME=KEY"));
        let other = meshwork_node::mesh::peer_id(&crate::keys::generate().public()).expect("a key");
        let astray = error(&format!("a={key}@/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2/p2p/{other}"));
        assert!(astray.contains("another peer's id") && astray.contains("tcp/2"), "{astray}");
        let own = meshwork_node::mesh::peer_id(&key).expect("a key");
        assert!(format!("a={key}@/ip4/127.0.0.1/tcp/1/p2p/{own}").parse::<NewAuthority>().is_ok());
    }
}
