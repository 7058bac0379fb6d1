//! Bytes on their way: any order, any size, many at once, in small memory.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Method};
use sha2::{Digest, Sha256};

use crate::server::{Reply, Server, noise, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn parts_may_come_in_any_order() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let folder = server.folder(&share, None, "F").await;
    let bytes = noise(7, 3_000_000);
    let orders = [
        ["share_id", "folder_id", "name", "file"],
        ["file", "name", "folder_id", "share_id"],
        ["name", "file", "share_id", "folder_id"],
    ];
    for (number, order) in orders.iter().enumerate() {
        let name = format!("{number}.bin");
        let mut form = reqwest::multipart::Form::new().text("unknown", "part");
        for part in order {
            form = match *part {
                "share_id" => form.text(*part, share.clone()),
                "folder_id" => form.text(*part, folder.clone()),
                "name" => form.text(*part, name.clone()),
                _ => form.part(*part, reqwest::multipart::Part::bytes(bytes.clone())),
            };
        }
        let file = Reply::of(server.request(Method::POST, "/files").multipart(form)).await.created();
        assert_eq!(file.json["path"], format!("/F/{name}"));
        assert!(server.content(&file.id()).await.ok().bytes == bytes);
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inserted_byte_costs_little() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let mut bytes = noise(8, 20 << 20);
    let id = server.upload(&share, None, "a.bin", bytes.clone()).await.created().id();
    let before = stored(&server).await;
    bytes.insert(0, 1);
    server.put(&id, bytes).await.ok();
    let growth = stored(&server).await - before;
    assert!(growth < 1 << 20, "{growth} new bytes for one");
    server.stop_and_check().await;
}

async fn stored(server: &Server) -> i64 {
    let drive = server.drive().await;
    let stats = drive.read().await.unwrap().chunk_stats(server.tenant()).await.unwrap();
    stats.bytes as i64
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_uploads_at_once_all_arrive() {
    let server = Arc::new(Server::start());
    let share = server.share("Projects").await;
    let upload = |number: u64| {
        let (server, share) = (Arc::clone(&server), share.clone());
        async move {
            let bytes = noise(number, 300_000 + number as usize);
            let id = server.upload(&share, None, &format!("{number}"), bytes.clone()).await.created().id();
            assert!(server.content(&id).await.ok().bytes == bytes);
        }
    };
    stream::iter((0..50).map(upload)).for_each_concurrent(50, |upload| upload).await;
    assert_eq!(server.names(&share, "root").await.len(), 50);
    Arc::into_inner(server).unwrap().stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_creates_of_one_name_one_wins() {
    let server = Arc::new(Server::start());
    let share = server.share("Projects").await;
    let upload = |number: u64| {
        let (server, share) = (Arc::clone(&server), share.clone());
        async move { server.upload(&share, None, "the one", noise(number, 1000)).await.status.as_u16() }
    };
    let mut statuses: Vec<u16> = stream::iter((0..20).map(upload)).buffer_unordered(20).collect().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [&[201][..], &[409; 19]].concat());
    Arc::into_inner(server).unwrap().stop_and_check().await;
}

/// Megabytes that the big transfer moves; the mission's 5 GiB are run with `SCAIDRIVE_TEST_BIG_MIB=5120`.
fn big_mib() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the test's own knob")]
    let told = std::env::var("SCAIDRIVE_TEST_BIG_MIB");
    told.map_or(512, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_file_passes_through_small_memory() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let mib = big_mib();
    let block = |number: u64| Bytes::from(noise(number + 1, 1 << 20));
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".to_owned();
    let tail = format!(
        "\r\n--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nbig\r\n\
         --x\r\nContent-Disposition: form-data; name=\"share_id\"\r\n\r\n{share}\r\n--x--\r\n"
    );
    let blocks = stream::iter((0..mib).map(block));
    let body = stream::iter([Bytes::from(head)]).chain(blocks).chain(stream::iter([Bytes::from(tail)]));
    let request =
        server.request(Method::POST, "/files").header("content-type", "multipart/form-data; boundary=x");
    let file = Reply::of(request.body(Body::wrap_stream(body.map(Ok::<_, std::io::Error>)))).await.created();
    assert_eq!(file.json["size"], mib << 20);
    let mut wanted = Sha256::new();
    (0..mib).for_each(|number| wanted.update(block(number)));
    let wanted = wanted.finalize();
    assert_eq!(file.json["checksum_sha256"], sha_text(&wanted));
    let reply = server.request(Method::GET, &format!("/files/{}/content", file.id())).send().await.unwrap();
    let mut got = Sha256::new();
    let mut body = reply.bytes_stream();
    while let Some(part) = body.next().await {
        got.update(part.unwrap());
    }
    assert_eq!(got.finalize(), wanted);
    let peak = peak_mib(server.pid());
    eprintln!("peak memory of the server: {peak} MiB for {mib} MiB up and down");
    assert!(peak < 200, "the server took {peak} MiB");
    server.stop_and_check().await;
}

fn sha_text(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the most memory a process ever had resident.
pub(crate) fn peak_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_chunk_is_never_served_as_good() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let bytes = noise(11, 200_000);
    let id = server.upload(&share, None, "a", bytes.clone()).await.created().id();
    let object = find_object(&server.dir.path().join("objects"), &sha256(&bytes));
    let mut damaged = bytes.clone();
    damaged[100] ^= 1;
    std::fs::write(&object, &damaged).unwrap();
    server.content(&id).await.refused(500, "INTERNAL");
    std::fs::write(&object, &bytes).unwrap();
    assert!(server.content(&id).await.ok().bytes == bytes);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_breaks_off_where_a_later_chunk_is_damaged() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let bytes = noise(12, 3_000_000);
    let id = server.upload(&share, None, "a", bytes.clone()).await.created().id();
    let manifest = server.get(&format!("/sync/manifest/{id}")).await.ok().json;
    let last = manifest["chunks"].as_array().unwrap().last().unwrap()["sha256"].as_str().unwrap().to_owned();
    let object = find_object(&server.dir.path().join("objects"), &last);
    let chunk = std::fs::read(&object).unwrap();
    let mut damaged = chunk.clone();
    damaged[100] ^= 1;
    std::fs::write(&object, &damaged).unwrap();
    let response = server.request(Method::GET, &format!("/files/{id}/content")).send().await.unwrap();
    assert_eq!(response.status(), 200, "the first chunks are good");
    assert!(response.bytes().await.is_err(), "half an answer, never a wrong one");
    std::fs::write(&object, &chunk).unwrap();
    assert!(server.content(&id).await.ok().bytes == bytes);
    server.stop_and_check().await;
}

fn find_object(dir: &std::path::Path, hash: &str) -> std::path::PathBuf {
    let found = std::fs::read_dir(dir).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            Some(find_object(&path, hash)).filter(|path| path.exists())
        } else {
            path.ends_with(hash).then_some(path)
        }
    });
    found.unwrap_or_default()
}
