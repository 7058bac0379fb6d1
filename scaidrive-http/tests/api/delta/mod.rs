//! Delta transfer over HTTP: manifests, chunks alone and many at once, many contents at once, parts of one.

mod client;
mod read;
mod send;

use reqwest::{Body, Method};
use serde_json::json;

use crate::server::{Reply, Server, sha256};

impl Server {
    pub(crate) async fn put_chunk(&self, share: &str, bytes: &[u8]) -> Reply {
        let path = format!("/sync/chunks/{}?share_id={share}", sha256(bytes));
        Reply::of(self.request(Method::PUT, &path).body(bytes.to_vec())).await
    }

    pub(crate) async fn put_frames(&self, share: &str, body: impl Into<Body>) -> Reply {
        let path = format!("/sync/chunks?share_id={share}");
        Reply::of(self.request(Method::POST, &path).body(body)).await
    }

    pub(crate) async fn missing(&self, share: &str, hashes: &[String]) -> Vec<String> {
        let asked = json!({ "share_id": share, "hashes": hashes });
        let reply = self.post("/sync/chunks/check", &asked).await.ok();
        serde_json::from_value(reply.json["missing"].clone()).unwrap()
    }

    async fn metric(&self, name: &str) -> u64 {
        let text = Reply::of(self.client.get(format!("{}/metrics", self.operators))).await.ok().bytes;
        let text = String::from_utf8(text.to_vec()).unwrap();
        let value = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.rsplit(' ').next());
        value.map_or(0, |value| value.parse().unwrap())
    }
}

pub(crate) fn framed<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for content in contents {
        body.extend_from_slice(&hex(&sha256(content)));
        body.extend_from_slice(&(content.len() as u32).to_be_bytes());
        body.extend_from_slice(content);
    }
    body
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Splits a framed answer into hashes and contents.
fn frames(mut body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    while !body.is_empty() {
        let (head, rest) = body.split_at(36);
        let length = u32::from_be_bytes(head[32..].try_into().unwrap()) as usize;
        let hash = head[..32].iter().map(|byte| format!("{byte:02x}")).collect();
        all.push((hash, rest[..length].to_vec()));
        body = &rest[length..];
    }
    all
}

pub(crate) fn statuses(reply: &Reply) -> Vec<&str> {
    let results = reply.json["results"].as_array().unwrap();
    results.iter().map(|result| result["code"].as_str().or(result["status"].as_str()).unwrap()).collect()
}
