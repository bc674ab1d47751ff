//! Opens the store and starts the replica from it. A damaged store is set aside. What is whole in it is taken over if a
//! replica can start from that; otherwise other peers have everything that was final.

use std::{
    fs,
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use meshwork_core::{
    replica::{self, Replica},
    types::Genesis,
};
use tracing::{error, info};

use super::{NodeError, at, journal_id, stored_in};
use crate::{
    config::NodeConfig,
    store::{self, Store, StoreError},
};

/// The store's file in the data directory.
pub(super) const STORE: &str = "store.redb";
/// The name of a damaged store. Only the last one is kept, for whoever wants to examine it.
const DAMAGED: &str = "store.damaged.redb";
/// The name of a store that is being made of a damaged one.
const NEW: &str = "store.new.redb";

/// Opens the store, and the replica as it was stored. `is_damaged` says that the store was found to be damaged since it
/// was opened last.
pub(super) fn open(
    config: &NodeConfig,
    genesis: &Arc<Genesis>,
    is_damaged: bool,
) -> Result<(Store, Replica), NodeError> {
    if is_damaged {
        return renew(config, genesis);
    }
    match open_as_it_is(config, genesis) {
        Err(damage) if is_damage(&damage) => {
            error!("{damage}");
            renew(config, genesis)
        }
        other => other,
    }
}

/// Sets the store aside, and opens one in its place.
fn renew(config: &NodeConfig, genesis: &Arc<Genesis>) -> Result<(Store, Replica), NodeError> {
    let [store, aside, new] = [STORE, DAMAGED, NEW].map(|name| config.data_dir.join(name));
    let remove = |file: &Path| match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(file)(error)),
        _ => Ok(()),
    };
    remove(&new)?;
    let salvaged = store::salvage(&store, &new, &checksum_key(config), &genesis.network_id());
    error!(aside = %aside.display(), "the store is set aside");
    fs::rename(&store, &aside).map_err(at(&store))?;
    let why = match salvaged {
        Ok(()) => {
            fs::rename(&new, &store).map_err(at(&new))?;
            match open_as_it_is(config, genesis) {
                Err(damage) if is_damage(&damage) => damage.to_string(),
                opened => {
                    info!("what is whole in it is taken over");
                    return opened;
                }
            }
        }
        Err(full) if full.is_full() => return Err(NodeError::DiskFull(config.data_dir.clone())),
        Err(error) => error.to_string(),
    };
    error!(why, "nothing can be taken over: everything is fetched from other peers anew");
    remove(&new)?;
    remove(&store)?;
    open_as_it_is(config, genesis)
}

/// The key of the checksums of the store's pages.
fn checksum_key(config: &NodeConfig) -> [u8; 32] {
    blake3::derive_key("meshwork 2026 the checksums of the store's pages", &config.key.to_seed())
}

fn is_damage(error: &NodeError) -> bool {
    match error {
        NodeError::Store(error) => error.is_damage(),
        NodeError::Recover(_) => true,
        _ => false,
    }
}

fn open_as_it_is(config: &NodeConfig, genesis: &Arc<Genesis>) -> Result<(Store, Replica), NodeError> {
    let data = &config.data_dir;
    let key = checksum_key(config);
    let open = || {
        let store =
            Store::open(&data.join(STORE), &key, &genesis.network_id(), config.keep).map_err(stored_in(data))?;
        let replica = start(config, genesis, &store);
        let replica = replica.map_err(|error| match store.damage().what() {
            Some(what) => NodeError::Store(StoreError::Unreadable(what.to_owned())),
            None => error,
        })?;
        Ok((store, replica))
    };
    // redb is given no page that was changed. Should it panic all the same, the store is of no use either.
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|panic| Err(unreadable(data, &*panic)))
}

fn start(config: &NodeConfig, genesis: &Arc<Genesis>, store: &Store) -> Result<Replica, NodeError> {
    let standing = journal_id::check(store, &config.journal_id_file)?;
    let recovered = store.recover(standing).map_err(stored_in(&config.data_dir))?;
    let replica = replica::Config { genesis: Arc::clone(genesis), key: config.key.clone() };
    Ok(Replica::new(replica, recovered)?)
}

fn unreadable(data: &Path, panic: &(dyn std::any::Any + Send)) -> NodeError {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    stored_in(data)(StoreError::Unreadable(words.unwrap_or("it could not be read").to_owned()))
}
