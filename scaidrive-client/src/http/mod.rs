//! The server over HTTP: the endpoints of the contract, and nothing else.

mod answers;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::chunker::{Chunk, Chunking};
use crate::error::{Error, Result};
use crate::model::{DeviceId, ItemId, Sha256Hash, ShareId};
use crate::remote::{
    Answer, Batch, Changes, Device, Manifest, Remote, Row, Share, Snapshot, SnapshotLine, decode_frames,
    encode_frames,
};

/// The longest page of the feed.
const PAGE: u32 = 5000;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(20);

/// How long nothing may come from the server before it counts as gone; it answers long polls within 50 s.
const SILENCE: Duration = Duration::from_secs(120);

/// A token, which is never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes a token as it was given.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A server at an address.
#[derive(Debug)]
pub struct HttpRemote {
    client: Client,
    base: Url,
    token: Token,
}

impl HttpRemote {
    /// Returns the server at an address such as `https://drive.example.com`.
    ///
    /// # Errors
    /// `Refused` for what is no such address.
    pub fn new(address: &str, token: Token) -> Result<Self> {
        let wrong = |detail: String| Error::Refused { status: 0, code: "ADDRESS".to_owned(), detail };
        let address = address.trim_end_matches('/');
        let address = address.strip_suffix("/api/v1").unwrap_or(address);
        let base = Url::parse(&format!("{address}/api/v1/"))
            .map_err(|error| wrong(format!("{address}: {error}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(wrong(format!(
                "{address}: not an address of a server, such as https://drive.example.com"
            )));
        }
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(concat!("scaidrive-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { client, base, token })
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client.request(method, url).bearer_auth(&self.token.0)
    }

    fn get(&self, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        self.request(Method::GET, path, query)
    }

    fn post(&self, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        self.request(Method::POST, path, query)
    }
}

async fn send(request: RequestBuilder) -> Result<Response> {
    let response = request.send().await.map_err(answers::unreachable)?;
    if response.status().is_success() { Ok(response) } else { Err(answers::refusal(response).await) }
}

async fn bytes(request: RequestBuilder) -> Result<Bytes> {
    send(request).await?.bytes().await.map_err(answers::unreachable)
}

async fn json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T> {
    parse(&bytes(request).await?)
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| Error::Garbled(error.to_string()))
}

#[derive(Deserialize)]
struct Config {
    chunking: Chunking,
}

#[derive(Deserialize)]
struct Shares {
    shares: Vec<Share>,
}

#[derive(Deserialize)]
struct Page {
    changes: Vec<Row>,
    cursor: i64,
    has_more: bool,
}

#[derive(Deserialize)]
struct Head {
    cursor: i64,
}

#[derive(Deserialize)]
struct Missing {
    missing: Vec<Sha256Hash>,
}

#[async_trait]
impl Remote for HttpRemote {
    async fn chunking(&self) -> Result<Chunking> {
        let config: Config = json(self.get(&["config"], &[])).await?;
        Ok(config.chunking)
    }

    async fn shares(&self) -> Result<Vec<Share>> {
        const LIMIT: usize = 100;
        let mut all = Vec::new();
        loop {
            let (limit, offset) = (LIMIT.to_string(), all.len().to_string());
            let page: Shares = json(self.get(&["shares"], &[("limit", &limit), ("offset", &offset)])).await?;
            let is_last = page.shares.len() < LIMIT;
            all.extend(page.shares);
            if is_last {
                return Ok(all);
            }
        }
    }

    async fn register(&self, device: &Device) -> Result<()> {
        send(self.post(&["sync", "devices"], &[]).json(device)).await.map(drop)
    }

    async fn snapshot(&self, share: &ShareId) -> Result<Snapshot> {
        let response = send(self.get(&["sync", "snapshot"], &[("share_id", share.as_str())])).await?;
        let mut lines = answers::Lines::default();
        let mut body = response.bytes_stream();
        let mut found = Gathered::default();
        while let Some(bytes) = body.next().await {
            lines.push(&bytes.map_err(answers::unreachable)?);
            while let Some(line) = lines.next() {
                found.line(&line)?;
            }
        }
        found.line(&lines.rest())?;
        let cursor = found.cursor.ok_or_else(|| Error::Garbled("a snapshot without a cursor".to_owned()))?;
        Ok(Snapshot { cursor, items: found.items })
    }

    async fn changes(&self, share: &ShareId, cursor: i64, wait: Duration) -> Result<Changes> {
        let (cursor, limit, wait) = (cursor.to_string(), PAGE.to_string(), wait.as_secs().to_string());
        let query =
            [("share_id", share.as_str()), ("cursor", &*cursor), ("limit", &*limit), ("wait", &*wait)];
        let page: Page = json(self.get(&["sync", "changes"], &query)).await?;
        let changes = page.changes.into_iter().filter_map(Row::change).collect();
        Ok(Changes { changes, cursor: page.cursor, has_more: page.has_more })
    }

    async fn acknowledge(&self, share: &ShareId, device: &DeviceId, cursor: i64) -> Result<()> {
        let position = cursor.to_string();
        let query = [("share_id", share.as_str()), ("device_id", device.as_str()), ("position", &*position)];
        send(self.post(&["sync", "cursor"], &query)).await.map(drop)
    }

    async fn missing(&self, share: &ShareId, hashes: &[Sha256Hash]) -> Result<Vec<Sha256Hash>> {
        let body = json!({ "share_id": share, "hashes": hashes });
        let found: Missing = json(self.post(&["sync", "chunks", "check"], &[]).json(&body)).await?;
        Ok(found.missing)
    }

    async fn put_chunks(&self, share: &ShareId, chunks: &[Chunk]) -> Result<()> {
        let request = self.post(&["sync", "chunks"], &[("share_id", share.as_str())]);
        let request = request.header("Content-Type", "application/octet-stream").body(encode_frames(chunks));
        answers::check_receipts(&bytes(request).await?)
    }

    async fn manifest(&self, file: &ItemId) -> Result<Manifest> {
        json(self.get(&["sync", "manifest", file.as_str()], &[])).await
    }

    async fn read(&self, file: &ItemId, version: u64, offset: u64, length: u64) -> Result<Bytes> {
        let (version, start) = (version.to_string(), offset.to_string());
        // The end is the last byte, as in a `Range`.
        let end = (offset + length).saturating_sub(1).to_string();
        let query = [("version", &*version), ("range_start", &*start), ("range_end", &*end)];
        bytes(self.get(&["sync", "download", file.as_str()], &query)).await
    }

    async fn fetch(&self, files: &[ItemId]) -> Result<Vec<Chunk>> {
        let body = json!({ "file_ids": files });
        decode_frames(bytes(self.post(&["sync", "fetch"], &[]).json(&body)).await?)
    }

    async fn apply(&self, batch: &Batch) -> Result<Answer> {
        let body = bytes(self.post(&["sync", "apply"], &[]).json(&batch.body())).await?;
        Answer::read(batch, &body)
    }
}

/// A snapshot on its way.
#[derive(Default)]
struct Gathered {
    cursor: Option<i64>,
    items: Vec<crate::trees::RemoteItem>,
}

impl Gathered {
    fn line(&mut self, line: &[u8]) -> Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        if self.cursor.is_none() {
            self.cursor = Some(parse::<Head>(line)?.cursor);
            return Ok(());
        }
        let item = parse::<SnapshotLine>(line)?.item();
        self.items.push(item.ok_or_else(|| Error::Garbled("a line of a snapshot is not whole".to_owned()))?);
        Ok(())
    }
}
