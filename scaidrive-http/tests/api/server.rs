//! A real server process of its own for each test, and what tests say to it.

mod clustered;
mod launch;

use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use scaidrive_core::adapters::issuer::EmbeddedIssuer;
use scaidrive_core::adapters::local::SystemClock;
use scaidrive_core::config::Config;
use scaidrive_core::model::{Scope, TenantId, UserId};
use scaidrive_core::ports::metadata::LogBounds;
use scaidrive_core::services::{collect, fsck, tenants};
use scaidrive_core::{Drive, open};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) use self::launch::{launch, program};
use crate::databases::MariaDb;
pub(crate) use crate::noise::noise;

/// A running server on its own data directory.
pub(crate) struct Server {
    pub(crate) dir: Arc<tempfile::TempDir>,
    pub(crate) url: String,
    pub(crate) operators: String,
    pub(crate) token: String,
    /// Who administers the installation, and whose the token is.
    pub(crate) admin: &'static str,
    pub(crate) client: Client,
    /// Nothing where it is the cluster's, which goes on after the test.
    process: Option<Child>,
    settings: Vec<(String, String)>,
    /// Kept for what it holds; nothing for a server on SQLite.
    database: Option<Arc<MariaDb>>,
}

impl Server {
    /// Starts a server on SQLite and local files.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server on SQLite with these variables set.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_on(None, settings)
    }

    /// Returns a server on SQLite, and after it one on MariaDB where there is one.
    pub(crate) fn on_each() -> impl Iterator<Item = Self> {
        Self::on_each_with(&[])
    }

    /// Returns a server on SQLite, and after it one on MariaDB where there is one, with these variables set.
    pub(crate) fn on_each_with(settings: &[(&str, &str)]) -> impl Iterator<Item = Self> {
        let on_mariadb = || MariaDb::create().map(|database| Self::start_on(Some(database), settings));
        std::iter::once_with(|| Some(Self::start_with(settings)))
            .chain(std::iter::once_with(on_mariadb))
            .flatten()
    }

    pub(crate) fn start_on(database: Option<MariaDb>, settings: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), database, settings)
    }

    /// Starts a server on what lies in a directory.
    pub(crate) fn start_in(
        dir: tempfile::TempDir,
        database: Option<MariaDb>,
        settings: &[(&str, &str)],
    ) -> Self {
        let dir = Arc::new(dir);
        let url = database.as_ref().map(|database| ("SCAIDRIVE_DATABASE_URL", database.url.as_str()));
        let settings: Vec<(String, String)> =
            settings.iter().copied().chain(url).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let (process, url, operators, token) = launch(dir.path(), &settings, &[]);
        let token = token.unwrap_or_default();
        let database = database.map(Arc::new);
        let (admin, client) = ("admin", Client::new());
        Self { dir, url, operators, token, admin, client, process: Some(process), settings, database }
    }

    /// Starts another process on the same data.
    pub(crate) fn beside(&self) -> Self {
        let (process, url, operators, _) = launch(self.dir.path(), &self.settings, &[]);
        Self {
            dir: Arc::clone(&self.dir),
            url,
            operators,
            token: self.token.clone(),
            admin: self.admin,
            client: Client::new(),
            process: Some(process),
            settings: self.settings.clone(),
            database: self.database.clone(),
        }
    }

    /// Kills the server without a warning and starts it again on what it left.
    pub(crate) fn kill_and_restart(&mut self) {
        self.own_process().kill().unwrap();
        self.own_process().wait().unwrap();
        self.restart();
    }

    /// Starts a stopped server again.
    pub(crate) fn restart(&mut self) {
        let (process, url, operators, _) = launch(self.dir.path(), &self.settings, &[]);
        (self.process, self.url, self.operators) = (Some(process), url, operators);
    }

    /// Lets a test ask for more in a minute than anybody would.
    pub(crate) async fn lift_limits(&self) {
        let limits = json!({ "rate_limit_token": 10_000_000, "rate_limit_user": 10_000_000, "rate_limit_tenant": 10_000_000 });
        self.patch("/admin/tenant", &json!({ "settings": limits })).await.ok();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("a server of the test's own").id()
    }

    fn own_process(&mut self) -> &mut Child {
        self.process.as_mut().expect("a server of the test's own")
    }

    /// Asks the server to stop and waits until it has.
    pub(crate) fn stop(&mut self) {
        let told = Command::new("kill").arg(self.pid().to_string()).status().unwrap();
        assert!(told.success());
        assert!(self.own_process().wait().unwrap().success(), "the server ends well when told to");
    }

    /// Stops the server and checks what must hold after every test: nothing missing, damaged, dangling or
    /// miscounted, no position of the feed left out, no job that failed.
    pub(crate) async fn stop_and_check(mut self) {
        if self.process.is_some() {
            self.stop();
        }
        let drive = self.drive().await;
        for tenant in tenants::list(&drive).await.unwrap() {
            let report = fsck::run(&drive, tenant.id, true).await.unwrap();
            assert!(report.is_clean(), "{report:?}");
            check_feed(&drive, tenant.id).await;
        }
    }

    /// Opens the core on what the server works on.
    pub(crate) async fn drive(&self) -> Drive {
        let lookup = |name: &str| match name {
            "SCAIDRIVE_DATA_DIR" => Some(self.dir.path().display().to_string()),
            _ => self.settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()),
        };
        open::open(&Config::from_lookup(lookup).unwrap()).await.unwrap()
    }

    /// Collects at once what nothing refers to.
    pub(crate) async fn collect(&self) -> collect::Collected {
        let drive = self.drive().await;
        let tenant = tenants::first(&drive).await.unwrap().id;
        let plan = collect::Plan { grace: Duration::ZERO, dry_run: false, quarantine: Duration::ZERO };
        collect::run(&drive, tenant, plan).await.unwrap()
    }

    pub(crate) fn tenant(&self) -> TenantId {
        let payload = self.token.split('.').nth(1).unwrap();
        let json =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
        serde_json::from_slice::<Value>(&json).unwrap()["tenant_id"].as_str().unwrap().parse().unwrap()
    }

    /// Returns a token of the server's issuer: its own, or the cluster's.
    pub(crate) fn mint(&self, tenant: TenantId, user: &str, scopes: &[Scope]) -> String {
        if self.process.is_none() {
            return clustered::mint(tenant, user, scopes);
        }
        let issuer = EmbeddedIssuer::open(self.dir.path(), Arc::new(SystemClock)).unwrap();
        let user: UserId = user.parse().unwrap();
        issuer.mint(tenant, &user, scopes, Duration::from_secs(3600)).unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        Reply::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        Reply::of(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        Reply::of(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Reply {
        Reply::of(self.request(Method::PATCH, path).json(body)).await
    }

    /// Creates a share and returns its id.
    pub(crate) async fn share(&self, name: &str) -> String {
        let reply = self.post("/shares", &json!({ "name": name, "share_type": "project" })).await;
        reply.created().id()
    }

    /// Creates a folder and returns its id.
    pub(crate) async fn folder(&self, share: &str, parent: Option<&str>, name: &str) -> String {
        let body = json!({ "share_id": share, "parent_id": parent, "name": name });
        self.post("/folders", &body).await.created().id()
    }

    /// Uploads a file into a share or a folder of it.
    pub(crate) async fn upload(
        &self,
        share: &str,
        folder: Option<&str>,
        name: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> Reply {
        let mut form = reqwest::multipart::Form::new().text("share_id", share.to_owned());
        if let Some(folder) = folder {
            form = form.text("folder_id", folder.to_owned());
        }
        let part = reqwest::multipart::Part::bytes(bytes.into()).file_name(name.to_owned());
        let form = form.text("name", name.to_owned()).part("file", part);
        Reply::of(self.request(Method::POST, "/files").multipart(form)).await
    }

    pub(crate) async fn put(&self, id: &str, bytes: impl Into<Vec<u8>>) -> Reply {
        Reply::of(self.request(Method::PUT, &format!("/files/{id}/content")).body(bytes.into())).await
    }

    pub(crate) async fn content(&self, id: &str) -> Reply {
        self.get(&format!("/files/{id}/content")).await
    }

    /// Returns the names in a folder, or in a share's root.
    pub(crate) async fn names(&self, share: &str, folder: &str) -> Vec<String> {
        let reply = self.get(&format!("/folders/{folder}/children?share_id={share}")).await.ok();
        let items = reply.json["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone where the test stopped it.
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

async fn check_feed(drive: &Drive, tenant: TenantId) {
    let mut rows = drive.read().await.unwrap();
    // What lies up to the floor need not be there any more.
    let LogBounds { floor: mut after, head } = rows.log_bounds(tenant).await.unwrap();
    while after < head {
        for change in rows.changes(tenant, after, 5000).await.unwrap() {
            assert_eq!(change.position, after + 1, "the feed has a hole");
            after = change.position;
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: bytes::Bytes,
    pub(crate) json: Value,
}

impl Reply {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer comes back");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("the answer is whole");
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let reply = Self { status, headers, bytes, json };
        reply.check_error_body();
        reply
    }

    /// Every refusal has the one error body, whoever made it.
    fn check_error_body(&self) {
        assert!(self.headers.contains_key("x-request-id"), "{self:?}");
        if self.status.is_client_error() || self.status.is_server_error() {
            let told = &self.json;
            assert!(told["status"] == "error" && told["error"]["code"].is_string(), "{self:?}");
            assert!(told["error"]["message"].is_string() && told["error"]["details"].is_object(), "{self:?}");
            assert_eq!(told["meta"]["request_id"], self.header("x-request-id"), "{self:?}");
            assert_eq!(told["detail"].is_array(), self.status == 422, "{self:?}");
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn id(&self) -> String {
        self.json["id"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }

    pub(crate) fn created(self) -> Self {
        assert_eq!(self.status, 201, "{self:?}");
        self
    }

    pub(crate) fn gone_well(self) -> Self {
        assert_eq!(self.status, 204, "{self:?}");
        assert!(self.bytes.is_empty());
        self
    }

    /// Asserts a refusal with this status and code.
    pub(crate) fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status.as_u16(), self.json["error"]["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        self
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
