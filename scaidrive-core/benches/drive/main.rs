//! Ingest, read, metadata mutations, listings, renames and permission checks on an embedded drive: SQLite and local files, durable.
//!
//! `cargo bench -p scaidrive-core --bench drive`. Compare figures of one run only; see BENCHMARKS.md.

mod access;
mod delta;

use std::io::Cursor;
use std::sync::OnceLock;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use scaidrive_core::Drive;
use scaidrive_core::chunking::ChunkReader;
use scaidrive_core::config::Config;
use scaidrive_core::model::{
    Caller, ChunkingParams, FileName, FolderId, ParentId, Sha256Hash, ShareId, ShareType,
};
use scaidrive_core::services::bulk::{self, BulkFile};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::folders::{self, Listing};
use scaidrive_core::services::ingest::StoredContent;
use scaidrive_core::services::shares::{self, NewShare};
use scaidrive_core::services::{content, tenants};
use tokio::runtime::Runtime;

const LARGE: usize = 256 << 20;
const CLIENTS: usize = 8;

fn main() {
    divan::main();
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

/// A drive of its own with one share.
struct Bench {
    dir: tempfile::TempDir,
    drive: Drive,
    caller: Caller,
    share: ShareId,
}

impl Bench {
    fn new() -> Self {
        runtime().block_on(async {
            let dir = tempfile::tempdir().expect("a directory");
            let drive = scaidrive_core::open::open(&Config::embedded(dir.path())).await.expect("a drive");
            scaidrive_core::open::migrate(&drive).await.expect("a schema");
            let (tenant, admin, _) = tenants::bootstrap(&drive).await.expect("a tenant");
            let caller = tenants::caller_for(&drive, tenant.id, &admin.id).await.expect("a caller");
            let new = NewShare {
                name: "bench".to_owned(),
                share_type: ShareType::Project,
                owner: None,
                description: None,
                quota_bytes: None,
            };
            let share = shares::create(&drive, &caller, new).await.expect("a share").id;
            Self { dir, drive, caller, share }
        })
    }

    fn new_file(&self, name: impl AsRef<str>) -> NewFile {
        let name = FileName::parse(name.as_ref()).expect("a name");
        NewFile { share: self.share, folder: None, name, mime_type: None, modified_at: None }
    }

    /// Fills a new folder with so many small files.
    fn filled_folder(&self, files: usize) -> FolderId {
        // One content for all: what is measured is the tree, not the store.
        self.filled_folder_of(files, |_| Bytes::from_static(b"small"))
    }

    /// Fills a new folder with so many small files of these contents.
    fn filled_folder_of(&self, files: usize, content: impl Fn(usize) -> Bytes) -> FolderId {
        runtime().block_on(async {
            let name = FileName::parse(&format!("folder of {files}")).expect("a name");
            let folder =
                folders::create(&self.drive, &self.caller, self.share, None, name).await.expect("a folder");
            let parent = ParentId::Folder(folder.id);
            let all: Vec<BulkFile> = (0..files).map(|n| small(parent, n, content(n))).collect();
            for batch in all.chunks(bulk::FILE_BATCH) {
                let written = bulk::write(&self.drive, &self.caller, self.share, batch.to_vec()).await;
                written.expect("a batch").into_iter().for_each(|file| assert!(file.is_ok()));
            }
            folder.id
        })
    }
}

fn small(parent: ParentId, number: usize, bytes: Bytes) -> BulkFile {
    let name = FileName::parse(&format!("file {number:07}.txt")).expect("a name");
    BulkFile { parent, name, modified_at: None, bytes }
}

/// Bytes that do not repeat; every `salt` gives others.
fn noise(length: usize, salt: u64) -> Bytes {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = (0..length / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn bare_sha256_of_256_mib(bencher: Bencher) {
    let bytes = noise(LARGE, 1);
    bencher.counter(BytesCount::new(LARGE)).bench(|| Sha256Hash::of(&bytes));
}

/// The pipeline that every upload goes through, without storing: cut, hash each chunk, hash the whole.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn chunk_and_hash_of_256_mib(bencher: Bencher) {
    let bytes = noise(LARGE, 1);
    bencher.counter(BytesCount::new(LARGE)).bench_local(|| {
        runtime().block_on(async {
            let mut chunks = ChunkReader::new(Cursor::new(bytes.clone()), ChunkingParams::default());
            while chunks.next().await.expect("a chunk").is_some() {}
            chunks.finish().await.expect("a digest")
        })
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn ingest_of_256_mib(bencher: Bencher) {
    let bench = Bench::new();
    let mut salt = 1;
    let fresh = || {
        salt += 1;
        (salt, noise(LARGE, salt))
    };
    bencher.counter(BytesCount::new(LARGE)).with_inputs(fresh).bench_local_values(|(salt, bytes)| {
        let new = bench.new_file(format!("large {salt}"));
        runtime()
            .block_on(files::create(&bench.drive, &bench.caller, new, Cursor::new(bytes)))
            .expect("a file")
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn read_of_256_mib(bencher: Bencher) {
    let bench = Bench::new();
    let file = runtime().block_on(async {
        let bytes = Cursor::new(noise(LARGE, 2));
        files::create(&bench.drive, &bench.caller, bench.new_file("large"), bytes).await.expect("a file")
    });
    bencher.counter(BytesCount::new(LARGE)).bench_local(|| {
        runtime().block_on(async {
            use futures_util::TryStreamExt;
            let readable =
                content::open(&bench.drive, &bench.caller, file.id, None).await.expect("a content");
            let read = content::stream(&bench.drive, &readable, None);
            let size = read.try_fold(0, |sum, bytes| std::future::ready(Ok(sum + bytes.len()))).await;
            assert_eq!(size.expect("all bytes"), LARGE);
        });
    });
}

/// Creates files over a stored content: what is left is the metadata mutation.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn metadata_mutations_by_8_clients(bencher: Bencher) {
    const EACH: usize = 250;
    let bench = Bench::new();
    let stored: StoredContent =
        runtime().block_on(files::store(&bench.drive, &bench.caller, &b"small"[..])).expect("a content");
    let mut round = 0;
    bencher.counter(ItemsCount::new(CLIENTS * EACH)).bench_local(|| {
        round += 1;
        runtime().block_on(async {
            let clients = (0..CLIENTS).map(|client| {
                let (drive, caller, stored) = (bench.drive.clone(), bench.caller.clone(), stored.clone());
                let names: Vec<NewFile> =
                    (0..EACH).map(|n| bench.new_file(format!("{round}-{client}-{n}"))).collect();
                tokio::spawn(async move {
                    for new in names {
                        files::create_from(&drive, &caller, new, stored.clone()).await.expect("a file");
                    }
                })
            });
            for client in clients.collect::<Vec<_>>() {
                client.await.expect("a client");
            }
        });
    });
}

#[divan::bench(args = [100, 100_000], sample_count = 200, sample_size = 1)]
fn first_page_of_a_folder_with(bencher: Bencher, children: usize) {
    let bench = Bench::new();
    let folder = bench.filled_folder(children);
    let listing = Listing { limit: 100, ..Listing::default() };
    bencher.bench_local(|| {
        let page = folders::children(&bench.drive, &bench.caller, bench.share, Some(folder), &listing);
        assert_eq!(runtime().block_on(page).expect("a page").items.len(), 100);
    });
}

#[divan::bench(args = [1, 100_000], sample_count = 200, sample_size = 1)]
fn rename_of_a_folder_with(bencher: Bencher, descendants: usize) {
    let bench = Bench::new();
    let folder = bench.filled_folder(descendants);
    let mut round = 0;
    bencher.bench_local(|| {
        round += 1;
        let name = FileName::parse(&format!("renamed {round}")).expect("a name");
        let renamed = folders::rename(&bench.drive, &bench.caller, folder, name);
        runtime().block_on(renamed).expect("a folder")
    });
}
