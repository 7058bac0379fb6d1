//! The contract of [`BlobStore`].

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use ulid::Ulid;

use crate::model::{Sha256Hash, TenantId};
use crate::ports::{BlobStore, Key};

/// Runs the whole suite; `seed` keeps runs on one store apart.
///
/// # Panics
/// Where the store breaks its contract.
pub async fn check(store: Arc<dyn BlobStore>, seed: u64) {
    let tenant = |number| TenantId::new(Ulid::from_parts(seed, number));
    store.ping().await.expect("a store that works answers a ping");
    what_is_put_is_there(&*store, tenant(1)).await;
    what_is_not_there_is_no_error(&*store, tenant(2)).await;
    many_are_put_at_once(&*store, tenant(3)).await;
    tenants_are_listed_apart(&*store, tenant(4), tenant(5)).await;
    rivals_put_the_same_key(&store, tenant(6)).await;
}

fn object(tenant: TenantId, content: &[u8]) -> (Key, Bytes) {
    (Key::chunk(tenant, Sha256Hash::of(content)), Bytes::copy_from_slice(content))
}

async fn listed(store: &dyn BlobStore, tenant: TenantId) -> BTreeSet<(String, u64)> {
    let found: Vec<_> = store.list(&Key::chunks_of(tenant)).try_collect().await.expect("a listing ends");
    found.into_iter().map(|meta| (meta.key.to_string(), meta.size)).collect()
}

async fn what_is_put_is_there(store: &dyn BlobStore, tenant: TenantId) {
    for content in [&b""[..], b"x", &vec![7; 1 << 20]] {
        let (key, bytes) = object(tenant, content);
        store.put_all(vec![(key.clone(), bytes.clone())]).await.expect("a put works");
        store.put_all(vec![(key.clone(), bytes.clone())]).await.expect("a put again works");
        assert_eq!(store.get(&key).await.expect("a get works"), Some(bytes.clone()));
        let meta = store.head(&key).await.expect("a head works").expect("the object is there");
        assert_eq!((meta.key, meta.size), (key, bytes.len() as u64));
    }
    assert_eq!(listed(store, tenant).await.len(), 3);
}

async fn what_is_not_there_is_no_error(store: &dyn BlobStore, tenant: TenantId) {
    let (key, bytes) = object(tenant, b"gone");
    assert_eq!(store.get(&key).await.expect("a get works"), None);
    assert_eq!(store.head(&key).await.expect("a head works"), None);
    store.delete(&key).await.expect("nothing can be deleted");
    assert!(listed(store, tenant).await.is_empty());
    store.put_all(vec![(key.clone(), bytes)]).await.expect("a put works");
    store.delete(&key).await.expect("a delete works");
    assert_eq!(store.get(&key).await.expect("a get works"), None);
    assert!(listed(store, tenant).await.is_empty());
    store.put_all(Vec::new()).await.expect("nothing can be put");
}

async fn many_are_put_at_once(store: &dyn BlobStore, tenant: TenantId) {
    let objects: Vec<_> = (0..300_u32).map(|number| object(tenant, &number.to_le_bytes())).collect();
    store.put_all(objects.clone()).await.expect("a put works");
    let wanted = objects.iter().map(|(key, bytes)| (key.to_string(), bytes.len() as u64)).collect();
    assert_eq!(listed(store, tenant).await, wanted);
    for (key, bytes) in objects.iter().step_by(50) {
        assert_eq!(store.get(key).await.expect("a get works").as_ref(), Some(bytes));
    }
}

async fn tenants_are_listed_apart(store: &dyn BlobStore, one: TenantId, other: TenantId) {
    store.put_all(vec![object(one, b"same"), object(other, b"same")]).await.expect("a put works");
    assert_eq!(listed(store, one).await.len(), 1);
    store.delete(&object(one, b"same").0).await.expect("a delete works");
    assert_eq!(listed(store, other).await.len(), 1);
}

async fn rivals_put_the_same_key(store: &Arc<dyn BlobStore>, tenant: TenantId) {
    let (key, bytes) = object(tenant, &vec![9; 100_000]);
    let rivals: Vec<_> = (0..16)
        .map(|_| {
            let (store, object) = (Arc::clone(store), (key.clone(), bytes.clone()));
            tokio::spawn(async move { store.put_all(vec![object]).await })
        })
        .collect();
    for rival in rivals {
        rival.await.expect("no put panics").expect("every rival's put works");
    }
    assert_eq!(store.get(&key).await.expect("a get works"), Some(bytes));
    assert_eq!(listed(&**store, tenant).await.len(), 1);
}
