//! What clients must not notice: a restart of every api in turn, and Redis away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::answers::{Caller, Tally};
use crate::cluster::{Cluster, variable};
use crate::load::{Load, off_the_runtime};

/// For how long Redis stays away, unless `SCAIDRIVE_CLUSTER_OUTAGE` says otherwise.
const OUTAGE: Duration = Duration::from_secs(10);

/// Ends a load of which nothing at all may have failed.
async fn finish_spotless(cluster: &Cluster, load: Load, what: &str) {
    let counted = load.tally.take();
    eprintln!("{what}: {} requests, {:?} failed", counted.total(), counted.failures());
    let [writes, reads] = counted.gaps;
    eprintln!("the longest without a write that was done {writes:?}, without a read {reads:?}");
    counted.check();
    assert_eq!(counted.failures(), BTreeMap::new());
    load.finish().await;
    cluster.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_every_api_is_restarted_in_turn() {
    let Some(cluster) = Cluster::open() else { return };
    let load = Load::start(&cluster, &cluster.tenant()).await;
    for name in ["api-1", "api-2", "api-3"] {
        let part = cluster.part(name);
        part.tell_to_stop();
        off_the_runtime(|| part.await_end());
        part.start();
        off_the_runtime(|| cluster.await_ready());
        load.await_progress();
    }
    finish_spotless(&cluster, load, "every api restarted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_for_want_of_redis() {
    let Some(cluster) = Cluster::open() else { return };
    let tenant = cluster.tenant();
    let load = Load::start(&cluster, &tenant).await;
    let outage = variable("SCAIDRIVE_CLUSTER_OUTAGE")
        .map_or(OUTAGE, |text| Duration::from_secs(text.parse().unwrap()));
    let redis = cluster.part("redis");
    redis.kill();
    // Not to wait for something, but to be without it for that long.
    tokio::time::sleep(outage).await;
    load.await_progress();
    redis.start();
    off_the_runtime(|| cluster.await_ready());
    hears_of_the_others(&cluster, &tenant.token).await;
    finish_spotless(&cluster, load, &format!("{outage:?} without Redis")).await;
}

/// Waits until a change made at one api wakes who waits for it at another, long before it would look by itself.
async fn hears_of_the_others(cluster: &Cluster, token: &str) {
    let tally = Arc::new(Tally::default());
    let [one, other] = [0, 1].map(|number| Caller::new(&cluster.apis[number], token, &tally));
    let share = one.share("Heard").await;
    let cursor = other.get(&format!("/sync/changes?share_id={share}")).await["cursor"].clone();
    let path = format!("/sync/changes?share_id={share}&cursor={cursor}&wait=50");
    let waits = tokio::spawn(async move { other.ask(other.request(Method::GET, &path)).await });
    one.post("/folders", &json!({ "share_id": share, "name": "news" })).await;
    let heard: serde_json::Value = serde_json::from_slice(&waits.await.unwrap().unwrap()).unwrap();
    assert_eq!(heard["changes"].as_array().unwrap().len(), 1, "{heard}");
}
