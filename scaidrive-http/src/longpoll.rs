//! Waiting for changes: a reader that has everything is answered when there is something, or when its time is up.
//!
//! Nothing is held while it waits: no connection to the database, and no more than the question itself.

use std::time::Duration;

use scaidrive_core::model::{Caller, ShareId};
use scaidrive_core::services::feed::{self, Changes};
use scaidrive_core::services::identity;
use tokio::time::Instant;

use crate::app::App;
use crate::errors::Failure;
use crate::socket::Presence;

/// What a reader of the feed asks for.
pub(crate) struct Question {
    /// Of one share, or of all that it may read.
    pub(crate) share: Option<ShareId>,
    /// After which position; from now on where none is given.
    pub(crate) cursor: Option<i64>,
    /// At most so many rows.
    pub(crate) limit: u32,
    /// How long it would wait.
    pub(crate) wait: Duration,
}

/// Answers a reader, as soon as there is something to answer with or its time is up.
pub(crate) async fn answer(
    app: &App,
    caller: &Caller,
    question: &Question,
    presence: Option<Presence>,
) -> Result<Changes, Failure> {
    let deadline = Instant::now() + question.wait;
    // Before the first look: what happens in between wakes.
    let mut waiter = app.nudges.waiter(caller.tenant, &caller.user);
    let mut page = first_page(app, caller, question).await?;
    while page.changes.is_empty() && !page.has_more && Instant::now() < deadline {
        let concerns = |share| question.share.is_none_or(|wanted| wanted == share);
        let goes_on = tokio::select! {
            _ = waiter.woken(concerns) => true,
            () = tokio::time::sleep_until(deadline) => true,
            () = app.stopping() => false,
            () = gone(presence.as_ref()) => false,
        };
        if !goes_on {
            break;
        }
        // Many wait for the same; they look in turn, so that others find a connection as well.
        let _turn = app.turn().await;
        let caller = identity::refreshed(&mut *app.drive.read().await?, caller).await?;
        page = feed::changes(&app.drive, &caller, question.share, page.cursor, question.limit).await?;
    }
    Ok(page)
}

async fn first_page(app: &App, caller: &Caller, question: &Question) -> Result<Changes, Failure> {
    Ok(match question.cursor {
        Some(cursor) => feed::changes(&app.drive, caller, question.share, cursor, question.limit).await?,
        None => feed::start(&app.drive, caller, question.share).await?,
    })
}

async fn gone(presence: Option<&Presence>) {
    match presence {
        Some(presence) => presence.gone().await,
        None => std::future::pending().await,
    }
}
