//! Tells the blobs what this peer owes to others. The ledger decides.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use futures::future::BoxFuture;
use meshwork_core::{
    digest::Digest,
    ledger::{LedgerEvent, NeededBlobs, Owed},
    types::{Height, Output, Receipt},
};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    blobs::{Blobs, DeliveryId, Obligations, Standing, Whose},
    driver::{Handle, News},
};

/// The most tasks that one look at the ledger goes through for their programs and inputs: about a millisecond, for
/// which consensus waits.
const TASKS_AT_ONCE: usize = 10_000;

/// What the ledger says is owed.
pub(super) struct LedgersWord(Handle);

impl LedgersWord {
    pub(super) const fn new(driver: Handle) -> Self {
        Self(driver)
    }

    /// The manifests of the outputs that were accepted at these places; `None` where a receipt is not stored here.
    fn accepted(&self, places: &BTreeMap<Height, Vec<u32>>) -> BTreeMap<(Height, u32), Option<Digest>> {
        let mut accepted = BTreeMap::new();
        for (height, indices) in places {
            // Damage to the store is found and reported where blocks are read.
            let Ok(receipts) = self.0.reader().receipts(*height) else { continue };
            for index in indices {
                if let Some(Receipt::Outcome(outcome)) = receipts.get(*index as usize) {
                    let manifest = match outcome.verdict.output() {
                        Some(Output::Stored { manifest, .. }) => Some(manifest.digest),
                        _ => None,
                    };
                    accepted.insert((*height, *index), manifest);
                }
            }
        }
        accepted
    }
}

impl Obligations for LedgersWord {
    fn standings(&self, deliveries: Vec<DeliveryId>) -> BoxFuture<'_, Option<Vec<Standing>>> {
        Box::pin(async move {
            let asked = deliveries.clone();
            let owed = self.0.query(move |replica| {
                asked.iter().map(|id| replica.owed(id.attempt, &id.manifest)).collect::<Vec<Owed>>()
            });
            let owed = owed.await.ok()?;
            let mut places: BTreeMap<Height, Vec<u32>> = BTreeMap::new();
            for owed in &owed {
                if let Owed::IfOutput { height, receipt } = owed {
                    places.entry(*height).or_default().push(*receipt);
                }
            }
            let accepted = self.accepted(&places);
            let standing = |(id, owed): (&DeliveryId, &Owed)| match owed {
                Owed::Checkpoint | Owed::Compared => Standing::Accepted,
                Owed::Undecided => Standing::Undecided,
                Owed::Nobody => Standing::Unowed,
                Owed::IfOutput { height, receipt } => match accepted.get(&(*height, *receipt)) {
                    Some(Some(manifest)) if *manifest == id.manifest => Standing::Accepted,
                    Some(_) => Standing::Unowed,
                    // What the outcome was is not known here, so it may be this one.
                    None => Standing::Undecided,
                },
            };
            Some(deliveries.iter().zip(&owed).map(standing).collect())
        })
    }

    fn needed(&self, blobs: HashSet<Digest>) -> BoxFuture<'_, Option<NeededBlobs>> {
        Box::pin(async move {
            let blobs = Arc::new(blobs);
            let (mut needed, mut searched) = (NeededBlobs::default(), None);
            loop {
                let asked = Arc::clone(&blobs);
                let look = self.0.query(move |replica| {
                    // What jobs need that are yet to come is not known.
                    if replica.lacks_blocks() {
                        return None;
                    }
                    let mut needed = NeededBlobs::default();
                    let on = replica.ledger().needed_blobs(searched, TASKS_AT_ONCE, &asked, &mut needed);
                    Some((needed, on))
                });
                let (more, on) = look.await.ok()??;
                needed.named.extend(more.named);
                needed.folders.extend(more.folders);
                if on.is_none() {
                    return Some(needed);
                }
                searched = on;
            }
        })
    }
}

/// Has the blobs look again at what each block may have changed, until the node stops.
///
/// A ledger that has just started may be some blocks behind without knowing. So nothing is given up before it has
/// executed a block.
pub(super) async fn follow(blobs: Blobs, driver: Handle) {
    let mut news = driver.finalized();
    let mut word = Some(Arc::new(LedgersWord::new(driver)));
    loop {
        let concerned: Vec<Whose> = match news.recv().await {
            Ok(News::Finalized(block)) => block.executed.applied.events.iter().filter_map(concerns).collect(),
            Ok(News::Jumped(_)) | Err(RecvError::Lagged(_)) => vec![Whose::All],
            Err(RecvError::Closed) => return,
        };
        if let Some(word) = word.take() {
            blobs.owe(word);
            blobs.reconsider(Whose::All).await;
        } else {
            for whose in concerned {
                blobs.reconsider(whose).await;
            }
        }
    }
}

/// Whose deliveries an event may concern.
const fn concerns(event: &LedgerEvent) -> Option<Whose> {
    match event {
        LedgerEvent::Checkpointed { attempt, .. } | LedgerEvent::Ended { attempt, .. } => {
            Some(Whose::Task(attempt.task))
        }
        LedgerEvent::TaskDone { task, .. } => Some(Whose::Task(*task)),
        LedgerEvent::JobEnded { job, .. } | LedgerEvent::JobForgotten { job } => Some(Whose::Job(*job)),
        _ => None,
    }
}
