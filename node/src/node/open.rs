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
use tracing::{error, info, warn};

use super::{NodeError, at, journal_id, stored_in, sync_folder_of};
use crate::{
    blobs,
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
/// was opened last, until there is another in its place.
pub(super) fn open(
    config: &NodeConfig,
    genesis: &Arc<Genesis>,
    is_damaged: &mut bool,
) -> Result<(Store, Replica), NodeError> {
    if !*is_damaged {
        match open_as_it_is(config, genesis) {
            Err(damage) if is_damage(&damage) => error!("{damage}"),
            other => return other,
        }
        *is_damaged = true;
    }
    let [store, new] = [STORE, NEW].map(|name| config.data_dir.join(name));
    remove(&new)?;
    let made = store::salvage(&store, &new, &checksum_key(config), &genesis.network_id(), &[blobs::DELIVERIES]);
    let mut why = replace(&config.data_dir, made)?;
    *is_damaged = false;
    if why.is_none() {
        match open_as_it_is(config, genesis) {
            Err(damage) if is_damage(&damage) => why = Some(damage.to_string()),
            opened => {
                info!("what is whole in it is taken over");
                return opened;
            }
        }
        remove(&store)?;
    }
    error!(why, "nothing can be taken over: everything is fetched from other peers anew");
    open_as_it_is(config, genesis)
}

/// Sets the store aside. The one that was made of it takes its place; if none could be made, nothing does, and what
/// comes back is the reason. A full disk or a crash leaves one of the two in place.
fn replace(data_dir: &Path, made: Result<(), StoreError>) -> Result<Option<String>, NodeError> {
    let [store, aside, new] = [STORE, DAMAGED, NEW].map(|name| data_dir.join(name));
    let why = match made {
        Ok(()) => {
            remove(&aside)?;
            // Not every file system has links. The copy is only for whoever wants to examine it.
            match fs::hard_link(&store, &aside) {
                Ok(()) => error!(aside = %aside.display(), "the store is set aside"),
                Err(error) => warn!(%error, "the damaged store cannot be set aside, and is lost"),
            }
            fs::rename(&new, &store).map_err(at(&new))?;
            None
        }
        Err(error) => {
            remove(&new)?;
            if error.is_full() {
                return Err(NodeError::DiskFull(data_dir.to_owned()));
            }
            fs::rename(&store, &aside).map_err(at(&store))?;
            error!(aside = %aside.display(), "the store is set aside");
            Some(error.to_string())
        }
    };
    sync_folder_of(&store).map_err(at(&store))?;
    Ok(why)
}

fn remove(file: &Path) -> Result<(), NodeError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(file)(error)),
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_becomes_of_a_damaged_store_no_good_one_is_lost() {
        let io = |kind: ErrorKind| StoreError::Redb(redb::Error::Io(kind.into()));
        let (damaged, older, good) = (Some("damaged"), Some("older"), Some("good"));
        let left = |made| {
            let dir = tempfile::tempdir().unwrap();
            let files = [STORE, DAMAGED, NEW].map(|name| dir.path().join(name));
            for (file, content) in files.iter().zip([damaged, older, good]) {
                fs::write(file, content.unwrap()).unwrap();
            }
            let replaced = replace(dir.path(), made);
            (replaced, files.map(|file| fs::read_to_string(file).ok()))
        };
        let is = |left: &[Option<String>; 3], expected: [Option<&str>; 3]| {
            left.each_ref().map(|file| file.as_deref()) == expected
        };
        let (replaced, files) = left(Ok(()));
        assert!(replaced.unwrap().is_none() && is(&files, [good, damaged, None]), "{files:?}");
        // There is no space for a new one, which is therefore only begun.
        let (replaced, files) = left(Err(io(ErrorKind::StorageFull)));
        assert!(matches!(replaced, Err(NodeError::DiskFull(_))) && is(&files, [damaged, older, None]), "{files:?}");
        let (replaced, files) = left(Err(StoreError::Missing("the newest block")));
        assert!(replaced.unwrap().is_some() && is(&files, [None, damaged, None]), "{files:?}");
    }
}
