//! Versions of a file.

use scaidrive_core::model::{Caller, FileId};
use scaidrive_core::services::versions;

use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn list(caller: Caller, request: Request) -> Answer {
    let (limit, offset) = (request.query.limit()?, request.query.offset()?);
    reply::ok(&versions::list(&request.app.drive, &caller, request.id("id")?, limit, offset).await?)
}

pub(crate) async fn restore(caller: Caller, request: Request) -> Answer {
    let (id, number) = (request.id::<FileId>("id")?, request.id("n")?);
    reply::ok(&versions::restore(&request.app.drive, &caller, id, number).await?)
}

pub(crate) async fn delete(caller: Caller, request: Request) -> Answer {
    let (id, number) = (request.id::<FileId>("id")?, request.id("n")?);
    versions::delete(&request.app.drive, &caller, id, number).await?;
    Ok(reply::no_content())
}
