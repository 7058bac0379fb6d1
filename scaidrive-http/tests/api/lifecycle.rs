//! Starts and stops: graceful, sudden, and what is on the disk by the time of a 201.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, launch, noise, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_gives_a_token_and_a_second_one_does_not() {
    let mut server = Server::start();
    let share = server.share("Projects").await;
    server.stop();
    server.restart();
    assert_eq!(server.get(&format!("/shares/{share}")).await.ok().json["name"], "Projects");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_requests_end() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "a", "x").await.created().id();
    let (send, body) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let stream = futures_util::stream::unfold(body, |mut body| async { Some((body.recv().await?, body)) });
    let request =
        server.request(Method::PUT, &format!("/files/{id}/content")).body(reqwest::Body::wrap_stream(stream));
    let answer = tokio::spawn(request.send());
    send.send(Ok(noise(1, 100_000))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(Command::new("kill").arg(server.pid().to_string()).status().unwrap().success());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(server.request(Method::GET, "/shares").send().await.is_err(), "nobody new is let in");
    send.send(Ok(noise(2, 100_000))).await.unwrap();
    drop(send);
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    let mut server = server;
    server.restart();
    assert_eq!(server.content(&id).await.ok().bytes.len(), 200_000);
    server.stop_and_check().await;
}

/// Rounds of the test below: each one is a sudden death in the middle of uploads.
const DEATHS: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9() {
    let mut server = Server::start();
    server.lift_limits().await;
    let share = server.share("Projects").await;
    let mut acknowledged: Vec<(String, String, String)> = Vec::new();
    for round in 0..DEATHS {
        let dying = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                tokio::spawn(write_until(round * 10 + writer, uploader(&server, &share), Arc::clone(&dying)))
            })
            .collect();
        // A moment that nobody chose: the clock's odd digits.
        let odd =
            std::time::Instant::now().elapsed().subsec_nanos() + std::process::id() + round as u32 * 7919;
        tokio::time::sleep(Duration::from_millis(60 + u64::from(odd % 240))).await;
        dying.store(true, Ordering::Relaxed);
        server.kill_and_restart();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        for (id, name, hash) in &acknowledged {
            let file = server.get(&format!("/files/{id}")).await.ok();
            assert_eq!(file.json["name"], json!(name));
            assert_eq!(&sha256(&server.content(id).await.ok().bytes), hash, "{name} is right");
        }
        // What is visible is whole, acknowledged or not.
        let all = server.get(&format!("/folders/root/children?share_id={share}")).await.ok().json;
        for item in all["items"].as_array().unwrap() {
            let content = server.content(item["id"].as_str().unwrap()).await.ok();
            assert_eq!(item["checksum_sha256"], json!(sha256(&content.bytes)));
        }
    }
    assert!(acknowledged.len() > 20, "only {} uploads got through", acknowledged.len());
    server.collect().await;
    server.stop_and_check().await;
}

struct Uploader {
    client: reqwest::Client,
    url: String,
    token: String,
    share: String,
}

fn uploader(server: &Server, share: &str) -> Uploader {
    let url = format!("{}/api/v1/files", server.url);
    Uploader { client: server.client.clone(), url, token: server.token.clone(), share: share.to_owned() }
}

/// Uploads until the server dies; returns what it acknowledged: id, name, checksum.
async fn write_until(seed: u64, to: Uploader, dying: Arc<AtomicBool>) -> Vec<(String, String, String)> {
    let mut done = Vec::new();
    for number in 0.. {
        let name = format!("{seed}-{number}");
        let bytes = noise(seed * 1000 + number, 1000 + (number as usize % 5) * 400_000);
        let hash = sha256(&bytes);
        let form =
            reqwest::multipart::Form::new().text("share_id", to.share.clone()).text("name", name.clone());
        let form = form.part("file", reqwest::multipart::Part::bytes(bytes));
        let sent = to.client.post(&to.url).bearer_auth(&to.token).multipart(form).send().await;
        match sent {
            Ok(reply) if reply.status() == 201 => {
                // An answer whose body got lost acknowledged nothing that the client knows of.
                let Ok(body) = reply.json::<serde_json::Value>().await else { break };
                done.push((body["id"].as_str().unwrap().to_owned(), name, hash));
            }
            Ok(reply) => panic!("{}", reply.status()),
            Err(error) => {
                assert!(dying.load(Ordering::Relaxed), "{error}");
                break;
            }
        }
    }
    done
}

