//! Mail through ScaiSend.

use serde_json::json;

use crate::scaisend::{Sent, recorder, settings};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_mailed_and_tried_again_until_it_is_taken() {
    let (url, sent) = recorder(&[503, 429]);
    let server = Server::start_with(&settings(&url));
    let share = server.share("R&D").await;
    let invitation = json!({ "email": "ann@example.org", "role": "reader", "message": "come <in>" });
    server.post(&format!("/shares/{share}/invitations"), &invitation).await.created();
    let all: Vec<Sent> = (0..3).map(|_| sent.recv().unwrap()).collect();
    for mail in &all {
        assert!(
            mail.key.starts_with("job_") && mail.key == all[0].key,
            "who delivers sees that it is one mail"
        );
        assert!(mail.request_line.starts_with("POST /v3/mail/send "), "{}", mail.request_line);
        assert_eq!(mail.authorization, "Bearer key-of-the-test");
        assert_eq!(mail.body["personalizations"], json!([{ "to": [{ "email": "ann@example.org" }] }]));
        assert_eq!(mail.body["from"], json!({ "email": "drive@example.org" }));
        assert_eq!(mail.body["subject"], "You are invited to R&D");
        assert_eq!(mail.body["content"][0]["type"], "text/plain");
        let [text, html] =
            [0, 1].map(|part| mail.body["content"][part]["value"].as_str().unwrap().to_owned());
        assert!(text.contains("come <in>") && text.contains("https://drive.example"), "{text}");
        assert!(html.contains("R&amp;D") && html.contains("come &lt;in&gt;"), "{html}");
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_into_a_share_or_runs_out_of_room_is_told() {
    let (url, sent) = recorder(&[]);
    let server = Server::start_with(&settings(&url));
    let share = server.share("Plans").await;
    server.post("/admin/users", &json!({ "id": "usr_bob", "email": "bob@example.org" })).await.created();
    let member = json!({ "principal_type": "user", "principal_id": "usr_bob", "role": "contributor" });
    server.post(&format!("/shares/{share}/members"), &member).await.created();
    let mail = sent.recv().unwrap().body;
    assert_eq!(mail["personalizations"][0]["to"][0]["email"], "bob@example.org");
    assert!(mail["subject"].as_str().unwrap().ends_with("shared Plans with you"), "{mail}");
    let limit = json!({ "limit_bytes": 1000 });
    let put = server.request(reqwest::Method::PUT, "/quotas/users/usr_bob").json(&limit);
    crate::server::Reply::of(put).await.ok();
    let token = server.mint(server.tenant(), "usr_bob", &[scaidrive_core::model::Scope::FilesWrite]);
    let form = reqwest::multipart::Form::new()
        .text("share_id", share)
        .part("file", reqwest::multipart::Part::bytes(vec![7; 900]).file_name("large"));
    let upload =
        server.client.post(format!("{}/api/v1/files", server.url)).bearer_auth(token).multipart(form);
    crate::server::Reply::of(upload).await.created();
    let mail = sent.recv().unwrap().body;
    assert_eq!(mail["personalizations"][0]["to"][0]["email"], "bob@example.org");
    assert_eq!(mail["subject"], "bob@example.org: 90 % of the storage is used");
    server.stop_and_check().await;
}
