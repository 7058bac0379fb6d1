//! Mail through ScaiSend. No ScaiSend can be had here: a small server of the test's own takes its place and records.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::server::Server;

/// What the recorder was sent.
struct Sent {
    request_line: String,
    authorization: String,
    body: Value,
}

/// Answers with these statuses in turn, then with 202; returns its address and what it is sent.
fn recorder(statuses: &'static [u16]) -> (String, Receiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, sent) = channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.iter();
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                lines.push(line.trim().to_owned());
            }
            let header = |name: &str| {
                let found = lines.iter().filter_map(|line| line.split_once(": "));
                found
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_owned())
                    .next()
            };
            let mut body = vec![0; header("content-length").unwrap().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let status = statuses.next().unwrap_or(&202);
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            let authorization = header("authorization").unwrap_or_default();
            let body = serde_json::from_slice(&body).unwrap();
            if sender.send(Sent { request_line: lines.swap_remove(0), authorization, body }).is_err() {
                return;
            }
        }
    });
    (address, sent)
}

fn settings(url: &str) -> [(&str, &str); 4] {
    [
        ("SCAIDRIVE_SCAISEND_URL", url),
        ("SCAIDRIVE_SCAISEND_API_KEY", "key-of-the-test"),
        ("SCAIDRIVE_MAIL_FROM", "drive@example.org"),
        ("SCAIDRIVE_PUBLIC_URL", "https://drive.example"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_mailed_and_tried_again_until_it_is_taken() {
    let (url, sent) = recorder(&[503, 429]);
    let server = Server::start_with(&settings(&url));
    let share = server.share("R&D").await;
    let invitation = json!({ "email": "ann@example.org", "role": "reader", "message": "come <in>" });
    server.post(&format!("/shares/{share}/invitations"), &invitation).await.created();
    let all: Vec<Sent> = (0..3).map(|_| sent.recv().unwrap()).collect();
    for mail in &all {
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
