//! Delivers an output: another peer stores it and signs that it did.

use std::io;

use meshwork_core::{
    blobs::{DeliveryAnswer, DeliveryOffer, FRAME_BYTES_MAX, decode_manifest, parts, wanted},
    codec::ByteString,
    digest::Digest,
    identity::PublicKey,
    types::{AttemptId, BlobRef, Delivery, DeliveryStatement},
};
use tokio::io::{AsyncReadExt, BufReader};

use super::{Blobs, error::DeliverError, hold::HOLD_MAX};
use crate::{
    mesh::Stream,
    wire::{self, CHUNK_BYTES},
};

/// An output that a holder now keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The bytes of the manifest and of all distinct blobs besides, as reported to the ledger.
    pub bytes: u64,
    /// The holder's signed statement.
    pub delivery: Delivery,
}

/// One delivery.
struct Delivering {
    to: PublicKey,
    statement: DeliveryStatement,
    parts: Vec<BlobRef>,
    offer: DeliveryOffer,
}

impl Blobs {
    /// Delivers the output of an attempt to `to`: the manifest, which is in the store, all blobs that it consists of, and
    /// standard error. Only what the holder lacks is sent.
    ///
    /// # Errors
    /// A [`DeliverError`]. The output stays in the store, and may be delivered to another peer.
    pub async fn deliver(
        &self,
        to: PublicKey,
        attempt: AttemptId,
        manifest: Digest,
        stderr: Option<BlobRef>,
    ) -> Result<Delivered, DeliverError> {
        let content = self.read(manifest).await?.ok_or(DeliverError::Missing(manifest))?;
        let wrong = |what: String| DeliverError::Manifest(manifest, what);
        let decoded = decode_manifest(&content).map_err(|error| wrong(error.to_string()))?;
        let (parts, bytes) = parts(&decoded, stderr, content.len() as u64).map_err(|what| wrong(what.to_owned()))?;
        let delivering = Delivering {
            to,
            // The holder fills in the height.
            statement: DeliveryStatement {
                attempt,
                manifest: BlobRef { digest: manifest, bytes: content.len() as u64 },
                stderr,
                bytes,
                height: Default::default(),
            },
            parts,
            offer: DeliveryOffer { attempt, stderr, bytes, manifest: ByteString::from(content) },
        };
        for fresh in [false, true] {
            let pooled = self.0.deliveries.take(to, fresh).await?;
            let mut stream = pooled.stream;
            match self.deliver_over(&mut stream, &delivering).await {
                Ok(delivery) => {
                    self.0.deliveries.keep(to, stream);
                    return Ok(Delivered { bytes, delivery });
                }
                Err(DeliverError::Broken { .. }) if pooled.used && !fresh => {}
                Err(error) => {
                    if matches!(error, DeliverError::Refused { .. }) {
                        self.0.deliveries.keep(to, stream);
                    }
                    return Err(error);
                }
            }
        }
        Err(DeliverError::Nonsense(to))
    }

    async fn deliver_over(&self, stream: &mut Stream, what: &Delivering) -> Result<Delivery, DeliverError> {
        let broken = |source| DeliverError::Broken { holder: what.to, source };
        wire::write_value(stream, &what.offer).await.map_err(broken)?;
        let mut sent = false;
        loop {
            match wire::read_value(stream, FRAME_BYTES_MAX, HOLD_MAX).await.map_err(broken)? {
                DeliveryAnswer::Wanted(places) if !sent => {
                    sent = true;
                    for part in wanted(&what.parts, &places).ok_or(DeliverError::Nonsense(what.to))? {
                        self.send_part(stream, part).await?.map_err(broken)?;
                    }
                    wire::flush(stream).await.map_err(broken)?;
                }
                DeliveryAnswer::Refused(reason) => {
                    let reason = reason.chars().filter(|letter| !letter.is_control()).take(256).collect();
                    return Err(DeliverError::Refused { holder: what.to, attempt: what.statement.attempt, reason });
                }
                DeliveryAnswer::Stored(delivery) => {
                    let statement = DeliveryStatement { height: delivery.height, ..what.statement };
                    let good = delivery.holder == what.to && statement.is_signed_by(&delivery, &self.0.mesh.network());
                    return if good { Ok(delivery) } else { Err(DeliverError::Nonsense(what.to)) };
                }
                DeliveryAnswer::Wanted(_) => return Err(DeliverError::Nonsense(what.to)),
            }
        }
    }

    /// Sends one blob's bytes. The outer error is about this peer, the inner one about the stream.
    async fn send_part(&self, stream: &mut Stream, part: BlobRef) -> Result<io::Result<()>, DeliverError> {
        let kept = self.check(part.digest).await?.filter(|kept| kept.blob() == part);
        let kept = kept.ok_or(DeliverError::Missing(part.digest))?;
        let file = tokio::fs::File::open(kept.path()).await.map_err(super::StoreError::from)?;
        let mut reader = BufReader::with_capacity(CHUNK_BYTES, file.take(part.bytes));
        let mut left = part.bytes;
        let mut chunk = vec![0; CHUNK_BYTES];
        while left > 0 {
            let bytes = reader.read(&mut chunk).await.map_err(super::StoreError::from)?;
            if bytes == 0 {
                // The file is shorter than the manifest says. The rest cannot be sent, so the stream is closed.
                return Err(DeliverError::Missing(part.digest));
            }
            if let Err(error) = wire::write_all(stream, &chunk[..bytes]).await {
                return Ok(Err(error));
            }
            left -= bytes as u64;
        }
        Ok(Ok(()))
    }
}
