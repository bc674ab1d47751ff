//! Opens the store and starts the replica from it. A damaged store is set aside, because other peers have everything
//! that was final.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use meshwork_core::{
    replica::{self, Replica},
    types::Genesis,
};
use tracing::error;

use super::{NodeError, at, journal_id, stored_in};
use crate::{
    config::NodeConfig,
    store::{Store, StoreError},
};

/// The store's file in the data directory.
const STORE: &str = "store.redb";
/// The name of a damaged store. Only the last one is kept, for whoever wants to examine it.
const DAMAGED: &str = "store.damaged.redb";

/// Opens the store, and the replica as it was stored.
pub(super) fn open(config: &NodeConfig, genesis: &Arc<Genesis>) -> Result<(Store, Replica), NodeError> {
    let damage = match open_as_it_is(config, genesis) {
        Err(damage) if is_damage(&damage) => damage,
        other => return other,
    };
    let (store, aside) = (config.data_dir.join(STORE), config.data_dir.join(DAMAGED));
    error!(%damage, aside = %aside.display(), "the store is set aside, and everything is fetched from other peers anew");
    fs::rename(&store, &aside).map_err(at(&store))?;
    open_as_it_is(config, genesis)
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
    let open = || {
        let store = Store::open(&data.join(STORE), &genesis.network_id(), config.keep).map_err(stored_in(data))?;
        let standing = journal_id::check(&store, &config.journal_id_file)?;
        let recovered = store.recover(standing).map_err(stored_in(data))?;
        let replica = replica::Config { genesis: Arc::clone(genesis), key: config.key.clone() };
        Ok((store, Replica::new(replica, recovered)?))
    };
    // redb trusts its own pages, and panics where they contradict each other.
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|panic| Err(unreadable(data, &*panic)))
}

fn unreadable(data: &Path, panic: &(dyn std::any::Any + Send)) -> NodeError {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    stored_in(data)(StoreError::Unreadable(words.unwrap_or("it could not be read").to_owned()))
}
