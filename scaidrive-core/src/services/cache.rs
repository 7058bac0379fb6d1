//! Chunks read lately, bounded in bytes.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;

use crate::model::{ChunkHash, TenantId};

/// Larger chunks are not kept: small files profit most, and a big download must not sweep them out.
const LARGEST_KEPT: usize = 256 << 10;

/// A bounded cache of verified chunks, two generations deep: what is used stays, what is not goes with its
/// generation, and no list has to be kept in order.
#[derive(Debug)]
pub struct ChunkCache {
    generations: Mutex<Generations>,
    bytes_per_generation: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<(TenantId, ChunkHash), Bytes>,
    old: HashMap<(TenantId, ChunkHash), Bytes>,
    young_bytes: usize,
}

impl ChunkCache {
    /// Returns a cache that holds at most so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { generations: Mutex::default(), bytes_per_generation: bytes / 2 }
    }

    /// Returns a chunk's verified bytes.
    pub fn get(&self, tenant: TenantId, hash: ChunkHash) -> Option<Bytes> {
        let mut all = self.lock();
        if let Some(bytes) = all.young.get(&(tenant, hash)) {
            return Some(bytes.clone());
        }
        let bytes = all.old.remove(&(tenant, hash))?;
        self.insert(&mut all, (tenant, hash), bytes.clone());
        Some(bytes)
    }

    /// Keeps a chunk whose bytes were verified.
    pub fn put(&self, tenant: TenantId, hash: ChunkHash, bytes: &Bytes) {
        if bytes.len() <= LARGEST_KEPT.min(self.bytes_per_generation) {
            // A copy, because the original may keep a far larger read buffer alive.
            self.insert(&mut self.lock(), (tenant, hash), Bytes::copy_from_slice(bytes));
        }
    }

    fn insert(&self, all: &mut Generations, key: (TenantId, ChunkHash), bytes: Bytes) {
        if all.young_bytes + bytes.len() > self.bytes_per_generation {
            all.old = std::mem::take(&mut all.young);
            all.young_bytes = 0;
        }
        all.young_bytes += bytes.len();
        all.young.insert(key, bytes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    #[test]
    fn the_cache_stays_within_its_bytes_and_keeps_what_is_used() {
        let tenant = TenantId::new(Ulid::from_parts(1, 1));
        let cache = ChunkCache::new(40 << 10);
        let chunk = |n: u32| (ChunkHash::of(&n.to_le_bytes()), Bytes::from(vec![1; 1 << 10]));
        let (hot, hot_bytes) = chunk(0);
        cache.put(tenant, hot, &hot_bytes);
        for n in 1..1000 {
            let (hash, bytes) = chunk(n);
            cache.put(tenant, hash, &bytes);
            assert!(cache.get(tenant, hot).is_some(), "the hot chunk was dropped at {n}");
        }
        let kept = (0..1000).filter(|n| cache.get(tenant, chunk(*n).0).is_some()).count();
        assert!(kept <= 40, "{kept} KiB are kept");
    }
}
