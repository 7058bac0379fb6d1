//! How many bytes of uploads a process takes in at once: of everybody, and of one user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::model::{Caller, Error, Result, TenantId, UserId};

/// What permits count: no part is smaller, but a content's last one.
const UNIT: u32 = 64 << 10;

/// Bytes of parts that may be in memory at once.
const ALL: usize = 160 << 20;

/// Bytes of one user's parts: somebody who sends slowly on many connections keeps nobody else out.
const PER_USER: usize = 48 << 20;

/// How long a part waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// Frontiers that one process moves at once; each holds a few tens of megabytes.
const MOVERS: usize = 2;

/// What the uploads of one process share, how long things may take, and how much is done at once.
#[derive(Debug)]
pub struct Uploads {
    /// How long the request that completes an upload is kept waiting, below a proxy's 60 s.
    pub complete_within: Duration,
    /// How long a replica that says nothing keeps others from moving a frontier.
    pub lease: Duration,
    /// Bytes that a frontier moves by at once: their chunks share touches, syncs and a transaction.
    pub step: usize,
    /// Bytes that must follow a frontier before a part moves it, unless they are the last: more than a chunk.
    pub worth: u64,
    /// Bytes that a frontier moves on behalf of one part: more than it brought, so that it catches up, and little
    /// enough for a request.
    pub reach: u64,
    all: Arc<Semaphore>,
    users: Mutex<HashMap<(TenantId, UserId), Arc<Semaphore>>>,
    pub(super) movers: Semaphore,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            complete_within: Duration::from_secs(45),
            lease: Duration::from_secs(30),
            step: 16 << 20,
            worth: 4 << 20,
            reach: 32 << 20,
            all: Arc::new(Semaphore::new(ALL / UNIT as usize)),
            users: Mutex::default(),
            movers: Semaphore::new(MOVERS),
        }
    }
}

/// Room in memory for a part, until it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    _of_user: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Uploads {
    /// Waits for room for `size` bytes; the caller has to come back if others need it all for too long.
    pub(super) async fn admit(&self, caller: &Caller, size: u32) -> Result<Room> {
        let units = size.div_ceil(UNIT).max(1);
        let of_user = self.of_user(caller);
        let admitted = async {
            let of_user = of_user.acquire_many_owned(units).await;
            (of_user, Arc::clone(&self.all).acquire_many_owned(units).await)
        };
        match tokio::time::timeout(PATIENCE, admitted).await {
            Ok((Ok(of_user), Ok(of_all))) => Ok(Room { _of_user: of_user, _of_all: of_all }),
            _ => Err(Error::unavailable("room for more parts at once", Duration::from_secs(1))),
        }
    }

    fn of_user(&self, caller: &Caller) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever holds or waits for room holds the semaphore, too.
        users.retain(|_, room| Arc::strong_count(room) > 1);
        let key = (caller.tenant, caller.user.clone());
        Arc::clone(users.entry(key).or_insert_with(|| Arc::new(Semaphore::new(PER_USER / UNIT as usize))))
    }

    /// Waits for the right to move a frontier, for so long.
    pub(super) async fn mover(&self, patience: Duration) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(patience, self.movers.acquire()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use ulid::Ulid;

    use super::*;

    /// Returns room for a large part, unless it would have to be waited for.
    fn room(uploads: &Uploads, user: &str) -> Option<Room> {
        let caller = Caller::local(TenantId::new(Ulid::nil()), user.parse().unwrap(), String::new());
        uploads.admit(&caller, 4 << 20).now_or_never().map(Result::unwrap)
    }

    #[tokio::test]
    async fn one_user_cannot_take_all_the_room() {
        let uploads = Uploads::default();
        let mut held: Vec<Room> = std::iter::from_fn(|| room(&uploads, "greedy")).collect();
        assert_eq!(held.len(), PER_USER / (4 << 20));
        assert!(room(&uploads, "modest").is_some());
        held.pop();
        assert!(room(&uploads, "greedy").is_some());
    }

    #[tokio::test]
    async fn all_together_have_so_much_room_and_users_are_forgotten() {
        let uploads = Uploads::default();
        let held: Vec<Room> = (0..).map_while(|number| room(&uploads, &format!("user{number}"))).collect();
        assert_eq!(held.len(), ALL / (4 << 20));
        drop(held);
        assert!(room(&uploads, "last").is_some());
        assert_eq!(uploads.users.lock().unwrap().len(), 1);
    }
}
