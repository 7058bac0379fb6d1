//! Many sockets, and slow ones.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use scaidrive_core::model::{FileName, ParentId, ShareId};
use scaidrive_core::services::bulk::{self, BulkFile};
use scaidrive_core::services::tenants;
use serde_json::{Value, json};

use super::client::Client;
use crate::server::Server;

/// Returns how many bytes of memory the server holds.
fn memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// Returns how many files this process may have open.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

/// Writes files with long names into a share, beside the server: many changes with few requests.
async fn write_beside(server: &Server, share: &str, prefix: &str, count: usize) {
    let drive = server.drive().await;
    let caller = tenants::caller_for(&drive, server.tenant(), &"admin".parse().unwrap()).await.unwrap();
    let share: ShareId = share.parse().unwrap();
    let file = |number: &usize| BulkFile {
        parent: ParentId::Root(share),
        name: FileName::parse(&format!("{prefix}{number:0>200}")).unwrap(),
        modified_at: None,
        bytes: "x".into(),
    };
    for part in (0..count).collect::<Vec<_>>().chunks(1000) {
        let all = part.iter().map(file).collect();
        for outcome in bulk::write(&drive, &caller, share, all).await.unwrap() {
            outcome.unwrap();
        }
    }
    drive.meta.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_let_go_and_costs_no_memory() {
    const CHANGES: usize = 10_000;
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("One").await;
    let mut good = Client::follow(&server, &server.token, "good").await;
    let mut slow = Client::open_small(&server, "/sync/ws/slow", Some(&server.token), Some(4096)).await;
    slow.say(&json!({ "type": "subscribe" })).await;
    slow.hear("subscribed").await;
    let before = memory(&server);
    write_beside(&server, &share, "a", CHANGES).await;
    // Who reads is told of everything, in order, although somebody else does not.
    let mut last = 0;
    for _ in 0..CHANGES {
        let position = good.hear("change").await["data"]["position"].as_i64().unwrap();
        assert!(position > last);
        last = position;
    }
    let began = Instant::now();
    while server.metric_line("scaidrive_sync_websocket_connections").await.as_deref() != Some("1") {
        assert!(began.elapsed() < Duration::from_secs(60), "the slow reader is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let grown = memory(&server).saturating_sub(before);
    eprintln!("memory grew by {} KiB", grown >> 10);
    assert!(grown < 64 << 20, "{grown} bytes were kept for who does not read");
    // Its last words come behind what was on its way.
    assert_eq!(slow.closed().await, 4408);
    good.hears_nothing().await;
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sockets_are_told_of_one_change() {
    const SOCKETS: usize = 1000;
    if open_files() < SOCKETS * 2 + 200 {
        eprintln!("SKIPPED: {} open files are too few for {SOCKETS} sockets", open_files());
        return;
    }
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("One").await;
    let devices: Vec<usize> = (0..SOCKETS).collect();
    let mut clients = Vec::new();
    for part in devices.chunks(50) {
        let opens = part.iter().map(|number| {
            let device = format!("d{number}");
            let server = &server;
            async move { Client::follow(server, &server.token, &device).await }
        });
        clients.extend(join_all(opens).await);
    }
    let line = "scaidrive_sync_websocket_connections";
    assert_eq!(server.metric_line(line).await.as_deref(), Some("1000"));
    let began = Instant::now();
    server.upload(&share, None, "a.txt", "x").await.created();
    let answered = began.elapsed();
    let hears = clients.iter_mut().map(async |client| (client.hear("change").await, began.elapsed()));
    let told: Vec<(Value, Duration)> = join_all(hears).await;
    assert!(told.iter().all(|(frame, _)| frame["data"]["new_path"] == "/a.txt"));
    let mut took: Vec<Duration> = told.into_iter().map(|(_, took)| took).collect();
    took.sort_unstable();
    eprintln!(
        "the upload took {answered:?}; from its beginning to the frame: median {:?}, the last of {SOCKETS} {:?}; {} MiB",
        took[SOCKETS / 2],
        took[SOCKETS - 1],
        memory(&server) >> 20
    );
    assert!(memory(&server) < 300 << 20);
    drop(clients);
    let began = Instant::now();
    while server.metric_line(line).await.as_deref() != Some("0") {
        assert!(began.elapsed() < Duration::from_secs(60), "sockets stay open without their clients");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_another_client_soon() {
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("One").await;
    let mut client = Client::follow(&server, &server.token, "laptop").await;
    let mut took = Vec::new();
    for number in 0..50 {
        let began = Instant::now();
        server.upload(&share, None, &number.to_string(), "x").await.created();
        client.hear("change").await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    eprintln!("from the upload's beginning to the frame: median {:?}, worst {:?}", took[25], took[49]);
    // Nothing more comes than was done.
    client.hears_nothing().await;
    drop(client.0.next());
    server.stop_and_check().await;
}
