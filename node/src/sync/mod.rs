//! Catches up from far behind: fetches the newest certified snapshot in chunks from several peers at once, then
//! blocks.
//!
//! A peer that is not far behind catches up by blocks alone, which the replica asks for itself. Nothing here is
//! believed because of who says it. An offer is checked against the genesis, each chunk against the offer, and each
//! block against its header.

mod fetch;
mod serve;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use meshwork_api::Keep;
use meshwork_core::types::{Genesis, Height};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    driver::{Handle, Stopped},
    mesh::MeshHandle,
    metrics::Metrics,
};

/// This exchange's word in protocol names.
const KIND: &str = "snapshot";
/// How often to check whether this peer is behind.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before asking again, after no peer had anything better than blocks.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How long an archive may stay at one height before it says so.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(15);

/// Logs that an archive which lacks blocks has stayed at one height for long. `stood` holds that height, and since
/// when.
fn watch_archive(executed: Height, stood: &mut Option<(Height, Instant)>) {
    match stood {
        Some((height, since)) if *height == executed => {
            if since.elapsed() >= ARCHIVE_PATIENCE {
                warn!(
                    %executed,
                    "this archive needs every block, and nobody that it is connected with has the next one: \
                     connect it with another archive, or start it with --keep full"
                );
                *since = Instant::now();
            }
        }
        _ => *stood = Some((executed, Instant::now())),
    }
}

/// The parts of the node that catching up needs.
pub(crate) struct Sync {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) mesh: MeshHandle,
    pub(crate) driver: Handle,
    pub(crate) keep: Keep,
    pub(crate) metrics: Arc<Metrics>,
}

impl Sync {
    /// Serves other peers, and catches up with them, until the mesh stops.
    pub(crate) fn start(self) {
        if let Some(incoming) = self.mesh.accept(self.mesh.protocol(KIND)) {
            tokio::spawn(serve::serve(incoming, self.driver.reader().clone()));
        }
        let stopping = self.mesh.stopping();
        tokio::spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                Err(Stopped) = self.follow() => {}
            }
        });
    }

    async fn follow(self) -> Result<(), Stopped> {
        let mut stood = None;
        loop {
            sleep(LOOK_EVERY).await;
            let look =
                |replica: &meshwork_core::replica::Replica| replica.is_behind().then(|| replica.ledger().height());
            let Some(executed) = self.driver.query(look).await? else { continue };
            // An archive has to execute everything that it keeps.
            if self.keep == Keep::Archive {
                watch_archive(executed, &mut stood);
                continue;
            }
            let interval = self.genesis.consensus.snapshot_interval;
            let mut offers = fetch::offers(&self).await;
            offers.retain(|held| held.offer.is_worth(executed, interval));
            let Some(newest) = offers.iter().map(|held| held.offer.certified.height()).max() else {
                sleep(ASK_EVERY).await;
                continue;
            };
            offers.retain(|held| held.offer.certified.height() == newest);
            let chunks = &offers[0].offer.certified.chunks;
            info!(
                %executed, height = %newest, bytes = chunks.bytes(), chunks = chunks.count(), peers = offers.len(),
                "far behind: fetching a certified snapshot"
            );
            match fetch::fetch(&self, offers).await {
                Ok(installation) => {
                    self.driver.install(installation).await?;
                    info!(height = %newest, "the snapshot is taken up; blocks after it follow");
                }
                Err(reason) => warn!(reason, "the snapshot could not be fetched; it is tried again"),
            }
            self.metrics.sync(None);
        }
    }
}
