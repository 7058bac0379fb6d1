//! What replicas share through Redis, and that they do without it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use scaidrive_core::adapters::local::RandomIds;
use scaidrive_core::adapters::redis::{self, Redis};
use scaidrive_core::model::{Queue, ShareId, TenantId};
use scaidrive_core::ports::{Bucket, Dispatch, Limiter, News, Nudge, PubSub};
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;
use ulid::Ulid;

/// A Redis of a test's own, which it may kill.
struct Server {
    port: u16,
    dir: TempDir,
    process: Option<Child>,
}

impl Server {
    /// Starts one; nothing where there is none to be started.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { port, dir: tempfile::tempdir().unwrap(), process: None };
        server.up().then_some(server)
    }

    fn up(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        let port = self.port.to_string();
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let started = command.current_dir(self.dir.path()).stdout(Stdio::null()).spawn();
        if started.is_err() {
            eprintln!("SKIPPED: redis-server is not installed");
        }
        self.process = started.ok();
        let is_up = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        while self.process.is_some() && !is_up() {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.process.is_some()
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn replica(&self) -> Redis {
        redis::open(&format!("redis://127.0.0.1:{}/0", self.port), &RandomIds::default()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn nudge(position: i64) -> Nudge {
    let id = Ulid::from_parts(1, 7);
    Nudge { tenant: TenantId::new(id), share: Some(ShareId::new(id)), user: None, position }
}

/// Returns once something is so; a test that waits for ever is ended by its runner.
async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    while !is_so().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns once this is heard, whatever else is.
async fn hear(news: &mut Receiver<News>, wanted: &News) {
    while news.recv().await.unwrap() != *wanted {}
}

/// Returns once what one replica publishes is heard at another.
async fn reach(from: &Redis, at: &mut Receiver<News>) {
    let probe = News::Nudge(nudge(-1));
    loop {
        from.pubsub.publish(nudge(-1)).await.unwrap();
        if tokio::time::timeout(Duration::from_millis(200), hear(at, &probe)).await.is_ok() {
            return;
        }
    }
}

/// Returns the positions from 1 on that are heard up to the last.
async fn heard_up_to(last: i64, at: &mut Receiver<News>) -> Vec<i64> {
    let mut heard = Vec::new();
    while heard.last() != Some(&last) {
        if let News::Nudge(nudge) = at.recv().await.unwrap()
            && nudge.position > 0
        {
            heard.push(nudge.position);
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn nudges_reach_every_replica_once() {
    let Some(server) = Server::start() else { return };
    let (a, b) = (server.replica(), server.replica());
    let (mut at_a, mut at_b) = (a.pubsub.subscribe(), b.pubsub.subscribe());
    reach(&a, &mut at_b).await;
    reach(&b, &mut at_a).await;
    for position in 1..=100 {
        a.pubsub.publish(nudge(position)).await.unwrap();
    }
    let all: Vec<i64> = (1..=100).collect();
    assert_eq!(heard_up_to(100, &mut at_b).await, all);
    assert_eq!(heard_up_to(100, &mut at_a).await, all, "the own process hears it once");
    let to_a_user = Nudge { share: None, user: Some("auth0|ann b".parse().unwrap()), ..nudge(101) };
    b.pubsub.publish(to_a_user.clone()).await.unwrap();
    hear(&mut at_a, &News::Nudge(to_a_user)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_do_without_redis_and_look_at_everything_when_it_is_back() {
    let Some(mut server) = Server::start() else { return };
    let (a, b) = (server.replica(), server.replica());
    let (mut at_a, mut at_b) = (a.pubsub.subscribe(), b.pubsub.subscribe());
    reach(&a, &mut at_b).await;
    reach(&b, &mut at_a).await;
    server.kill();
    a.pubsub.publish(nudge(1)).await.unwrap();
    hear(&mut at_a, &News::Nudge(nudge(1))).await;
    let bucket = Bucket { dimension: "token", key: "k".to_owned(), limit: 1 };
    until(|| async { a.limiter.take(std::slice::from_ref(&bucket), 1).await.is_err() }).await;
    assert!(a.pubsub.ping().await.is_err());
    assert!(a.dispatch.wake(Queue::Low).await.is_err());
    a.dispatch.wait(Queue::ALL).await;
    server.up();
    hear(&mut at_b, &News::Lost).await;
    until(|| async { a.pubsub.ping().await.is_ok() }).await;
    a.limiter.take(std::slice::from_ref(&bucket), 1).await.unwrap();
    reach(&a, &mut at_b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_up_reaches_one_worker_of_its_queue() {
    let Some(server) = Server::start() else { return };
    let api = server.replica();
    let workers: Vec<_> = (0..2).map(|_| Arc::new(server.replica())).collect();
    until(|| async { api.pubsub.ping().await.is_ok() }).await;
    let (woken, mut wakes) = tokio::sync::mpsc::unbounded_channel();
    for (number, worker) in workers.iter().enumerate() {
        let (worker, woken) = (Arc::clone(worker), woken.clone());
        tokio::spawn(async move {
            worker.dispatch.wait(&[Queue::High, Queue::Low]).await;
            woken.send(number).unwrap();
        });
    }
    // Nobody waits for this queue: it wakes nobody, and is kept for who comes.
    api.dispatch.wake(Queue::Medium).await.unwrap();
    api.dispatch.wake(Queue::Low).await.unwrap();
    let first = wakes.recv().await.unwrap();
    api.dispatch.wake(Queue::High).await.unwrap();
    assert_ne!(wakes.recv().await.unwrap(), first);
    api.dispatch.wait(&[Queue::Medium]).await;
}
