//! Uploads and downloads of blobs. They are streamed, and checked against their digest on the way.

use std::{io::Write, path::Path};

use meshwork_api::BlobView;
use meshwork_core::{digest::Digest, identity::PublicKey, types::BlobRef};
use reqwest::Method;

use super::{Client, ClientError, Patience};
use crate::failure::{Done, Failure};

impl Client {
    /// Uploads a file to the node.
    ///
    /// # Errors
    /// The file cannot be read, it changes during the upload, or the node refuses it.
    pub async fn put_file(&self, path: &Path) -> Done<BlobRef> {
        let io = |error: std::io::Error| Failure::file("read", path, &error);
        let mut hasher = blake3::Hasher::new();
        let file = std::fs::File::open(path).map_err(io)?;
        hasher.update_reader(&file).map_err(io)?;
        let blob = BlobRef { digest: Digest(*hasher.finalize().as_bytes()), bytes: hasher.count() };
        let mut patience = Patience::new();
        let answer = loop {
            // What is read from a file can be sent only once.
            let body = tokio::fs::File::open(path).await.map_err(io)?;
            let request = self.request(Method::PUT, "/v1/blobs").header(reqwest::header::CONTENT_LENGTH, blob.bytes);
            match self.send_once(request.body(body)).await {
                Ok(answer) => break answer,
                Err(refused) => patience.wait_after(refused).await?,
            }
        };
        let held: BlobView = self.json(answer).await?;
        if (held.digest, held.bytes) == (blob.digest, blob.bytes) {
            Ok(blob)
        } else {
            Err(Failure::failed(format!("{} changed while it was sent; try again.", path.display())))
        }
    }

    /// Uploads content to the node.
    ///
    /// # Errors
    /// The node refuses it.
    pub async fn put_bytes(&self, content: Vec<u8>) -> Result<BlobRef, ClientError> {
        let blob = BlobRef { digest: Digest::of(&content), bytes: content.len() as u64 };
        let request = self.request(Method::PUT, "/v1/blobs").body(content);
        let held: BlobView = self.json(self.send(request).await?).await?;
        if held.digest == blob.digest { Ok(blob) } else { Err(ClientError::Content(blob.digest.to_string())) }
    }

    /// Downloads a blob into `sink`.
    ///
    /// The node gives it from its own store, or fetches it from `holders` or any other peer. At most `blob.bytes` are
    /// taken. The digest decides whether they are right: after an error, what `sink` got is worthless.
    ///
    /// # Errors
    /// No peer has the blob, the content does not have the digest, or `sink` cannot take it.
    pub async fn get_blob(
        &self,
        blob: &BlobRef,
        holders: &[PublicKey],
        sink: &mut (impl Write + Send),
    ) -> Result<(), ClientError> {
        let mut path = format!("/v1/blobs/{}?bytes={}", blob.digest, blob.bytes);
        for holder in holders {
            path.push_str(&format!("&from={holder}"));
        }
        let mut answer = self.send(self.request(Method::GET, &path)).await?;
        let mut hasher = blake3::Hasher::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            hasher.update(&chunk);
            if hasher.count() > blob.bytes {
                break;
            }
            sink.write_all(&chunk).map_err(|error| ClientError::Write(error.to_string()))?;
        }
        let whole = Digest(*hasher.finalize().as_bytes()) == blob.digest;
        if whole { Ok(()) } else { Err(ClientError::Content(blob.digest.to_string())) }
    }
}
