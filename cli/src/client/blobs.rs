//! Uploads and downloads of blobs. They are streamed, and checked against their digest on the way.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    path::Path,
};

use meshwork_api::{After, BlobView, VerifiedView};
use meshwork_core::{blobs::BLOB_BYTES_MAX, digest::Digest, identity::PublicKey, types::BlobRef};
use reqwest::Method;

use super::{ANSWER_TIMEOUT, Client, ClientError, Patience};
use crate::failure::{Done, Failure};

/// Opens a file. What a pipe or a terminal gives is read to its end first, since it can be read only once.
///
/// # Errors
/// It cannot be read, is a directory, or gives too much.
fn regular(path: &Path) -> Done<File> {
    let io = |error: std::io::Error| Failure::given_file(path, &error);
    let given = File::open(path).map_err(io)?;
    let kind = given.metadata().map_err(io)?.file_type();
    if kind.is_dir() {
        return Err(io(std::io::ErrorKind::IsADirectory.into()));
    }
    if kind.is_file() {
        return Ok(given);
    }
    let mut content = tempfile::tempfile().map_err(|error| Failure::file("create", &std::env::temp_dir(), &error))?;
    let bytes = std::io::copy(&mut given.take(BLOB_BYTES_MAX + 1), &mut content).map_err(io)?;
    if bytes > BLOB_BYTES_MAX {
        let sentence = format!("{} is not a regular file, and gives more than {BLOB_BYTES_MAX} bytes.", path.display());
        return Err(Failure::usage(sentence));
    }
    content.rewind().map_err(io)?;
    Ok(content)
}

impl Client {
    /// Has the node compare the blobs that it stores after this one with their digests: about as many as it reads in a
    /// second.
    pub async fn verify_blobs(&self, after: Option<Digest>) -> Result<VerifiedView, ClientError> {
        let request = self.request(Method::POST, "/v1/blobs/verify").query(&After { after }).timeout(ANSWER_TIMEOUT);
        self.json(self.send(request).await?).await
    }

    /// Uploads a file, or what a pipe gives, to the node.
    ///
    /// # Errors
    /// The file cannot be read, it changes during the upload, or the node refuses it.
    pub async fn put_file(&self, path: &Path) -> Done<BlobRef> {
        let io = |error: std::io::Error| Failure::given_file(path, &error);
        let changed = || Failure::failed(format!("{} changed while it was sent; try again.", path.display()));
        let mut file = regular(path)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&file).map_err(io)?;
        let blob = BlobRef { digest: Digest(*hasher.finalize().as_bytes()), bytes: hasher.count() };
        let mut patience = Patience::new();
        let answer = loop {
            // What is read from a file can be sent only once.
            file.rewind().map_err(io)?;
            let body = tokio::fs::File::from_std(file.try_clone().map_err(io)?);
            let request = self.request(Method::PUT, "/v1/blobs").header(reqwest::header::CONTENT_LENGTH, blob.bytes);
            match self.send_once(request.body(body)).await {
                Ok(answer) => break answer,
                // A request whose body ends too soon looks like a node that does not answer.
                Err(_) if file.metadata().map_err(io)?.len() != blob.bytes => return Err(changed()),
                Err(refused) => patience.wait_after(refused).await?,
            }
        };
        let held: BlobView = self.json(answer).await?;
        if (held.digest, held.bytes) == (blob.digest, blob.bytes) { Ok(blob) } else { Err(changed()) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[cfg(unix)]
    #[test]
    fn what_a_pipe_gives_is_content_and_a_directory_or_an_endless_device_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let (read, mut write) = std::io::pipe().expect("a pipe");
        write.write_all(b"through a pipe").expect("written");
        drop(write);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&read));
        if Path::new(&path).exists() {
            let mut content = String::new();
            regular(Path::new(&path)).expect("a pipe").read_to_string(&mut content).expect("text");
            assert_eq!(content, "through a pipe");
        }
        let failure = regular(directory.path()).expect_err("a directory");
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.sentence.contains("not a directory"), "{failure}");
        assert_eq!(regular(&directory.path().join("nothing")).expect_err("nothing").exit, Exit::Usage);
    }
}
