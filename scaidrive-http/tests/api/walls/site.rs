//! What requests are about, made when they need it.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use scaidrive_core::model::{Scope, TenantId};
use serde_json::{Value, json};

use super::matrix::{Ask, Ids};
use crate::server::{Reply, Server, sha256};

/// What its members are in every share that is made.
const MEMBERS: [&str; 3] = ["reader", "contributor", "admin"];

/// Shares, files, people of one tenant, made on demand by an administrator, each once until they are forgotten.
pub(super) struct Site<'s> {
    server: &'s Server,
    tenant: TenantId,
    /// An administrator's token.
    admin: String,
    /// Owns the shares, and what is in them.
    owner: &'static str,
    members: &'static [&'static str],
    made: BTreeMap<&'static str, String>,
}

impl<'s> Site<'s> {
    /// Returns the site whose shares have an owner and a member of each role, in the server's first tenant.
    pub(super) async fn of(server: &'s Server) -> Self {
        let site = Self {
            server,
            tenant: server.tenant(),
            admin: server.token.clone(),
            owner: "owner",
            members: &MEMBERS,
            made: BTreeMap::new(),
        };
        for name in ["reader", "contributor", "admin", "owner", "stranger"] {
            let user = json!({ "id": format!("usr_{name}"), "email": format!("{name}@example.org") });
            site.make("/admin/users", &user).await;
        }
        site
    }

    /// Returns the site of another tenant, where its administrator `usr_foreigner` owns all, alone.
    pub(super) fn of_foreigner(server: &'s Server, tenant: TenantId) -> Self {
        let admin = server.mint(tenant, "usr_foreigner", &[Scope::All]);
        Self { server, tenant, admin, owner: "foreigner", members: &[], made: BTreeMap::new() }
    }

