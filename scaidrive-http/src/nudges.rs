//! Wakes those who wait for changes: long polls and sockets, each for shares of its own.
//!
//! One task listens to the fan-out and passes on what concerns somebody; a wake-up costs who waits a glance at a short
//! list, and only what may be news for it a look at the database. Nudges may get lost; the feed is the truth.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use scaidrive_core::Drive;
use scaidrive_core::model::{ShareId, TenantId, UserId};
use scaidrive_core::ports::{self, Nudge};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

/// Nudges of a tenant that are remembered one by one; who has missed more looks at everything.
const REMEMBERED: usize = 256;

/// What goes on, tenant by tenant.
#[derive(Default)]
pub(crate) struct Nudges(Mutex<HashMap<TenantId, Arc<News>>>);

/// Whom something concerns.
#[derive(Clone, Debug)]
enum Concern {
    /// Who reads a share.
    Share(ShareId),
    /// A user.
    User(UserId),
    /// Everybody.
    Everybody,
}

/// What went on in a tenant lately.
struct News {
    recent: Mutex<VecDeque<Concern>>,
    /// How many nudges there were.
    count: watch::Sender<u64>,
}

impl News {
    fn new() -> Self {
        Self { recent: Mutex::default(), count: watch::Sender::new(0) }
    }

    fn add(&self, concern: Concern) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_front(concern);
        recent.truncate(REMEMBERED);
        // Under the lock: who sees the count sees what it counts.
        self.count.send_modify(|count| *count += 1);
    }
}

impl Nudges {
    /// Returns a place for a user to wait for what happens in a tenant from now on.
    pub(crate) fn waiter(&self, tenant: TenantId, user: &UserId) -> Waiter {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = Arc::clone(tenants.entry(tenant).or_insert_with(|| Arc::new(News::new())));
        let count = news.count.subscribe();
        let seen = *count.borrow();
        Waiter { news, count, seen, user: user.clone() }
    }

    /// Passes a nudge on, if anybody waits for one.
    fn pass(&self, nudge: Nudge) {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(news) = tenants.get(&nudge.tenant) {
            if news.count.receiver_count() == 0 {
                tenants.remove(&nudge.tenant);
            } else {
                news.add(match (nudge.share, nudge.user) {
                    (Some(share), _) => Concern::Share(share),
                    (None, Some(user)) => Concern::User(user),
                    (None, None) => Concern::Everybody,
                });
            }
        }
    }

    /// Makes everybody look: nudges were missed, and nobody knows whose.
    fn pass_all(&self) {
        let tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.values().for_each(|news| news.add(Concern::Everybody));
    }

    /// Listens to the fan-out for ever.
    pub(crate) async fn listen(&self, drive: &Drive) {
        let mut nudges = drive.pubsub.subscribe();
        // What was published before this began to listen was heard by nobody.
        self.pass_all();
        loop {
            match nudges.recv().await {
                Ok(ports::News::Nudge(nudge)) => self.pass(nudge),
                Ok(ports::News::Lost) | Err(RecvError::Lagged(_)) => self.pass_all(),
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// Waits for what happens in a tenant.
pub(crate) struct Waiter {
    news: Arc<News>,
    count: watch::Receiver<u64>,
    seen: u64,
    user: UserId,
}

/// What a waiter was woken by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Woken {
    /// Shares that it waits for, and in which something has changed.
    pub(crate) shares: BTreeSet<ShareId>,
    /// Whether it may be anything: who may do what, devices, or more than is remembered.
    pub(crate) is_general: bool,
}

impl Woken {
    /// Returns what makes a waiter look at everything.
    pub(crate) fn by_anything() -> Self {
        Self { is_general: true, ..Self::default() }
    }

    /// Adds what else woke it.
    pub(crate) fn and(&mut self, more: Self) {
        self.shares.extend(more.shares);
        self.is_general |= more.is_general;
    }
}

impl Waiter {
    /// Returns once something has happened since the last call that concerns one of these shares, the user, or all.
    pub(crate) async fn woken(&mut self, concerns: impl Fn(ShareId) -> bool) -> Woken {
        loop {
            // The sender is held here: there is always somebody who could send.
            drop(self.count.wait_for(|count| *count != self.seen).await);
            let woken = self.glance(&concerns);
            if woken != Woken::default() {
                return woken;
            }
        }
    }

    /// Looks at what happened since the last glance.
    fn glance(&mut self, concerns: impl Fn(ShareId) -> bool) -> Woken {
        let recent = self.news.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let count = *self.count.borrow_and_update();
        let missed = count - std::mem::replace(&mut self.seen, count);
        let mut woken = Woken { is_general: missed > REMEMBERED as u64, ..Woken::default() };
        for concern in recent.iter().take(usize::try_from(missed).unwrap_or(usize::MAX)) {
            match concern {
                Concern::Everybody => woken.is_general = true,
                Concern::User(user) => woken.is_general |= *user == self.user,
                Concern::Share(share) if concerns(*share) => drop(woken.shares.insert(*share)),
                Concern::Share(_) => {}
            }
        }
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use ulid::Ulid;

    fn nudge(tenant: u128, share: Option<u128>, user: Option<&str>) -> Nudge {
        let share = share.map(|share| ShareId::new(Ulid::from_parts(2, share)));
        let user = user.map(|user| user.parse().unwrap());
        Nudge { tenant: TenantId::new(Ulid::from_parts(1, tenant)), share, user, position: 1 }
    }

    fn waiter(nudges: &Nudges) -> Waiter {
        nudges.waiter(nudge(1, None, None).tenant, &"ann".parse().unwrap())
    }

    #[tokio::test]
    async fn a_waiter_is_woken_by_what_concerns_it_alone() {
        let nudges = Nudges::default();
        let mine = nudge(1, Some(7), None).share.unwrap();
        let mut waiter = waiter(&nudges);
        let mut woken = || waiter.woken(|share| share == mine).now_or_never();
        assert_eq!(woken(), None);
        nudges.pass(nudge(1, Some(8), None));
        nudges.pass(nudge(2, Some(7), None));
        nudges.pass(nudge(2, None, None));
        nudges.pass(nudge(1, None, Some("bob")));
        assert_eq!(woken(), None);
        nudges.pass(nudge(1, Some(7), None));
        nudges.pass(nudge(1, Some(7), None));
        assert_eq!(woken(), Some(Woken { shares: [mine].into(), is_general: false }));
        assert_eq!(woken(), None, "once is enough");
        nudges.pass(nudge(1, Some(7), None));
        nudges.pass(nudge(1, None, None));
        assert_eq!(woken(), Some(Woken { shares: [mine].into(), is_general: true }));
        nudges.pass(nudge(1, None, Some("ann")));
        assert_eq!(woken(), Some(Woken::by_anything()));
        nudges.pass_all();
        assert_eq!(woken(), Some(Woken::by_anything()));
    }

    #[tokio::test]
    async fn who_has_missed_too_much_looks_at_everything() {
        let nudges = Nudges::default();
        let mut waiter = waiter(&nudges);
        for _ in 0..=REMEMBERED {
            nudges.pass(nudge(1, Some(8), None));
        }
        assert_eq!(waiter.woken(|_| false).now_or_never(), Some(Woken::by_anything()));
    }

    #[tokio::test]
    async fn nobody_is_remembered_who_does_not_wait() {
        let nudges = Nudges::default();
        drop(waiter(&nudges));
        nudges.pass(nudge(1, Some(7), None));
        assert!(nudges.0.lock().unwrap().is_empty());
    }
}