/// `kill -9` forgives a missing sync, a power cut does not: the system calls themselves are looked at.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_on_the_disk_before_the_201() {
    if Command::new("strace").args(["-f", "true"]).output().map_or(true, |output| !output.status.success()) {
        eprintln!("SKIPPED: no strace, or no right to use it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let calls = "trace=openat,fsync,fdatasync,syncfs,sync_file_range,rename,renameat,renameat2,linkat,write,writev,sendto,sendmsg,pwrite64";
    let wrapper: Vec<String> = ["strace", "-f", "-y", "-s", "24", "-o", trace.to_str().unwrap(), "-e", calls]
        .map(str::to_owned)
        .to_vec();
    let (mut process, url, _, token) = launch(dir.path(), &[], &wrapper);
    let (client, token) = (reqwest::Client::new(), token.unwrap());
    let post = |path: &str| client.post(format!("{url}/api/v1{path}")).bearer_auth(&token);
    let share = post("/shares").json(&json!({ "name": "S", "share_type": "project" })).send().await.unwrap();
    let share: serde_json::Value = share.json().await.unwrap();
    let form = reqwest::multipart::Form::new()
        .text("share_id", share["id"].as_str().unwrap().to_owned())
        .text("name", "durable")
        .part("file", reqwest::multipart::Part::bytes(noise(12, 1_000_000)));
    assert_eq!(post("/files").multipart(form).send().await.unwrap().status(), 201);
    let child = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.id())).unwrap();
    assert!(Command::new("kill").arg(child.trim()).status().unwrap().success());
    process.wait().unwrap();
    check_trace(&std::fs::read_to_string(&trace).unwrap());
}

/// Demands, in this order: the objects' bytes synced, their names synced, the database synced, the answer sent.
fn check_trace(trace: &str) {
    let lines: Vec<&str> = trace.lines().collect();
    let answer =
        lines.iter().rposition(|line| line.contains("HTTP/1.1 201")).expect("the answer is in the trace");
    let before = &lines[..answer];
    let is_object = |line: &&&str| line.contains("/objects/chunks/");
    let renamed = before
        .iter()
        .rposition(|line| is_object(&line) && (line.contains("rename") || line.contains("linkat")));
    let renamed = renamed.expect("objects get their names by rename");
    let synced_all = |lines: &[&str]| lines.iter().any(|line| line.contains("syncfs("));
    let names: Vec<&&str> = before.iter().filter(|line| line.contains("rename") && is_object(line)).collect();
    assert!(names.len() >= 2, "a megabyte has several chunks: {names:?}");
    let file_syncs = before.iter().filter(|line| line.contains("fsync(") || line.contains("fdatasync("));
    let object_syncs = file_syncs.filter(is_object).count();
    let bytes_are_synced = object_syncs >= names.len() || synced_all(&before[..renamed]);
    assert!(bytes_are_synced, "{object_syncs} syncs for {} objects", names.len());
    let after = &before[renamed..];
    let directory = after
        .iter()
        .position(|line| line.contains("fsync(") && is_object(&line))
        .or_else(|| after.iter().position(|line| line.contains("syncfs(")));
    let directory = directory.expect("the directory is synced after the rename");
    let database =
        after[directory..].iter().any(|line| line.contains("sync(") && line.contains("scaidrive.db"));
    assert!(database, "the database is synced after the objects and before the answer");
}
