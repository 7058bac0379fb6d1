//! Changes as a stream: nudges say when to look, the feed says what there is.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use scaidrive_core::model::{FeedRow, Result, ShareId};
use scaidrive_core::ports::News;
use scaidrive_core::services::feed;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::acting::Acting;

/// Changes read at once.
const PAGE: u32 = 1000;

/// How often to look without a nudge: one may have got lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// Returns the changes of a share after a position.
pub(crate) fn changes(
    acting: Acting,
    share: ShareId,
    position: i64,
) -> impl Stream<Item = Result<FeedRow>> + Send + Unpin {
    // Subscribed before the first look: what commits in between is nudged.
    let nudges = acting.drive.pubsub.subscribe();
    let watch = Watch { acting, share, position, nudges, ready: VecDeque::new() };
    stream::try_unfold(watch, |mut watch| async move { Ok(Some((watch.next().await?, watch))) }).boxed()
}

struct Watch {
    acting: Acting,
    share: ShareId,
    position: i64,
    nudges: broadcast::Receiver<News>,
    ready: VecDeque<FeedRow>,
}

impl Watch {
    async fn next(&mut self) -> Result<FeedRow> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(change);
            }
            let caller = self.acting.caller().await?;
            let page = feed::changes(&self.acting.drive, &caller, self.share, self.position, PAGE).await?;
            self.position = page.cursor;
            self.ready.extend(page.changes);
            if self.ready.is_empty() && !page.has_more {
                self.wait().await;
            }
        }
    }

    /// Waits until there may be something new.
    async fn wait(&mut self) {
        let tenant = self.acting.known().tenant;
        let nudged = async {
            loop {
                match self.nudges.recv().await {
                    Ok(News::Nudge(nudge)) if nudge.tenant != tenant || nudge.position <= self.position => {}
                    // Where some were missed, there may be something, too.
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // A time-out is as good a reason to look as a nudge.
        let _ = tokio::time::timeout(LOOK_ANYWAY, nudged).await;
    }
}
