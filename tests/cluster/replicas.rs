//! One upload at several replicas.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde_json::json;

use crate::answers::{Caller, Tally};
use crate::cluster::Cluster;
use crate::{noise, sha256};

const PART: usize = 64 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_is_one_upload_at_every_replica() {
    let Some(cluster) = Cluster::open() else { return };
    let (tenant, tally) = (cluster.tenant(), Arc::new(Tally::default()));
    let callers: Vec<Caller> =
        cluster.apis.iter().map(|api| Caller::new(api, &tenant.token, &tally)).collect();
    let [one, two, three] = <[Caller; 3]>::try_from(callers).unwrap_or_else(|_| panic!("three api"));
    let share = one.share("Parts").await;
    let bytes = noise(1, 20 * PART + 10);
    let body = json!({ "share_id": share, "file_name": "x", "file_size": bytes.len(), "chunk_size": PART });
    let session = one.post("/uploads", &body).await["session_id"].as_str().unwrap().to_owned();
    // Both at once, each every other part, the last first.
    let send = |caller: Caller, first: usize| {
        let (bytes, session) = (bytes.clone(), session.clone());
        tokio::spawn(async move {
            let parts: Vec<(usize, &[u8])> = bytes.chunks(PART).enumerate().collect();
            for (index, part) in parts.into_iter().skip(first).step_by(2).rev() {
                let path = format!("/uploads/{session}/chunks/{index}");
                caller.insist(|| caller.request(Method::PUT, &path).body(part.to_vec())).await;
            }
        })
    };
    let (even, odd) = (send(one.clone(), 0), send(two.clone(), 1));
    even.await.unwrap();
    odd.await.unwrap();
    let path = format!("/uploads/{session}");
    assert_eq!(three.get(&path).await["missing"], json!([]));
    let made = three.post(&format!("{path}/complete"), &json!({})).await;
    assert_eq!(made["checksum_sha256"], sha256(&bytes), "{made}");
    assert_eq!(
        one.post(&format!("{path}/complete"), &json!({})).await,
        made,
        "asking elsewhere answers the same"
    );
    let content = format!("/files/{}/content", made["file_id"].as_str().unwrap());
    assert!(two.insist(|| two.request(Method::GET, &content)).await == bytes);
    let counted = tally.take();
    counted.check();
    assert_eq!(counted.failures(), BTreeMap::new());
    cluster.check();
}
