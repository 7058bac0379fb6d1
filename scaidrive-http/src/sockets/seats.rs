//! How many sockets each user has open: one who opens them without end takes only from itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use scaidrive_core::model::{Caller, TenantId, UserId};

/// The most sockets of one user in one process: two for each device that it may have.
const MOST: usize = 2000;

type Owner = (TenantId, UserId);

/// Who sits where.
#[derive(Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<Owner, usize>>>);

/// A socket's place; it is free again when this is dropped.
pub(super) struct Seat {
    seats: Arc<Mutex<HashMap<Owner, usize>>>,
    owner: Owner,
}

impl Seats {
    /// Returns a place for a socket, unless its user has too many.
    pub(super) fn take(&self, caller: &Caller) -> Option<Seat> {
        let owner = (caller.tenant, caller.user.clone());
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(owner.clone()).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Seat { seats: Arc::clone(&self.0), owner })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ulid::Ulid;

    fn caller(user: &str) -> Caller {
        Caller::local(TenantId::new(Ulid::from_parts(1, 1)), user.parse().unwrap(), "test".to_owned())
    }

    #[test]
    fn a_user_has_so_many_seats_and_gets_them_back() {
        let seats = Seats::default();
        let (ann, bob) = (caller("ann"), caller("bob"));
        let mut taken: Vec<Seat> = (0..MOST).map(|_| seats.take(&ann).unwrap()).collect();
        assert!(seats.take(&ann).is_none());
        assert!(seats.take(&bob).is_some(), "nobody else has less for it");
        taken.pop();
        let again = seats.take(&ann);
        assert!(again.is_some() && seats.take(&ann).is_none());
        drop((again, taken));
        assert!(seats.0.lock().unwrap().is_empty(), "nobody is remembered who has none");
    }
}
