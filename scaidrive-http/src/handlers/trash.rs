//! The trash of a share.

use scaidrive_core::model::{Caller, ShareId};
use scaidrive_core::services::trash;

use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn list(caller: Caller, request: Request) -> Answer {
    let (id, limit) = (request.id::<ShareId>("id")?, request.query.limit()?);
    let page = trash::list(&request.app.drive, &caller, id, request.query.text("after"), limit).await;
    reply::ok(&page.map_err(|error| Failure::from(error).in_query())?)
}

pub(crate) async fn empty(caller: Caller, request: Request) -> Answer {
    trash::empty(&request.app.drive, &caller, request.id("id")?).await?;
    Ok(reply::no_content())
}
