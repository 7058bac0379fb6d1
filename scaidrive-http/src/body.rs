//! Bodies of requests: streamed with a limit on silence, or read whole where they are small.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use scaidrive_core::model::Error;

use crate::errors::Failure;

/// How long a client may say nothing in the middle of a body. There is no limit on a whole upload.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// The largest JSON body.
pub(crate) const MAX_JSON: usize = 1 << 20;

/// Returns the bytes of a body as they come.
pub(crate) fn stream(body: Option<Incoming>) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
    stream::try_unfold(body, next).boxed()
}

async fn next(body: Option<Incoming>) -> io::Result<Option<(Bytes, Option<Incoming>)>> {
    let Some(mut body) = body else { return Ok(None) };
    let broken = |reason: &str| io::Error::other(Error::BadStream { reason: reason.to_owned() });
    match tokio::time::timeout(LONGEST_SILENCE, body.frame()).await {
        Err(_) => Err(broken("no byte came for 60 s")),
        Ok(None) => Ok(None),
        Ok(Some(Err(_))) => Err(broken("the connection ended in the middle of the body")),
        // Trailers carry nothing that we read.
        Ok(Some(Ok(frame))) => Ok(Some((frame.into_data().unwrap_or_default(), Some(body)))),
    }
}

/// Returns a whole body of at most `limit` bytes.
pub(crate) async fn collect(body: Option<Incoming>, limit: usize) -> Result<Bytes, Failure> {
    let mut bytes = stream(body);
    let mut all = BytesMut::new();
    while let Some(part) = bytes.try_next().await.map_err(stream_failure)? {
        if all.len() + part.len() > limit {
            return Err(Error::TooLarge { limit: limit as u64 }.into());
        }
        all.extend_from_slice(&part);
    }
    Ok(all.freeze())
}

/// Returns what a broken stream means; an error of the core inside passes through.
pub(crate) fn stream_failure(error: io::Error) -> Failure {
    match error.downcast::<Error>() {
        Ok(inner) => inner.into(),
        Err(error) => Error::BadStream { reason: error.to_string() }.into(),
    }
}
