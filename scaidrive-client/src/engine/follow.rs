//! Follows the server's tree.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Engine, Event};
use crate::error::{Error, Result};
use crate::remote::{Change, Changes};
use crate::state::Record;

/// Positions are never given again: a server that was restored from a backup goes on this much further (design, 6).
const AFTER_RESTORE: i64 = 1_000_000_000;

impl Engine {
    /// Brings what is known of the server's tree up to its head.
    pub(super) async fn follow(&mut self) -> Result<()> {
        let mut must_look = self.state().cursor.is_none();
        while let (false, Some(cursor)) = (must_look, self.state().cursor) {
            match self.ports.remote.changes(&self.share, cursor, Duration::ZERO).await {
                Ok(page) => {
                    let has_more = page.has_more;
                    must_look = self.take_page(page)?;
                    if !has_more {
                        break;
                    }
                }
                Err(Error::CursorExpired) => must_look = true,
                Err(Error::NotFound(_)) => return Err(Error::ShareLost),
                Err(error) => return Err(error),
            }
        }
        if must_look {
            self.look_again().await?;
        }
        // Rows that were older than a snapshot may leave items behind whose folder is not there.
        let lost = self.state().remote.unreachable();
        self.commit(lost.into_iter().map(Record::RemoteGone).collect())
    }

    /// Takes in a page of the feed; tells whether that is not enough.
    fn take_page(&mut self, page: Changes) -> Result<bool> {
        let mut records = Vec::with_capacity(page.changes.len() + 1);
        let mut must_look = false;
        let mut new = BTreeSet::new();
        for change in page.changes {
            match change {
                Change::Put(item) => {
                    new.insert(item.id.clone());
                    records.push(Record::Remote(item));
                }
                Change::Arrived(item) => {
                    // What it holds is not told; of a folder that was known all along nothing is new.
                    must_look |= self.state().remote.get(&item.id).is_none() && !new.contains(&item.id);
                    records.push(Record::Remote(item));
                }
                Change::Gone(id) => records.push(Record::RemoteGone(id)),
                Change::LookAgain => must_look = true,
                Change::ShareGone => return Err(Error::ShareLost),
            }
        }
        // Until the look has succeeded nothing else remembers that there must be one.
        if !must_look {
            records.push(Record::Cursor(page.cursor));
            self.commit(records)?;
        }
        Ok(must_look)
    }

    /// Takes in the server's whole tree.
    async fn look_again(&mut self) -> Result<()> {
        let snapshot = match self.ports.remote.snapshot(&self.share).await {
            Err(Error::NotFound(_)) => return Err(Error::ShareLost),
            snapshot => snapshot?,
        };
        let mut records = vec![Record::RemoteCleared];
        if self.state().cursor.is_some_and(|before| went_back(before, snapshot.cursor)) {
            // What is missing there was not deleted by anybody: it came after the backup. So nothing is agreed on any
            // more; what is alike is found again, what differs is kept twice, what is here alone is sent.
            self.ports.observer.event(&Event::ServerWentBack);
            records.push(Record::SyncedCleared);
        }
        records.extend(snapshot.items.into_iter().map(Record::Remote));
        records.push(Record::Cursor(snapshot.cursor));
        self.try_again();
        self.commit(records)
    }
}

/// Tells whether a server that was at one position and is at another one now forgot something in between. What it forgot
/// is missing from how much further it goes on, so that the distance alone does not tell.
fn went_back(before: i64, now: i64) -> bool {
    now < before || before / AFTER_RESTORE != now / AFTER_RESTORE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_restored_server_is_taken_for_one() {
        assert!(!went_back(5, 5) && !went_back(5, 900_000_000));
        assert!(went_back(5, 4) && went_back(5, 1_000_000_005));
        assert!(went_back(86, 1_000_000_062), "the backup was made at 62");
        assert!(went_back(1_000_000_086, 2_000_000_062) && !went_back(1_000_000_062, 1_000_000_086));
    }
}
