//! Uploads in parts: every order, every fate, on every pair of database and object store.

mod damage;
mod ends;
mod orders;
mod promises;
mod rivals;
mod rooms;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use scaidrive_core::config::{Config, ObjectsConfig};
use scaidrive_core::model::{ChunkingParams, Error, Result, Sha256Hash, UploadId};
use scaidrive_core::ports::Key;
use scaidrive_core::ports::metadata::UploadRow;
use scaidrive_core::services::content;
use scaidrive_core::services::uploads::{self, Claimed, Completed, NewUpload, StoredPart, UploadInfo};
use scaidrive_core::{Drive, Ports};

use crate::backends::{House, mariadb, name, s3};

/// The smallest part there may be: many edges in few bytes.
const PART: usize = 64 << 10;

/// Chunks so small that every part has several, and steps so small that frontiers stop everywhere.
fn shrink(ports: &mut Ports) {
    ports.chunking = ChunkingParams { min: 4 << 10, avg: 16 << 10, max: 64 << 10, ..ports.chunking };
    ports.uploads.step = 128 << 10;
    ports.uploads.worth = 96 << 10;
}

/// Returns a drive on each pair of database and object store: in memory, in files, and all of it on servers.
async fn everywhere(adjust: impl Fn(&mut Ports) + Copy) -> Vec<House> {
    let adjust = |ports: &mut Ports| {
        shrink(ports);
        adjust(ports);
    };
    let mut all = House::both(adjust).await;
    all.push(House::build(|_| {}, adjust).await);
    if let Some((url, s3)) = mariadb().zip(s3()) {
        let on_servers = |config: &mut Config| {
            config.database_url = Some(url.clone());
            config.objects = ObjectsConfig::S3(s3.clone());
        };
        all.push(House::build(on_servers, adjust).await);
    }
    all
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % below.max(1) as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Bytes {
        (0..length.div_ceil(8))
            .flat_map(|_| (self.roll(usize::MAX) as u64).to_le_bytes())
            .take(length)
            .collect()
    }

    fn shuffled(&mut self, mut order: Vec<u32>) -> Vec<u32> {
        for at in (1..order.len()).rev() {
            order.swap(at, self.roll(at + 1));
        }
        order
    }
}

/// An upload under way, by the house's own caller.
struct Session<'h> {
    house: &'h House,
    id: UploadId,
    content: Bytes,
}

impl<'h> Session<'h> {
    async fn begin(house: &'h House, file: &str, content: Bytes) -> Self {
        let new = new_upload(house, file, content.len());
        let id = uploads::create(&house.drive, &house.caller, new).await.unwrap().session_id;
        Self { house, id, content }
    }

    async fn begin_as(house: &'h House, new: NewUpload, content: Bytes) -> Self {
        let id = uploads::create(&house.drive, &house.caller, new).await.unwrap().session_id;
        Self { house, id, content }
    }

    fn count(&self) -> u32 {
        self.content.len().div_ceil(PART) as u32
    }

    fn range(&self, part: u32) -> Range<usize> {
        let start = part as usize * PART;
        start..(start + PART).min(self.content.len())
    }

    fn part(&self, part: u32) -> Bytes {
        self.content.slice(self.range(part))
    }

    async fn put(&self, part: u32) -> StoredPart {
        self.put_bytes(part, self.part(part)).await.unwrap()
    }

    async fn put_bytes(&self, part: u32, bytes: Bytes) -> Result<StoredPart> {
        put_on(&self.house.drive, self, part, bytes).await
    }

    async fn put_all(&self) {
        for part in 0..self.count() {
            self.put(part).await;
        }
    }

    async fn info(&self) -> UploadInfo {
        uploads::get(&self.house.drive, &self.house.caller, self.id).await.unwrap()
    }

    async fn row(&self) -> UploadRow {
        self.house
            .drive
            .read()
            .await
            .unwrap()
            .upload(self.house.caller.tenant, self.id)
            .await
            .unwrap()
            .unwrap()
    }

    async fn complete(&self) -> Result<Completed> {
        uploads::complete(&self.house.drive, &self.house.caller, self.id).await
    }

    async fn has_object(&self, part: u32) -> bool {
        self.house.drive.blobs.head(&Key::part(self.id, part)).await.unwrap().is_some()
    }

    /// Demands that the file holds exactly these bytes.
    async fn assert_made(&self, made: &Completed, wanted: &[u8]) {
        assert_eq!((made.size, made.checksum_sha256), (wanted.len() as u64, Sha256Hash::of(wanted)));
        let house = self.house;
        let readable = content::open(&house.drive, &house.caller, made.file_id, None).await.unwrap();
        assert_eq!(readable.checksum, made.checksum_sha256);
        assert!(content::read(&house.drive, &readable, None).await.unwrap() == wanted);
    }
}

async fn put_on(drive: &Drive, session: &Session<'_>, part: u32, bytes: Bytes) -> Result<StoredPart> {
    let body = stream::iter([Ok(bytes)]);
    uploads::put_part(drive, &session.house.caller, session.id, part, Claimed::default(), body).await
}

fn new_upload(house: &House, file: &str, size: usize) -> NewUpload {
    NewUpload {
        share: house.share.id,
        folder: None,
        name: name(file),
        size: size as u64,
        part_size: PART as u32,
        mime_type: None,
        checksum: None,
        replaces: None,
        base: None,
    }
}

/// Returns the numbers of the parts that a refused completion names.
fn told_missing(outcome: Result<Completed>) -> Vec<u64> {
    match outcome {
        Err(Error::ChunksMissing { missing }) => missing.iter().map(|part| part.as_u64().unwrap()).collect(),
        other => panic!("expected missing parts, got {other:?}"),
    }
}

/// Long enough that whatever was touched before is older than nothing.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
