//! Quotas and invitations through the API.

use reqwest::{Method, RequestBuilder};
use scaidrive_core::model::Scope;
use serde_json::json;

use crate::server::{Reply, Server};

fn as_user(server: &Server, user: &str) -> impl Fn(Method, &str) -> RequestBuilder + use<> {
    let token = server.mint(server.tenant(), user, &[Scope::FilesWrite]);
    let (client, url) = (server.client.clone(), server.url.clone());
    move |method, path| client.request(method, format!("{url}/api/v1{path}")).bearer_auth(&token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_is_507_and_names_its_level() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        let path = format!("/quotas/shares/{share}");
        let set = server.request(Method::PUT, &path).json(&json!({ "limit_bytes": 10 }));
        let quota = Reply::of(set).await.ok().json;
        assert_eq!((&quota["limit_bytes"], &quota["limit_type"]), (&json!(10), &json!("hard")));
        server.upload(&share, None, "a.txt", "1234567890").await.created();
        let refused = server.upload(&share, None, "b.txt", "1").await.refused(507, "QUOTA_EXCEEDED");
        assert_eq!(refused.json["error"]["details"]["level"], "share");
        assert_eq!(server.get(&format!("/shares/{share}")).await.ok().json["quota_bytes"], 10);
        let usage = server.get("/quotas/usage/tenant?recalculate=true").await.ok().json;
        assert_eq!((&usage["used_bytes"], &usage["drift_bytes"]), (&json!(10), &json!(0)));
        for wrong in
            [json!({ "limit_bytes": -1 }), json!({ "warning_threshold_1": 99 }), json!({ "limit_type": "x" })]
        {
            let set = server.request(Method::PUT, &path).json(&wrong);
            Reply::of(set).await.refused(422, "VALIDATION_FAILED");
        }
        let user = as_user(&server, "usr_a");
        Reply::of(user(Method::GET, "/quotas/usage/users/usr_a")).await.ok();
        Reply::of(user(Method::GET, "/quotas/usage/users/admin")).await.refused(403, "PERMISSION_DENIED");
        Reply::of(user(Method::GET, &path)).await.refused(404, "NOT_FOUND");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_answered_once() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        let ada = json!({ "id": "usr_ada", "email": "Ada@example.org" });
        server.post("/admin/users", &ada).await.created();
        let path = format!("/shares/{share}/invitations");
        let new = json!({ "email": "ada@Example.org", "role": "contributor", "message": "come in" });
        let id = server.post(&path, &new).await.created().id();
        server.post(&path, &new).await.refused(409, "ALREADY_EXISTS");
        server
            .post(&path, &json!({ "email": "ada", "role": "reader" }))
            .await
            .refused(422, "VALIDATION_FAILED");
        server
            .post(&path, &json!({ "email": "b@example.org", "role": "owner" }))
            .await
            .refused(422, "VALIDATION_FAILED");
        let (ada, bob) = (as_user(&server, "usr_ada"), as_user(&server, "usr_bob"));
        let open = Reply::of(ada(Method::GET, "/users/me/invitations")).await.ok().json;
        assert_eq!((&open["total"], &open["invitations"][0]["share_name"]), (&json!(1), &json!("Projects")));
        assert_eq!(Reply::of(bob(Method::GET, "/users/me/invitations")).await.ok().json["total"], 0);
        let accept = format!("/users/me/invitations/{id}/accept");
        Reply::of(bob(Method::POST, &accept)).await.refused(404, "NOT_FOUND");
        Reply::of(ada(Method::GET, &format!("/shares/{share}"))).await.refused(404, "NOT_FOUND");
        let answer = Reply::of(ada(Method::POST, &accept)).await.ok().json;
        assert_eq!((&answer["share_id"], &answer["role"]), (&json!(share), &json!("contributor")));
        Reply::of(ada(Method::GET, &format!("/shares/{share}"))).await.ok();
        Reply::of(ada(Method::POST, &accept)).await.refused(409, "ALREADY_EXISTS");
        server.post(&path, &new).await.refused(409, "ALREADY_EXISTS");
        let other = json!({ "email": "bob@example.org", "role": "reader" });
        let other = server.post(&path, &other).await.created().id();
        server.delete(&format!("{path}/{other}")).await.gone_well();
        server.delete(&format!("{path}/{other}")).await.refused(409, "ALREADY_EXISTS");
        assert_eq!(server.get(&path).await.ok().json["total"], 2);
        server.stop_and_check().await;
    }
}
