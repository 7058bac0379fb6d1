//! Every route against everybody: who must stay out does, and learns nothing of what is behind.

mod matrix;
mod site;
mod timing;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use scaidrive_core::model::{AdminRole, Scope, TenantId};
use scaidrive_core::services::tenants;
use serde_json::{Value, json};

use self::matrix::{Row, answer, routes, rows};
use self::site::Site;
use crate::server::{Reply, Server};

#[test]
fn every_route_that_needs_a_token_is_in_the_matrix() {
    let (routes, rows) = (routes(), rows());
    let missing: Vec<String> = routes
        .iter()
        .filter(|route| !rows.iter().any(|row| row.ask.is_of(route)))
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert!(missing.is_empty(), "say in tests/matrix.txt who is answered what by {missing:#?}");
    for row in rows {
        row.scope(&routes);
    }
}

/// Makes another tenant with its administrator.
pub(crate) async fn other_tenant(server: &Server) -> TenantId {
    let drive = server.drive().await;
    let other = tenants::create(&drive, "Other").await.unwrap();
    let system = tenants::system_caller(&drive, other.id, "test").unwrap();
    let admin = tenants::NewUser {
        id: Some("usr_foreigner".parse().unwrap()),
        admin_role: Some(AdminRole::TenantAdmin),
        ..tenants::NewUser::default()
    };
    tenants::create_user(&drive, &system, admin).await.unwrap();
    other.id
}

/// Returns the scopes of a token that is just too weak for a scope.
fn too_weak(scope: &str) -> &'static [Scope] {
    match scope {
        "files:read" => &[],
        "files:write" => &[Scope::FilesRead],
        "tenant:admin" => &[Scope::FilesWrite],
        "partner:admin" => &[Scope::TenantAdmin],
        "*" => &[Scope::AdminAll],
        _ => panic!("say here which scope is too small for {scope}"),
    }
}

