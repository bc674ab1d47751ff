//! Writes a blob, and hashes it as its bytes arrive.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

use meshwork_core::{digest::Digest, types::BlobRef};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{
    BLOB_BYTES_MAX, Blobs, blocking,
    checked::Stamp,
    error::StoreError,
    store::{BlobStore, Reservation},
};

/// The most bytes in memory before they go to the disk. A small blob goes there at once and whole.
const BUFFER_BYTES: usize = 1 << 20;

/// A blob that is being written. Dropped unfinished, it leaves nothing behind.
pub(super) struct BlobWriter {
    store: BlobStore,
    bytes_max: u64,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    bytes: u64,
    reservation: Option<Reservation>,
    file: Option<(PathBuf, File)>,
}

impl BlobWriter {
    pub(super) fn new(store: BlobStore, bytes_max: u64) -> Self {
        Self {
            store,
            bytes_max: bytes_max.min(BLOB_BYTES_MAX),
            hasher: blake3::Hasher::new(),
            buffer: Vec::new(),
            bytes: 0,
            reservation: None,
            file: None,
        }
    }

    /// The number of bytes received.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes bytes without waiting for the disk. True if it is time for [`BlobWriter::flush`].
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool, StoreError> {
        let sum = self.bytes + bytes.len() as u64;
        if sum > self.bytes_max {
            return Err(StoreError::TooLarge { bytes_max: self.bytes_max });
        }
        match &mut self.reservation {
            Some(reservation) => reservation.grow(bytes.len() as u64)?,
            None => self.reservation = Some(self.store.reserve(bytes.len() as u64)?),
        }
        self.hasher.update(bytes);
        self.bytes = sum;
        self.buffer.extend_from_slice(bytes);
        Ok(self.buffer.len() >= BUFFER_BYTES)
    }

    /// Writes the bytes in memory to the disk.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let file = match &mut self.file {
            Some((_, file)) => file,
            None => {
                let name = self.store.new_name();
                let file = File::create_new(&name)?;
                &mut self.file.insert((name, file)).1
            }
        };
        file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Takes bytes, and waits for the disk if need be.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.take(bytes)? { self.flush() } else { Ok(()) }
    }

    /// Stores the bytes durably, if they have the expected digest.
    pub(super) fn finish(mut self, expected: Option<Digest>) -> Result<BlobRef, StoreError> {
        let found = Digest(*self.hasher.finalize().as_bytes());
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(StoreError::Mismatch { expected, found });
        }
        let blob = BlobRef { digest: found, bytes: self.bytes };
        if self.store.check(&found)?.is_some() {
            return Ok(blob);
        }
        let reservation = match self.reservation.take() {
            Some(reservation) => reservation,
            None => self.store.reserve(0)?,
        };
        self.flush()?;
        let mut stamp = None;
        if let Some((name, file)) = self.file.take() {
            let renamed = file.sync_data().and_then(|()| self.store.rename(&name, &found));
            let dir = renamed.inspect_err(|_| {
                let _ = fs::remove_file(&name);
            })?;
            File::open(dir)?.sync_all()?;
            stamp = Stamp::of(&file.metadata()?);
        }
        self.store.insert(blob, stamp, reservation);
        Ok(blob)
    }

    /// [`BlobWriter::flush`] on a thread where it may block.
    pub(super) async fn flush_blocking(mut self) -> Result<Self, StoreError> {
        blocking(move || self.flush().map(|()| self)).await
    }

    /// [`BlobWriter::finish`] on a thread where it may block.
    pub(super) async fn finish_blocking(self, expected: Option<Digest>) -> Result<BlobRef, StoreError> {
        blocking(move || self.finish(expected)).await
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if let Some((name, _)) = self.file.take() {
            let _ = fs::remove_file(name);
        }
    }
}

/// Stores what a reader yields.
pub(super) async fn put_stream(
    blobs: &Blobs,
    mut reader: impl AsyncRead + Unpin,
    bytes_max: u64,
) -> Result<BlobRef, StoreError> {
    let mut writer = BlobWriter::new(blobs.store().clone(), bytes_max);
    let mut chunk = vec![0; 64 << 10];
    // How many bytes will come is not known, so room is made as they do.
    blobs.make_room(&[BUFFER_BYTES as u64]).await;
    loop {
        let bytes = reader.read(&mut chunk).await?;
        if bytes == 0 {
            return writer.finish_blocking(None).await;
        }
        if writer.take(&chunk[..bytes])? {
            writer = writer.flush_blocking().await?;
            blobs.make_room(&[BUFFER_BYTES as u64]).await;
        }
    }
}