    pub(super) fn server(&self) -> &'s Server {
        self.server
    }

    /// Forgets what a request that succeeded may have changed, so that the next one gets it new.
    pub(super) fn forget(&mut self, ask: &Ask) {
        self.made.retain(|word, _| *word == "share" && ask.spares_the_share());
    }

    /// Returns what a request's words stand for; `caller` is who asks.
    pub(super) async fn ids(&mut self, ask: &Ask, caller: &str) -> Ids {
        let mut ids = Ids::new();
        for word in ask.words() {
            let id = match word {
                "me" if ["narrow", "super"].contains(&caller) => self.server.admin.to_owned(),
                "me" => format!("usr_{caller}"),
                "new" => fresh(),
                "device" => self.device_of(caller).await,
                _ => self.id(word).await,
            };
            ids.insert(word, id);
        }
        ids
    }

    /// Registers a device of the caller's; what a caller may not have is not there for it either.
    async fn device_of(&self, caller: &str) -> String {
        let (tenant, user) = match caller {
            "narrow" | "super" => (self.tenant, self.server.admin.to_owned()),
            "foreigner" => return "nobodys".to_owned(),
            _ => (self.tenant, format!("usr_{caller}")),
        };
        let token = self.server.mint(tenant, &user, &[Scope::All]);
        let device = json!({ "device_id": "laptop", "device_name": "Laptop" });
        let url = format!("{}/api/v1/sync/devices", self.server.url);
        self.server.client.post(url).bearer_auth(token).json(&device).send().await.unwrap();
        "laptop".to_owned()
    }

    /// Returns what a word stands for, made now unless it is there.
    pub(super) fn id(&mut self, word: &'static str) -> BoxFuture<'_, String> {
        async move {
            if let Some(id) = self.made.get(word) {
                return id.clone();
            }
            let id = self.make_word(word).await;
            self.made.insert(word, id.clone());
            id
        }
        .boxed()
    }

    /// Makes a thing of this kind in the same share and folder, or another share, on which a user is denied READ
    /// and whatever would let it in without.
    pub(super) async fn hidden(&mut self, word: &'static str, user: &str) -> String {
        let (share, folder) = (self.id("share").await, self.id("folder").await);
        let around = [("share", share), ("folder", folder)].into_iter().filter(|(part, _)| *part != word);
        let made = if word.ends_with("share") { BTreeMap::new() } else { around.collect() };
        let mut aside = Site { made, admin: self.admin.clone(), ..*self };
        let id = aside.id(word).await;
        let kind = ["file", "folder", "share"].into_iter().find(|kind| word.ends_with(kind));
        let kind = kind.unwrap_or(if word == "target" { "folder" } else { "file" });
        let deny = json!({
            "principal_type": "user", "principal_id": format!("usr_{user}"), "ace_type": "deny",
            "permissions": ["READ", "MANAGE_PERMISSIONS"],
        });
        // Nothing changes on a share in the trash.
        if word == "trashed_share" {
            Reply::of(self.as_admin(Method::POST, &format!("/shares/{id}/restore"))).await.ok();
        }
        self.make(&format!("/permissions/acl/{kind}/{id}"), &deny).await;
        if word == "trashed_share" {
            self.delete(&format!("/shares/{id}")).await;
        }
        id
    }

    async fn make_word(&mut self, word: &'static str) -> String {
        match word {
            "tenant" => self.tenant.to_string(),
            "partner" => self.partner().await,
            "super" => self.server.admin.to_owned(),
            "hash_of_x" => sha256(b"x"),
            "share" | "trashed_share" => self.share(word).await,
            "file" | "trashed" | "folder" | "target" | "trashed_folder" => self.node(word).await,
            "file_ace" | "folder_ace" | "share_ace" => self.ace(word).await,
            "member" | "owner_member" | "invitation" => self.guest(word).await,
            "user" | "group" | "insider" => self.principal(word).await,
            "limited_user" | "limited_group" => self.limited(word).await,
            "conflict" => self.conflict().await,
            "upload" => self.upload(1).await,
            "sent_upload" => self.upload(0).await,
            _ => panic!("say here how {{{word}}} is made"),
        }
    }

    async fn partner(&self) -> String {
        let tenant = Reply::of(self.as_admin(Method::GET, "/admin/tenant")).await.ok().json;
        tenant["partner_id"].as_str().unwrap().to_owned()
    }

    async fn share(&self, word: &str) -> String {
        let owner = format!("usr_{}", self.owner);
        let share = json!({ "name": fresh(), "share_type": "project", "owner_id": owner });
        let id = self.make("/shares", &share).await;
        for role in self.members {
            let member =
                json!({ "principal_type": "user", "principal_id": format!("usr_{role}"), "role": role });
            self.make(&format!("/shares/{id}/members"), &member).await;
        }
        if word == "trashed_share" {
            self.delete(&format!("/shares/{id}")).await;
        }
        id
    }

    /// Makes a file of two versions, or a folder, for the owner.
    async fn node(&mut self, word: &str) -> String {
        let share = self.id("share").await;
        let (kind, id) = if word == "file" || word == "trashed" {
            let form = Form::new().text("share_id", share).text("folder_id", self.id("folder").await);
            let part = Part::bytes(b"x".as_slice()).file_name(fresh());
            let upload = self.as_owner(Method::POST, "/files").multipart(form.part("file", part));
            let id = Reply::of(upload).await.created().id();
            let put = self.as_owner(Method::PUT, &format!("/files/{id}/content")).body("more");
            Reply::of(put).await.ok();
            ("files", id)
        } else {
            let folder = json!({ "share_id": share, "name": fresh() });
            ("folders", Reply::of(self.as_owner(Method::POST, "/folders").json(&folder)).await.created().id())
        };
        if word.starts_with("trashed") {
            self.delete(&format!("/{kind}/{id}")).await;
        }
        id
    }

    async fn ace(&mut self, word: &str) -> String {
        let kind = ["file", "folder", "share"].into_iter().find(|kind| word.starts_with(kind)).unwrap();
        let on = self.id(kind).await;
        let entry = json!({ "principal_type": "everyone", "ace_type": "deny", "permissions": ["SHARE"] });
        self.make(&format!("/permissions/acl/{kind}/{on}"), &entry).await
    }

    /// Lets somebody into the share, invites the stranger, or looks for the owner's membership.
    async fn guest(&mut self, word: &str) -> String {
        let share = self.id("share").await;
        let path = format!("/shares/{share}/members");
        if word == "owner_member" {
            let members = Reply::of(self.as_admin(Method::GET, &path)).await.ok().json;
            return members["members"][0]["id"].as_str().unwrap().to_owned();
        }
        if word == "invitation" {
            let invitation = json!({ "email": "stranger@example.org", "role": "reader" });
            return self.make(&format!("/shares/{share}/invitations"), &invitation).await;
        }
        let guest = self.make("/admin/users", &json!({})).await;
        self.make(&path, &json!({ "principal_type": "user", "principal_id": guest, "role": "reader" })).await
    }

    async fn principal(&mut self, word: &str) -> String {
        if word == "group" {
            return self.make("/admin/groups", &json!({ "name": fresh() })).await;
        }
        let user = self.make("/admin/users", &json!({})).await;
        if word == "insider" {
            let path = format!("/admin/groups/{}/members", self.id("group").await);
            let body = json!({ "user_id": user });
            Reply::of(self.as_admin(Method::POST, &path).json(&body)).await.created();
        }
        user
    }

    /// Makes a user or group with a quota.
    async fn limited(&mut self, word: &str) -> String {
        let kind = word.strip_prefix("limited_").unwrap();
        let id = self.principal(kind).await;
        let put = self.as_admin(Method::PUT, &format!("/quotas/{kind}s/{id}"));
        Reply::of(put.json(&json!({ "limit_bytes": 1_000_000 }))).await.ok();
        id
    }

    /// Lets the owner meet a conflict that waits: a delete of what was edited since.
    async fn conflict(&mut self) -> String {
        let (share, file) = (self.id("share").await, self.id("file").await);
        let change = json!({
            "client_change_id": fresh(), "resource_type": "file", "change_type": "deleted", "resource_id": file,
            "base_version_id": "ver_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        });
        let batch = json!({
            "device_id": "d", "share_id": share, "conflict_resolution": "MANUAL", "changes": [change],
        });
        let reply = Reply::of(self.as_owner(Method::POST, "/sync/apply").json(&batch)).await.ok();
        reply.json["conflicts"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Lets the owner begin an upload; one of nothing has all its parts.
    async fn upload(&mut self, size: u64) -> String {
        let upload = json!({ "share_id": self.id("share").await, "file_name": fresh(), "file_size": size });
        let reply = Reply::of(self.as_owner(Method::POST, "/uploads").json(&upload)).await.created();
        reply.json["session_id"].as_str().unwrap().to_owned()
    }

    async fn make(&self, path: &str, body: &Value) -> String {
        Reply::of(self.as_admin(Method::POST, path).json(body)).await.created().id()
    }

    async fn delete(&self, path: &str) {
        Reply::of(self.as_admin(Method::DELETE, path)).await.gone_well();
    }

    fn as_admin(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1{path}", self.server.url);
        self.server.client.request(method, url).bearer_auth(&self.admin)
    }

    fn as_owner(&self, method: Method, path: &str) -> RequestBuilder {
        let token = self.server.mint(self.tenant, &format!("usr_{}", self.owner), &[Scope::FilesWrite]);
        self.server.client.request(method, format!("{}/api/v1{path}", self.server.url)).bearer_auth(token)
    }
}

/// Returns a text that was never used.
fn fresh() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("new-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}
