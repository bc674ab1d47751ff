//! Decides whether this peer holds another peer's output. The ledger says which worker was given which attempt.

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    ledger::bounds::MANIFEST_BYTES_MAX,
    types::{AttemptId, Height},
};

use crate::{
    blobs::{DeliveryPolicy, Refusal},
    driver::Handle,
};

/// Accepts outputs of attempts that the ledger gave to the sender, up to the size that their tasks may leave.
pub(super) struct PromisedOutputs(Handle);

impl PromisedOutputs {
    pub(super) const fn new(driver: Handle) -> Self {
        Self(driver)
    }
}

impl DeliveryPolicy for PromisedOutputs {
    async fn accepts(&self, from: PublicKey, attempt: AttemptId, _: Digest, bytes: u64) -> Result<Height, Refusal> {
        let refuse = |reason: &str| Err(Refusal(reason.to_owned()));
        let look = move |replica: &meshwork_core::replica::Replica| {
            let ledger = replica.ledger();
            let task = ledger.task(attempt.task)?;
            let past = task.past.iter().any(|past| past.number == attempt.number && past.worker == from);
            let present = task.live.contains(&(attempt.number, from));
            Some((past || present, task.spec.limits.output_bytes, ledger.height()))
        };
        match self.0.query(look).await {
            Ok(Some((true, output_bytes, _))) if bytes > output_bytes.saturating_add(MANIFEST_BYTES_MAX) => {
                refuse("it is larger than its task may leave")
            }
            Ok(Some((true, _, height))) => Ok(height),
            Ok(Some(_)) => refuse("this attempt was not given to you, as far as is known here"),
            Ok(None) => refuse("no such task is known here"),
            Err(stopped) => refuse(&stopped.to_string()),
        }
    }
}
