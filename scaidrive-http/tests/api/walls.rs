//! Every route of the table against those who must not pass: strangers, the suspended, small scopes, other tenants.

use reqwest::{Method, RequestBuilder, Response};
use scaidrive_core::model::Scope;
use scaidrive_core::services::tenants;
use serde_json::{Value, json};

use crate::server::Server;

/// A row of the route table: method, path, and the scope it demands.
struct Row {
    method: Method,
    path: &'static str,
    scope: &'static str,
}

fn rows() -> Vec<Row> {
    let table = include_str!("../routes.txt");
    let row = |line: &'static str| {
        let mut words = line.split_whitespace();
        let method = words.next().unwrap().parse().unwrap();
        Row { method, path: words.next().unwrap(), scope: words.next().unwrap() }
    };
    let rows: Vec<Row> = table.lines().map(row).filter(|row| row.scope != "public").collect();
    assert!(rows.len() > 90, "the table was read");
    rows
}

/// What stands in the paths and bodies of requests.
struct Ids {
    share: String,
    folder: String,
    file: String,
    user: String,
    group: String,
    member: String,
    ace: String,
    invitation: String,
    tenant: String,
    partner: String,
}

impl Ids {
    /// Ids of the right form that never existed.
    fn never() -> Self {
        let id = |prefix: &str| format!("{prefix}_01ARZ3NDEKTSV4RRFFQ69G5FAV");
        Self {
            share: id("shr"),
            folder: id("fld"),
            file: id("fil"),
            user: "usr_never".to_owned(),
            group: "grp_never".to_owned(),
            member: id("mbr"),
            ace: id("ace"),
            invitation: id("inv"),
            tenant: id("tnt"),
            partner: id("prt"),
        }
    }

    async fn of(server: &Server) -> Self {
        let share = server.share("Walls").await;
        let folder = server.post("/folders", &json!({ "share_id": share, "name": "f" })).await.created().id();
        let file = server.upload(&share, Some(&folder), "a.txt", "x").await.created().id();
        let user = "usr_inside".to_owned();
        server.post("/admin/users", &json!({ "id": user })).await.created();
        let group = server.post("/admin/groups", &json!({ "name": "G" })).await.created().id();
        let member = json!({ "principal_type": "user", "principal_id": user, "role": "reader" });
        let member = server.post(&format!("/shares/{share}/members"), &member).await.created().id();
        let entry = json!({ "principal_type": "everyone", "ace_type": "deny", "permissions": ["SHARE"] });
        let ace = server.post(&format!("/permissions/acl/file/{file}"), &entry).await.created().id();
        let invitation = json!({ "email": "a@b.example", "role": "reader" });
        let invitation =
            server.post(&format!("/shares/{share}/invitations"), &invitation).await.created().id();
        let tenant = server.tenant().to_string();
        let partner = server.get("/admin/tenant").await.ok().json["partner_id"].as_str().unwrap().to_owned();
        Self { share, folder, file, user, group, member, ace, invitation, tenant, partner }
    }

