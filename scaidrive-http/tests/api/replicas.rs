//! Several processes on one database, one store and one Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scaidrive_core::model::Scope;
use serde_json::json;

use crate::databases::MariaDb;
use crate::server::{Reply, Server};
use crate::sockets::client::Client;

/// Returns so many replicas; nothing where there is no MariaDB or Redis.
fn replicas(count: usize) -> Option<Vec<Server>> {
    #[expect(clippy::disallowed_methods, reason = "where the services of the tests are")]
    let Ok(redis) = std::env::var("SCAIDRIVE_TEST_REDIS_URL") else {
        eprintln!("SKIPPED: SCAIDRIVE_TEST_REDIS_URL is not set");
        return None;
    };
    let first = Server::start_on(Some(MariaDb::create()?), &[("SCAIDRIVE_REDIS_URL", &redis)]);
    let others: Vec<Server> = (1..count).map(|_| first.beside()).collect();
    Some(std::iter::once(first).chain(others).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_one_limit_on_all_replicas() {
    let Some(replicas) = replicas(3) else { return };
    let limits = json!({ "settings": { "rate_limit_token": 300 } });
    replicas[0].patch("/admin/tenant", &limits).await.ok();
    let token = Arc::new(replicas[0].mint(replicas[0].tenant(), "admin", &[Scope::FilesRead]));
    let granted = Arc::new(AtomicUsize::new(0));
    // Sixty-four clients ask for more than there is, all within the one window.
    let asking: Vec<_> = (0..64)
        .map(|number: usize| {
            let url = format!("{}/api/v1/users/me", replicas[number % 3].url);
            let (token, granted) = (Arc::clone(&token), Arc::clone(&granted));
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                for _ in 0..8 {
                    let reply = Reply::of(client.get(&url).bearer_auth(&*token)).await;
                    assert!(matches!(reply.status.as_u16(), 200 | 429), "{reply:?}");
                    granted.fetch_add(usize::from(reply.status == 200), Ordering::Relaxed);
                }
            })
        })
        .collect();
    let began = std::time::Instant::now();
    for client in asking {
        client.await.unwrap();
    }
    // On a machine so busy that a window passes meanwhile, more fits.
    let windows = 1 + usize::try_from(began.elapsed().as_secs() / 60).unwrap();
    let granted = granted.load(Ordering::Relaxed);
    assert!((300..=300 * windows).contains(&granted), "{granted} of 512 in {windows} windows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_hears_what_was_done_on_another_replica() {
    let Some(replicas) = replicas(2) else { return };
    let [one, other] = <[Server; 2]>::try_from(replicas).unwrap_or_else(|_| unreachable!());
    let share = one.share("Projects").await;
    let mut socket = Client::watch(&other, &other.token, &share).await;
    let mut times = Vec::new();
    for number in 0..20 {
        let began = std::time::Instant::now();
        one.folder(&share, None, &format!("folder {number}")).await;
        let frame = socket.hear("folder_created").await;
        times.push(began.elapsed());
        assert_eq!(frame["data"]["name"], format!("folder {number}"));
    }
    times.sort_unstable();
    eprintln!("made on one replica and seen on the other after {:?} at the median", times[times.len() / 2]);
    one.stop_and_check().await;
}
