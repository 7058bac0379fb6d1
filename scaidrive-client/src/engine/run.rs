//! Goes on and on: until both sides agree, or as long as somebody wants.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Engine, Round};
use crate::error::{Error, Result};

/// Rounds after which something changes faster than it can be synced.
const MOST_ROUNDS: usize = 60;

/// How long the server is asked to wait for something to happen.
const LONG_POLL: Duration = Duration::from_secs(50);

/// How long after a change other changes of the same kind are awaited: programs change files in bursts.
const QUIET: Duration = Duration::from_millis(200);

/// How often is looked at everything although nobody said that something changed.
const LOOK_ANYWAY: Duration = Duration::from_secs(600);

/// How often is looked where the system cannot watch.
const LOOK_UNWATCHED: Duration = Duration::from_secs(60);

/// How often is looked again for files that change while they are read.
const MOST_PATIENCE: usize = 10;

/// How long a step may take after it was told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// How long after a failure is tried again, the first time and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Says that something changed in the directory; the number grows with every change.
pub type Nudge = watch::Receiver<u64>;

impl Engine {
    /// Goes round until both sides agree, as far as they can.
    ///
    /// # Errors
    /// `Restless` if they do not come to that; `Stopped` if it was told to stop.
    pub async fn settle(&mut self) -> Result<Round> {
        let (mut taken, mut patience) = (0, MOST_PATIENCE);
        for _ in 0..MOST_ROUNDS {
            let round = self.round().await?;
            taken += round.taken;
            match (round.is_settled(), round.unread) {
                // Whoever writes a file just now may be done soon.
                (true, 1..) if patience > 0 => {
                    patience -= 1;
                    self.pause(QUIET).await?;
                }
                (true, _) => return Ok(Round { taken, ..round }),
                (false, _) => {}
            }
        }
        Err(Error::Restless)
    }

    /// Does the same, but ends in the middle of whatever it does if that takes long after it was told to stop. It may be
    /// cut off anywhere.
    pub async fn settle_or_stop(&mut self) -> Result<Round> {
        let (mut control, system) = (self.control.clone(), Arc::clone(&self.ports.system));
        let stopped = async move {
            control.stopped().await;
            system.sleep(GRACE).await;
        };
        tokio::select! {
            settled = self.settle() => settled,
            () = stopped => Err(Error::Stopped),
        }
    }

    /// Keeps both sides together until it is told to stop, or cannot go on without somebody's help.
    ///
    /// `report` is told of every time that both sides agreed, and of failures that pass.
    pub async fn run(
        &mut self,
        mut nudge: Nudge,
        mut report: impl FnMut(&Result<Round>) + Send,
    ) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            nudge.mark_unchanged();
            let settled = self.settle_or_stop().await;
            report(&settled);
            let waited = match settled {
                Ok(_) => {
                    pause = FIRST_PAUSE;
                    self.wait_for_changes(&mut nudge).await
                }
                Err(error) if error.is_passing() => {
                    let waited = self.pause(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    waited
                }
                Err(error) => Err(error),
            };
            match waited {
                Ok(()) => {}
                Err(Error::Stopped) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn pause(&mut self, time: Duration) -> Result<()> {
        let mut control = self.control.clone();
        tokio::select! {
            () = self.ports.system.sleep(time) => Ok(()),
            () = control.stopped() => Err(Error::Stopped),
        }
    }

    /// Waits until something happened on either side, or long enough.
    async fn wait_for_changes(&mut self, nudge: &mut Nudge) -> Result<()> {
        let (remote, share) = (self.ports.remote.clone(), self.share.clone());
        let mut cursor = self.state().cursor.unwrap_or(0);
        let there = async {
            loop {
                match remote.changes(&share, cursor, LONG_POLL).await {
                    // Changes of other shares move the cursor, too.
                    Ok(page) if page.changes.is_empty() && !page.has_more => cursor = page.cursor,
                    // A failure is the next round's to tell.
                    Ok(_) | Err(_) => return,
                }
            }
        };
        let here = async {
            // Without a watch only time tells.
            let wait = if nudge.changed().await.is_ok() { QUIET } else { LOOK_UNWATCHED };
            self.ports.system.sleep(wait).await;
        };
        let mut control = self.control.clone();
        tokio::select! {
            () = there => Ok(()),
            () = here => Ok(()),
            () = self.ports.system.sleep(LOOK_ANYWAY) => { self.held.clear(); self.failures.clear(); Ok(()) }
            () = control.stopped() => Err(Error::Stopped),
        }
    }
}
