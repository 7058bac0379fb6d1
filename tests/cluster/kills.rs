//! Each part is killed under load, and started again: what clients see of it, and that nothing is lost.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::answers::{Caller, Counted, Tally};
use crate::cluster::{Cluster, await_that};
use crate::load::{Load, off_the_runtime};

/// What is killed, in turn, and whether clients must have been refused for want of it before it is started again.
const KILLED: [(&str, bool); 9] = [
    ("api-1", false),
    ("worker-1", false),
    ("redis", false),
    ("oidc", false),
    ("replica", false),
    ("garage", true),
    ("mariadb", true),
    ("api-3", false),
    ("nginx", true),
];

/// Requests that are answered before what was killed is started again.
const ANSWERS: usize = 60;

/// Requests that are refused before what they need is started again.
const REFUSALS: usize = 20;

/// What clients saw while a part was away.
struct Seen {
    what: String,
    counted: Counted,
    /// From the kill until every client had got on again.
    whole: Duration,
}

/// Kills a part in the middle of requests; returns what was seen until every client got on again.
fn kill(cluster: &Cluster, load: &Load, (name, is_needed): (&str, bool)) -> Seen {
    load.tally.take();
    let (began, part) = (Instant::now(), cluster.part(name));
    part.kill();
    if is_needed {
        load.await_failures(REFUSALS);
    } else {
        load.await_requests(ANSWERS);
    }
    part.start();
    recovered(cluster, load, format!("kill -9 {name}"), began)
}

fn recovered(cluster: &Cluster, load: &Load, what: String, began: Instant) -> Seen {
    off_the_runtime(|| cluster.await_ready());
    load.await_progress();
    let seen = Seen { what, counted: load.tally.take(), whole: began.elapsed() };
    eprintln!("{}", row(&seen));
    seen
}

/// Returns a row of the table that BENCHMARKS.md keeps.
fn row(seen: &Seen) -> String {
    let counted = &seen.counted;
    let failed: Vec<String> =
        counted.failures().iter().map(|(answer, count)| format!("{count} × {answer}")).collect();
    let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
    let [writes, reads] = counted.gaps.map(|gap| gap.as_secs_f64());
    let (total, whole) = (counted.total(), seen.whole.as_secs_f64());
    format!("| {} | {total} | {failed} | {writes:.1} s | {reads:.1} s | {whole:.1} s |", seen.what)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_whatever_is_killed() {
    let Some(cluster) = Cluster::open() else { return };
    let load = Load::start(&cluster, &cluster.tenant()).await;
    let mut table = Vec::new();
    for part in KILLED {
        table.push(kill(&cluster, &load, part));
    }
    let began = Instant::now();
    cluster.part("nginx").reload();
    load.await_requests(ANSWERS);
    table.push(recovered(&cluster, &load, "nginx reloads".to_owned(), began));
    load.finish().await;
    cluster.check();
    cluster.check_replica();
    eprintln!("| what | requests | failed | longest without a write | without a read | all well after |");
    eprintln!("|---|---|---|---|---|---|");
    for seen in &table {
        eprintln!("{}", row(seen));
    }
    for seen in table {
        seen.counted.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_starts_without_the_provider_says_so_until_it_is_back() {
    let Some(cluster) = Cluster::open() else { return };
    let (tenant, tally) = (cluster.tenant(), Arc::new(Tally::default()));
    let caller = Caller::new(&cluster.apis[0], &tenant.token, &tally);
    let (provider, api) = (cluster.part("oidc"), cluster.part("api-1"));
    off_the_runtime(|| {
        provider.kill();
        api.kill();
        api.start();
        let address = cluster.apis[0].strip_prefix("http://").unwrap();
        await_that("the api to listen", || TcpStream::connect(address).is_ok());
    });
    let outcome = caller.ask(caller.request(Method::GET, "/users/me")).await;
    outcome.expect_err("nobody knows the provider's keys");
    let counted = tally.take();
    counted.check();
    assert_eq!(counted.failures(), BTreeMap::from([("503 UNAVAILABLE", 1)]), "no fault of the token's");
    provider.start();
    assert_eq!(caller.get("/users/me").await["id"], "boss");
    tally.take().check();
    off_the_runtime(|| cluster.await_ready());
}
