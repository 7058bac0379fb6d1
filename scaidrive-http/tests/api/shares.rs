//! Shares, users, and the walls between them.

use reqwest::Method;
use scaidrive_core::model::Scope;
use scaidrive_core::services::tenants;
use serde_json::json;

use crate::server::{Reply, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_share_lives_and_dies() {
    for server in Server::on_each() {
        let id = server.share("Projects").await;
        let file = server.upload(&id, None, "a.txt", "hello").await.created().id();
        let share = server.get(&format!("/shares/{id}")).await.ok();
        assert_eq!((&share.json["used_bytes"], &share.json["owner_id"]), (&json!(5), &json!("admin")));
        let change = json!({ "name": "Renamed", "description": "d", "quota_bytes": 10 });
        assert_eq!(server.patch(&format!("/shares/{id}"), &change).await.ok().json["quota_bytes"], 10);
        let cleared = server.patch(&format!("/shares/{id}"), &json!({ "quota_bytes": null })).await.ok();
        assert_eq!((&cleared.json["quota_bytes"], &cleared.json["description"]), (&json!(null), &json!("d")));
        server.delete(&format!("/shares/{id}")).await.gone_well();
        server.content(&file).await.refused(410, "GONE");
        assert_eq!(server.get("/shares").await.ok().json["total"], 0);
        assert_eq!(server.get("/shares?include_trashed=true").await.ok().json["total"], 1);
        server.post(&format!("/shares/{id}/restore"), &json!({})).await.ok();
        assert_eq!(server.content(&file).await.ok().bytes, "hello");
        for wrong in [
            json!({ "name": "", "share_type": "project" }),
            json!({ "name": "x" }),
            json!({ "name": "x", "share_type": "secret" }),
            json!({ "name": "x", "share_type": "project", "owner_id": "nobody" }),
            json!({ "name": "x".repeat(256), "share_type": "project" }),
            json!({ "name": "x", "share_type": "project", "quota_bytes": -1 }),
            json!([]),
        ] {
            server.post("/shares", &wrong).await.refused(422, "VALIDATION_FAILED");
        }
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_see_nothing_and_learn_nothing() {
    for server in Server::on_each() {
        let share = server.share("Secret").await;
        let folder = server.folder(&share, None, "F").await;
        let file = server.upload(&share, Some(&folder), "a.txt", "hidden").await.created().id();
        let drive = server.drive().await;
        let other = tenants::create(&drive, "Other").await.unwrap();
        let own = server.mint(server.tenant(), "usr_colleague", &[Scope::FilesWrite]);
        let foreign = server.mint(other.id, "usr_foreigner", &[Scope::All]);
        let never = "fil_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        for token in [own, foreign] {
            let ask = |method: Method, path: String| {
                Reply::of(
                    server.client.request(method, format!("{}/api/v1{path}", server.url)).bearer_auth(&token),
                )
            };
            let absent = ask(Method::GET, format!("/files/{never}")).await.refused(404, "NOT_FOUND");
            for (method, path) in [
                (Method::GET, format!("/files/{file}")),
                (Method::GET, format!("/files/{file}/content")),
                (Method::GET, format!("/files/{file}/versions")),
                (Method::DELETE, format!("/files/{file}")),
                (Method::GET, format!("/folders/{folder}")),
                (Method::GET, format!("/folders/{folder}/archive")),
                (Method::GET, format!("/folders/root/children?share_id={share}")),
                (Method::GET, format!("/shares/{share}")),
                (Method::DELETE, format!("/shares/{share}")),
                (Method::GET, format!("/shares/{share}/trash")),
            ] {
                let reply = ask(method, path).await.refused(404, "NOT_FOUND");
                assert_eq!(
                    reply.json["detail"], absent.json["detail"],
                    "the same answer for hidden and absent"
                );
            }
            for path in ["/shares", "/users/me/shares"] {
                let seen = ask(Method::GET, path.to_owned()).await.ok().json;
                assert_eq!(seen["total"], 1, "the one of its own, made at its first request");
                assert_ne!(seen["shares"][0]["id"], json!(share));
            }
        }
        drop(drive);
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_read_and_no_more() {
    for server in Server::on_each() {
        let share = server.share("Public").await;
        let file = server.upload(&share, None, "a.txt", "open").await.created().id();
        server.patch(&format!("/shares/{share}"), &json!({ "is_public": true })).await.ok();
        let token = server.mint(server.tenant(), "usr_reader", &[Scope::FilesWrite]);
        let ask = |method: Method, path: String| {
            server.client.request(method, format!("{}/api/v1{path}", server.url)).bearer_auth(&token)
        };
        assert_eq!(Reply::of(ask(Method::GET, format!("/files/{file}/content"))).await.ok().bytes, "open");
        let put = ask(Method::PUT, format!("/files/{file}/content")).body("x");
        let reply = Reply::of(put).await.refused(403, "PERMISSION_DENIED");
        assert_eq!(reply.json["detail"], format!("Permission denied: WRITE on file/{file}"));
        Reply::of(ask(Method::DELETE, format!("/files/{file}"))).await.refused(403, "PERMISSION_DENIED");
        Reply::of(ask(Method::DELETE, format!("/shares/{share}"))).await.refused(403, "OWNER_ONLY");
        let body = json!({ "share_id": share, "name": "n" });
        Reply::of(ask(Method::POST, "/folders".to_owned()).json(&body))
            .await
            .refused(403, "PERMISSION_DENIED");
        let mine = Reply::of(ask(Method::GET, "/users/me/shares".to_owned())).await.ok().json;
        let role = |id: &str| {
            let shares = mine["shares"].as_array().unwrap();
            shares.iter().find(|found| found["id"] == id).map(|found| found["role"].clone())
        };
        assert_eq!(role(&share), Some(json!("reader")));
        assert_eq!(mine["total"], 2, "and one of its own, made at its first request");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_what_their_scope_says() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        let bare = |token: String| {
            server.client.get(format!("{}/api/v1/shares/{share}", server.url)).bearer_auth(token)
        };
        let read_only = server.mint(server.tenant(), "admin", &[Scope::FilesRead]);
        Reply::of(bare(read_only.clone())).await.ok();
        let write =
            server.client.delete(format!("{}/api/v1/shares/{share}", server.url)).bearer_auth(read_only);
        Reply::of(write).await.refused(403, "SCOPE_INSUFFICIENT");
        Reply::of(bare(server.mint(server.tenant(), "admin", &[]))).await.refused(403, "SCOPE_INSUFFICIENT");
        let unknown = "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        Reply::of(bare(server.mint(unknown, "admin", &[Scope::All])))
            .await
            .refused(401, "AUTH_TOKEN_INVALID");
        for wrong in ["x", "a.b.c", &format!("{}x", server.token)] {
            let reply = Reply::of(bare(wrong.to_owned())).await.refused(401, "AUTH_TOKEN_INVALID");
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
        }
        let none = server.client.get(format!("{}/api/v1/shares", server.url));
        Reply::of(none).await.refused(401, "AUTH_TOKEN_MISSING");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_see_what_is_theirs() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        let file = server.upload(&share, None, "a.txt", "12345").await.created().id();
        let me = server.get("/users/me").await.ok().json;
        assert_eq!(
            (&me["id"], &me["is_admin"], &me["admin_role"]),
            (&json!("admin"), &json!(true), &json!("super_admin"))
        );
        assert_eq!(server.get("/users/me/quota").await.ok().json["used_bytes"], 5);
        assert_eq!(server.get("/users/me/recent").await.ok().json["files"][0]["id"], json!(file));
        server.post("/users/me/favorites", &json!({ "resource_id": file })).await.created();
        server.post("/users/me/favorites", &json!({ "resource_id": file })).await.created();
        assert_eq!(server.get("/users/me/favorites").await.ok().json["total"], 1);
        server.delete(&format!("/users/me/favorites?resource_id={file}")).await.gone_well();
        assert_eq!(server.get("/users/me/favorites").await.ok().json["total"], 0);
        server
            .post("/users/me/favorites", &json!({ "resource_id": "x" }))
            .await
            .refused(422, "VALIDATION_FAILED");
        let stats = server.get("/users/me/stats").await.ok().json;
        assert_eq!(stats["shares"][0]["file_count"], 1);
        server.stop_and_check().await;
    }
}
