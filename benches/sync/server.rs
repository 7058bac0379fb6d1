//! The server under measurement: its own process, on a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) struct Server {
    dir: tempfile::TempDir,
    process: Child,
    client: Client,
    url: String,
    pub(crate) token: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Command::new(env!("CARGO_BIN_EXE_scaidrive-server"))
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .env_clear()
            .env("SCAIDRIVE_DATA_DIR", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a server");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut told = |what: &str| {
            let line = lines.next().expect("a line").expect("a line");
            line.strip_prefix(what).expect("what it says at its start").to_owned()
        };
        let (url, token) = (told("ScaiDrive listens on ") + "/api/v1", told("Admin token: "));
        let server = Self { dir, process, client: Client::new(), url, token };
        // A sync asks for more in a minute than the usual limits allow one token.
        let limits = json!({ "rate_limit_token": 10_000_000, "rate_limit_user": 10_000_000, "rate_limit_tenant": 10_000_000 });
        server
            .json(server.request(Method::PATCH, "/admin/tenant").json(&json!({ "settings": limits })))
            .await;
        server
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    async fn json(&self, request: RequestBuilder) -> Value {
        let reply = request.send().await.expect("an answer");
        let status = reply.status();
        let told: Value = reply.json().await.expect("JSON");
        assert!(status.is_success(), "{status}: {told}");
        told
    }

    pub(crate) async fn share(&self, name: &str) -> String {
        let new = json!({ "name": name, "share_type": "project" });
        let share = self.json(self.request(Method::POST, "/shares").json(&new)).await;
        share["id"].as_str().expect("an id").to_owned()
    }

    /// Makes a user who is a reader of every share, and returns its token.
    pub(crate) async fn reader(&self) -> String {
        self.json(self.request(Method::POST, "/admin/users").json(&json!({ "id": "usr_reader" }))).await;
        let shares = self.json(self.request(Method::GET, "/shares")).await;
        for share in shares["shares"].as_array().expect("shares") {
            let member = json!({ "principal_type": "user", "principal_id": "usr_reader", "role": "reader" });
            let path = format!("/shares/{}/members", share["id"].as_str().expect("an id"));
            self.json(self.request(Method::POST, &path).json(&member)).await;
        }
        self.mint("usr_reader")
    }

    fn mint(&self, user: &str) -> String {
        use scaidrive_core::adapters::issuer::EmbeddedIssuer;
        use scaidrive_core::adapters::local::SystemClock;
        use scaidrive_core::model::Scope;
        let payload = self.token.split('.').nth(1).expect("a payload");
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let payload = base64::Engine::decode(&engine, payload).expect("base64");
        let payload: Value = serde_json::from_slice(&payload).expect("JSON");
        let tenant = payload["tenant_id"].as_str().expect("a tenant").parse().expect("a tenant");
        let issuer = EmbeddedIssuer::open(self.dir(), std::sync::Arc::new(SystemClock)).expect("the issuer");
        let hour = std::time::Duration::from_secs(3600);
        issuer.mint(tenant, &user.parse().expect("a user"), &[Scope::All], hour).expect("a token")
    }

    pub(crate) async fn put_frames(&self, share: &str, body: Vec<u8>) {
        let path = format!("/sync/chunks?share_id={share}");
        let told = self.json(self.request(Method::POST, &path).body(body)).await;
        let results = told["results"].as_array().expect("results");
        assert!(results.iter().all(|result| result["status"] == "created"));
    }

    pub(crate) async fn apply(&self, batch: Vec<u8>) {
        let told = self.json(self.request(Method::POST, "/sync/apply").body(batch)).await;
        let applied = told["applied"].as_array().map_or(0, Vec::len);
        assert_eq!(applied, crate::BATCH, "the first refusal: {}", told["errors"][0]);
    }

    pub(crate) async fn upload(&self, share: &str, name: String, bytes: Vec<u8>) {
        let form = reqwest::multipart::Form::new().text("share_id", share.to_owned()).text("name", name);
        let form = form.part("file", reqwest::multipart::Part::bytes(bytes));
        self.json(self.request(Method::POST, "/files").multipart(form)).await;
    }

    pub(crate) async fn feed_page(&self, token: &str, after: i64) -> bytes::Bytes {
        let url = format!("{}/sync/changes?cursor={after}&limit=1000", self.url);
        let reply = self.client.get(url).bearer_auth(token).send().await.expect("an answer");
        assert!(reply.status().is_success(), "{}", reply.status());
        reply.bytes().await.expect("a page")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is only ever measured; what it leaves is removed with its directory.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