    /// Fills a path in; several where `{type}` stands for several kinds.
    fn fill(&self, path: &str) -> Vec<String> {
        let kinds = [("file", &self.file), ("folder", &self.folder), ("share", &self.share)];
        if path.contains("{type}") {
            let fill = |(kind, id): (&str, &String)| path.replace("{type}", kind).replace("{id}", id);
            return kinds.into_iter().map(fill).map(|path| path.replace("{ace_id}", &self.ace)).collect();
        }
        let own = |word: &str| path.contains(word);
        let id = match () {
            () if own("/users/me/invitations/") => &self.invitation,
            () if own("/files/") => &self.file,
            () if own("/folders/") => &self.folder,
            () if own("/groups/") => &self.group,
            () if own("/users/") => &self.user,
            () if own("/partners/") => &self.partner,
            () if own("/tenants/") => &self.tenant,
            () => &self.share,
        };
        let path = path.replace("{id}", id).replace("{n}", "1").replace("{user_id}", &self.user);
        let path = path.replace("{member_id}", &self.member).replace("{inv_id}", &self.invitation);
        let path = path.replace("{device_id}", "laptop");
        assert!(!path.contains('{'), "{path}: say in `fill` what stands there");
        let query = match () {
            () if path.ends_with("/children") => format!("?share_id={}", self.share),
            () if path.ends_with("/sync/changes") || path.ends_with("/sync/snapshot") => {
                format!("?share_id={}", self.share)
            }
            () if ["/sync/status", "/sync/cursor", "/sync/preferences"]
                .iter()
                .any(|end| path.ends_with(end)) =>
            {
                format!("?share_id={}&device_id=laptop&position=1", self.share)
            }
            () if path.ends_with("/permissions/check") => {
                format!("?resource_type=file&resource_id={}&permission=READ", self.file)
            }
            () if path.ends_with("/effective") => format!("?resource_type=file&resource_id={}", self.file),
            () if path.ends_with("/favorites") => format!("?resource_id={}", self.file),
            () if path.ends_with("/audit/export") => format!("?format=csv&resource_id={}", self.file),
            () if path.ends_with("/audit") => format!("?resource_id={}", self.file),
            () => String::new(),
        };
        vec![path + &query]
    }

    /// Returns a body that any route would take, as far as it asks for one.
    fn body(&self) -> Value {
        json!({
            "share_id": self.share, "folder_id": self.folder, "parent_id": self.folder, "name": "n",
            "share_type": "project", "owner_id": self.user, "target_folder_id": self.folder,
            "resource_type": "file", "resource_id": self.file, "permission": "READ",
            "checks": [{ "resource_type": "file", "resource_id": self.file, "permission": "READ" }],
            "principal_type": "user", "principal_id": self.user, "role": "reader", "ace_type": "allow",
            "permissions": ["READ"], "entries": [], "inherit_from_parent": true, "new_owner_id": self.user,
            "email": "x@y.example", "user_id": self.user, "limit_bytes": 1, "exempt": true, "settings": {},
            "device_id": "laptop", "device_name": "L", "mode": "all", "folders": [],
        })
    }
}

struct Client<'s> {
    server: &'s Server,
    token: Option<String>,
}

