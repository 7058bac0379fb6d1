//! Sync through a real server, beside what the machine does without it: many small files in batches, and pages of the
//! feed. Each figure is a median of rounds in which the sides take turns; what counts are the ratios of one run.
//!
//! `cargo bench -p scaidrive-http --bench sync [-- ROUNDS]`. SQLite and local files, durable, one client on loopback.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

mod bare;
mod server;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Server, sha256};

/// Files in a round.
const FILES: usize = 10_000;

/// Files of a round that goes file by file.
const SINGLE: usize = 500;

/// The most changes that a batch may have.
const BATCH: usize = 1000;

/// Bytes of frames in one body, at most: the server takes a little more.
const BODY: usize = 60 << 20;

#[tokio::main]
async fn main() {
    let rounds = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(5);
    let server = Server::start().await;
    println!("| work | figure | against | ratio | goal |\n|---|---|---|---|---|");
    for (name, sizes) in [("4 KiB", 4096..=4096), ("1–16 KiB", 1024..=16_384)] {
        small_files(&server, rounds, name, sizes).await;
    }
    feed_pages(&server, rounds).await;
}

/// A file that a device made.
struct New {
    name: String,
    bytes: Vec<u8>,
}

/// Bytes that do not repeat, and sizes that do not either where they may differ.
struct Source {
    state: u64,
}

impl Source {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn files(&mut self, count: usize, sizes: &std::ops::RangeInclusive<usize>) -> Vec<New> {
        let of = |number: usize| {
            let size = sizes.start() + self.next() as usize % (sizes.end() - sizes.start() + 1);
            let bytes: Vec<u8> =
                (0..size.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(size).collect();
            New { name: format!("{:02}/file {number}.txt", number % 100), bytes }
        };
        (0..count).map(of).collect()
    }
}

/// Times of rounds, a list for each side.
#[derive(Default)]
struct Rates(Vec<f64>);

impl Rates {
    fn add(&mut self, count: usize, time: Duration) {
        self.0.push(count as f64 / time.as_secs_f64());
    }

    fn median(&mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0[self.0.len() / 2]
    }
}

/// Files in batches, beside files that are made durable one by one, and beside a request for each.
async fn small_files(server: &Server, rounds: usize, name: &str, sizes: std::ops::RangeInclusive<usize>) {
    let mut source = Source { state: 0x9E37_79B9_7F4A_7C15 ^ *sizes.end() as u64 };
    let share = server.share(name).await;
    let (mut bare, mut chunks, mut whole, mut single) =
        (Rates::default(), Rates::default(), Rates::default(), Rates::default());
    for round in 0..rounds {
        let files = source.files(SINGLE * 2, &sizes);
        bare.add(files.len(), bare::durable_files(server.dir(), files.iter().map(|file| &file.bytes[..])));
        let files = source.files(FILES, &sizes);
        let (bodies, batches) = (bodies(&files), batches(&share, round, &files));
        let began = Instant::now();
        for body in bodies {
            server.put_frames(&share, body).await;
        }
        chunks.add(FILES, began.elapsed());
        for batch in batches {
            server.apply(batch).await;
        }
        whole.add(FILES, began.elapsed());
        let files = source.files(SINGLE, &sizes);
        let began = Instant::now();
        for file in files {
            server.upload(&share, format!("{round} {}", file.name.replace('/', " ")), file.bytes).await;
        }
        single.add(SINGLE, began.elapsed());
    }
    let (bare, whole, single) = (bare.median(), whole.median(), single.median());
    let told = |what: &str, rate: f64, against: &str, other: f64, goal: &str| {
        println!("| {what} | {rate:.0}/s | {against} ({other:.0}/s) | {:.2} | {goal} |", rate / other);
    };
    let what = format!("{FILES} files of {name}: chunks in one body or two, then batches of {BATCH}");
    told(&what, whole, "files created, synced, renamed, directory synced", bare, "≥ 4 (S5)");
    told("the same", whole, "`POST /files`, one after the other", single, "–");
    told("the chunks of it alone", chunks.median(), "the same durable files", bare, "–");
}

fn bodies(files: &[New]) -> Vec<Vec<u8>> {
    let mut bodies = vec![Vec::new()];
    for file in files {
        if bodies.last().is_some_and(|body| body.len() + file.bytes.len() > BODY) {
            bodies.push(Vec::new());
        }
        if let Some(body) = bodies.last_mut() {
            body.extend_from_slice(&sha256(&file.bytes));
            body.extend_from_slice(&(file.bytes.len() as u32).to_be_bytes());
            body.extend_from_slice(&file.bytes);
        }
    }
    bodies
}

fn batches(share: &str, round: usize, files: &[New]) -> Vec<Vec<u8>> {
    let change = |file: &New| {
        let hash: String = sha256(&file.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("/{round}/{}", file.name);
        json!({
            "client_change_id": format!("{share} {path}"), "resource_type": "file", "change_type": "created", "new_path": path,
            "size": file.bytes.len(), "checksum_sha256": hash, "mime_type": "text/plain",
            "modified_at": "2026-11-23T10:00:00Z", "chunks": [{ "sha256": hash, "size": file.bytes.len() }],
        })
    };
    let batch = |files: &[New]| {
        let changes: Vec<Value> = files.iter().map(change).collect();
        let body =
            json!({ "device_id": "bench", "share_id": share, "create_parents": true, "changes": changes });
        body.to_string().into_bytes()
    };
    files.chunks(BATCH).map(batch).collect()
}

/// Pages of 1,000 changes through HTTP, beside the bare rows, selected and written as JSON.
async fn feed_pages(server: &Server, rounds: usize) {
    let rows = bare::Rows::open(server.dir()).await;
    let reader = server.reader().await;
    let (mut bare, mut admin, mut member) = (Rates::default(), Rates::default(), Rates::default());
    let pages = 40 * rounds as i64;
    for page in 0..pages {
        let after = 1000 + page * 97;
        let began = Instant::now();
        let text = rows.page_as_json(after).await;
        bare.add(1, began.elapsed());
        assert!(text.len() > 100_000, "{} bytes", text.len());
        for (token, rates) in [(&server.token, &mut admin), (&reader, &mut member)] {
            let began = Instant::now();
            let got = server.feed_page(token, after).await;
            rates.add(1, began.elapsed());
            assert!(got.len() > 100_000, "{} bytes", got.len());
        }
    }
    let millis = |rates: &mut Rates| 1000.0 / rates.median();
    let (bare, admin, member) = (millis(&mut bare), millis(&mut admin), millis(&mut member));
    for (who, time) in [("an administrator", admin), ("a member", member)] {
        println!(
            "| feed page of 1,000 changes, for {who} | {time:.2} ms | SELECT and JSON of the rows ({bare:.2} ms) | {:.2} \
             | ≤ 4 (S12) |",
            time / bare
        );
    }
}