/// Returns the token that a caller of the matrix sends.
fn token(server: &Server, other: TenantId, caller: &str, scope: &str) -> Option<String> {
    let mint = |tenant, user: &str, scopes: &[Scope]| server.mint(tenant, user, scopes);
    let own = server.tenant();
    Some(match caller {
        "nobody" => return None,
        "forged" => {
            let (signed, signature) = server.token.rsplit_once('.').unwrap();
            format!("{signed}.{}", signature.chars().rev().collect::<String>())
        }
        "narrow" => mint(own, server.admin, too_weak(scope)),
        "super" => mint(own, server.admin, &[Scope::All]),
        "foreigner" => mint(other, "usr_foreigner", &[Scope::All]),
        _ => mint(own, &format!("usr_{caller}"), &[Scope::All]),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_answered_what_the_matrix_says() {
    let (routes, rows) = (routes(), rows());
    for server in Server::everywhere() {
        server.lift_limits().await;
        let other = other_tenant(&server).await;
        let mut site = Site::of(&server).await;
        for (name, role) in [("boss", "tenant_admin"), ("suspended", "tenant_admin")] {
            let user = json!({ "id": format!("usr_{name}"), "admin_role": role });
            server.post("/admin/users", &user).await.created();
        }
        server.post("/admin/users/usr_suspended/suspend", &json!({})).await.ok();
        let (mut wrong, mut asked) = (Vec::new(), 0);
        for row in &rows {
            for (caller, expected) in row.expected() {
                let token = token(&server, other, caller, row.scope(&routes));
                let ids = site.ids(&row.ask, caller).await;
                let reply = row.ask.send(&server, token.as_deref(), &ids).await;
                let got = answer(&reply);
                if got != *expected {
                    wrong.push(format!("{caller}: {:?}: {got:?}, not {expected:?}", row.ask));
                }
                if reply.status.is_success() && row.ask.changes() {
                    site.forget(&row.ask);
                }
                asked += 1;
            }
        }
        assert!(wrong.is_empty(), "{} of {asked}: {wrong:#?}", wrong.len());
        eprintln!("{asked} requests were answered as the matrix says");
        server.stop_and_check().await;
    }
}

/// Everything of an answer that a client can compare, but for what differs between any two answers.
type Told = (u16, Vec<(String, String)>, String);

/// Returns what an answer tells, with `word` for the id that was asked for: what a client sent may come back.
fn told(reply: &Reply, id: &str, word: &str) -> Told {
    let varies = ["date", "x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let headers = reply.headers.iter().filter(|(name, _)| !varies.contains(&name.as_str()));
    let mut headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    let text = String::from_utf8(reply.bytes.to_vec()).unwrap().replace(id, word);
    let body = match serde_json::from_str::<Value>(&text) {
        Ok(mut body) => {
            if body.is_object() {
                body["meta"] = Value::Null;
            }
            body.to_string()
        }
        Err(_) => text,
    };
    (reply.status.as_u16(), headers, body)
}

/// Returns an id of the same kind and length that never existed.
fn never(id: &str) -> String {
    let (kind, _) = id.split_once('_').unwrap();
    format!("{kind}_01ARZ3NDEKTSV4RRFFQ69G5FAV")
}

/// Sends a request with one of its words standing for a secret, and for what never was; returns both answers.
async fn compare(
    site: &mut Site<'_>,
    row: &Row,
    (caller, token): (&str, &str),
    (word, secret): (&'static str, &str),
) -> (Told, Told) {
    let mut answers = Vec::new();
    for id in [secret.to_owned(), never(secret)] {
        let mut ids = site.ids(&row.ask, caller).await;
        ids.insert(word, id.clone());
        // A name of its own would tell the answers apart.
        ids.entry("new").and_modify(|name| "same".clone_into(name));
        let reply = row.ask.send(site.server(), Some(token), &ids).await;
        if reply.status.is_success() && row.ask.changes() {
            site.forget(&row.ask);
        }
        answers.push(told(&reply, &id, word));
    }
    let [one, other] = answers.try_into().unwrap();
    (one, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_tenant_are_as_good_as_ids_that_never_were() {
    let rows = rows();
    for server in Server::on_each() {
        server.lift_limits().await;
        let other = other_tenant(&server).await;
        let mut theirs = Site::of(&server).await;
        let mut own = Site::of_foreigner(&server, other);
        let token = server.mint(other, "usr_foreigner", &[Scope::All]);
        let mut words = BTreeSet::new();
        for row in &rows {
            // Partners are not of tenants, devices are their users' own, and a hash is nobody's: delta/send.rs asks about those that are stored.
            let public = ["me", "new", "super", "partner", "hash_of_x", "device"];
            let secrets = row.ask.words().into_iter().filter(|word| !public.contains(word));
            for word in secrets {
                let secret = theirs.id(word).await;
                let (told, of_nothing) = compare(&mut own, row, ("foreigner", &token), (word, &secret)).await;
                assert_eq!(told, of_nothing, "{word} in {:?}", row.ask);
                words.insert(word);
            }
        }
        assert!(words.len() > 15, "{words:?} were compared");
        // All of it is as it was.
        for (kind, word) in
            [("shares", "share"), ("files", "file"), ("folders", "folder"), ("admin/users", "user")]
        {
            server.get(&format!("/{kind}/{}", theirs.id(word).await)).await.ok();
        }
        server.stop_and_check().await;
    }
}

/// What can be hidden from somebody who sees what is around it.
const HIDEABLE: [&str; 7] =
    ["share", "trashed_share", "file", "trashed", "folder", "target", "trashed_folder"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_as_good_as_what_never_was() {
    let rows = rows();
    for server in Server::on_each() {
        server.lift_limits().await;
        let mut site = Site::of(&server).await;
        let mut hidden: BTreeMap<(&str, &str), String> = BTreeMap::new();
        let mut compared = 0;
        // One could do nothing with it anyway; the other everything, were it not hidden.
        for caller in ["reader", "admin"] {
            let token = server.mint(server.tenant(), &format!("usr_{caller}"), &[Scope::All]);
            for row in &rows {
                for word in row.ask.words().into_iter().filter(|word| HIDEABLE.contains(word)) {
                    if let Entry::Vacant(unknown) = hidden.entry((caller, word)) {
                        unknown.insert(site.hidden(word, caller).await);
                    }
                    let secret = &hidden[&(caller, word)];
                    let (told, of_nothing) = compare(&mut site, row, (caller, &token), (word, secret)).await;
                    assert_eq!(told, of_nothing, "{word} hidden from {caller} in {:?}", row.ask);
                    // Who might not do it anyway may be told that, of what else the request names.
                    let (status, own) = (row.expects("stranger").0, row.expects(caller).0);
                    assert!(
                        told.0 == status || (told.0 == own && own == 403),
                        "{word} hidden from {caller} in {:?}: {told:?}",
                        row.ask
                    );
                    compared += 1;
                }
            }
        }
        assert!(compared > 150, "{compared} requests were compared");
        server.stop_and_check().await;
    }
}