impl Client<'_> {
    async fn ask(&self, row: &Row, ids: &Ids, path: &str) -> Response {
        let url = format!("{}{path}", self.server.url);
        let request: RequestBuilder = self.server.client.request(row.method.clone(), url);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let sends = row.method != Method::GET;
        let request = if sends && row.path != "/api/v1/files" { request.json(&ids.body()) } else { request };
        request.send().await.unwrap()
    }

    /// Returns status and code of the answer.
    async fn refusal(&self, row: &Row, ids: &Ids) -> (u16, String) {
        let answer = self.ask(row, ids, &ids.fill(row.path)[0]).await;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap_or_default();
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_lets_in_who_must_stay_out() {
    let server = Server::start();
    server.lift_limits().await;
    let ids = Ids::of(&server).await;
    let mint = |user: &str, scopes: &[Scope]| Some(server.mint(server.tenant(), user, scopes));
    server.post("/admin/users", &json!({ "id": "usr_out" })).await.created();
    server.post("/admin/users/usr_out/suspend", &json!({})).await.ok();
    let client = |token| Client { server: &server, token };
    for row in rows() {
        let name = format!("{} {}", row.method, row.path);
        for (token, wanted) in [
            (None, (401, "AUTH_TOKEN_MISSING")),
            (Some("bad".to_owned()), (401, "AUTH_TOKEN_INVALID")),
            (mint("usr_out", &[Scope::All]), (403, "AUTHZ_USER_SUSPENDED")),
            (mint("usr_in", &[]), (403, "SCOPE_INSUFFICIENT")),
        ] {
            let got = client(token).refusal(&row, &ids).await;
            assert_eq!((got.0, got.1.as_str()), wanted, "{name}");
        }
        if row.scope != "files:read" {
            let got = client(mint("usr_in", &[Scope::FilesRead])).refusal(&row, &ids).await;
            assert_eq!((got.0, got.1.as_str()), (403, "SCOPE_INSUFFICIENT"), "{name} to who may only read");
        }
        if !row.scope.starts_with("files:") {
            // A claim alone makes nobody an administrator.
            let got = client(mint("usr_in", &[Scope::All])).refusal(&row, &ids).await;
            assert_eq!((got.0, got.1.as_str()), (403, "PERMISSION_DENIED"), "{name} without the role");
        }
    }
    server.stop_and_check().await;
}

/// Returns everything of an answer that a client can compare, but for what differs between any two answers.
async fn told(answer: Response, ids: &Ids) -> (u16, Vec<(String, String)>, String) {
    let status = answer.status().as_u16();
    let varies =
        ["date", "x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset", "etag", "last-modified"];
    let mut headers: Vec<(String, String)> = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !varies.contains(&name.as_str()) && name != "content-length")
        .collect();
    headers.sort();
    let text = answer.text().await.unwrap();
    // What the client sent may come back; the ids are told apart by nothing else.
    let known = [
        (&ids.share, "SHARE"),
        (&ids.folder, "FOLDER"),
        (&ids.file, "FILE"),
        (&ids.user, "USER"),
        (&ids.group, "GROUP"),
        (&ids.member, "MEMBER"),
        (&ids.ace, "ACE"),
        (&ids.invitation, "INVITATION"),
        (&ids.tenant, "TENANT"),
    ];
    let text = known.iter().fold(text, |text, (id, word)| text.replace(id.as_str(), word));
    let body = match serde_json::from_str::<Value>(&text) {
        Ok(mut body) => {
            body["meta"] = Value::Null;
            body.to_string()
        }
        Err(_) => text,
    };
    (status, headers, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_tenant_are_as_good_as_ids_that_never_were() {
    let server = Server::start();
    server.lift_limits().await;
    let (ids, never) = (Ids::of(&server).await, Ids::never());
    let drive = server.drive().await;
    let other = tenants::create(&drive, "Other").await.unwrap();
    let admin = tenants::NewUser {
        id: Some("usr_boss".parse().unwrap()),
        admin_role: Some(scaidrive_core::model::AdminRole::TenantAdmin),
        ..tenants::NewUser::default()
    };
    let system = tenants::system_caller(&drive, other.id, "test").unwrap();
    tenants::create_user(&drive, &system, admin).await.unwrap();
    drop(drive);
    let token = Some(server.mint(other.id, "usr_boss", &[Scope::All]));
    let client = Client { server: &server, token };
    let mut compared = 0;
    for row in rows() {
        // What makes new things of its own succeeds, and differs by what it made.
        let makes = ["/api/v1/shares", "/api/v1/admin/users", "/api/v1/admin/groups", "/api/v1/sync/devices"];
        if row.method == Method::POST && makes.contains(&row.path) && row.path != "/api/v1/shares" {
            continue;
        }
        // The tenant's own log of what was just asked, with times and ids of its own.
        if row.path.starts_with("/api/v1/admin/audit") {
            continue;
        }
        for (path, path_never) in ids.fill(row.path).iter().zip(never.fill(row.path)) {
            if *path == path_never && row.method == Method::GET {
                continue;
            }
            let theirs = told(client.ask(&row, &ids, path).await, &ids).await;
            let nobodys = told(client.ask(&row, &never, &path_never).await, &never).await;
            assert_eq!(theirs, nobodys, "{} {}", row.method, row.path);
            compared += 1;
        }
    }
    assert!(compared > 80, "{compared} requests were compared");
    eprintln!("{compared} requests of another tenant were compared");
    server.stop_and_check().await;
}
