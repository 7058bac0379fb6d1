//! The bytes of a content behind its frontier, from where they lie now: parts' objects, or chunks of before.

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::Drive;
use crate::model::{Error, Result, Sha256Hash};
use crate::ports::Key;
use crate::ports::metadata::{PartRow, UploadRow};
use crate::services::content;

/// Parts' rows read at once.
const PAGE: u32 = 256;

/// Bytes read ahead.
const AHEAD: u32 = 8 << 20;

/// What follows the frontier.
pub(super) enum Next {
    /// A part, or what of it lies behind the frontier.
    Piece(PartRow, Bytes),
    /// A part whose object is not there, or is not what its row says.
    Vanished(PartRow),
}

/// Streams the parts from the frontier on, up to the first that is not there.
pub(super) fn pieces(drive: &Drive, row: &UploadRow) -> BoxStream<'static, Result<Next>> {
    let ahead = (AHEAD / row.layout.part_size).clamp(2, 32) as usize;
    let reading = (drive.clone(), row.clone());
    parts(drive.clone(), row.clone())
        .map(move |part| {
            let (drive, row) = reading.clone();
            async move {
                let part = part?;
                // On a task of its own, so that it goes on while what came before is cut and stored.
                let read = tokio::spawn(async move { read(&drive, &row, part).await }).await;
                read.map_err(|error| Error::internal(format!("a read broke off: {error}")))?
            }
        })
        .buffered(ahead)
        .boxed()
}

fn parts(drive: Drive, row: UploadRow) -> impl futures_util::Stream<Item = Result<PartRow>> + Send {
    let first = row.layout.parts_before(row.frontier);
    stream::try_unfold(Some(first), move |from| {
        let (drive, id, tenant) = (drive.clone(), row.id, row.tenant);
        async move {
            let Some(from) = from else { return Ok::<_, Error>(None) };
            let mut page = drive.read().await?.upload_parts(tenant, id, from, PAGE).await?;
            let without_gap =
                page.iter().zip(from..).take_while(|(part, wanted)| part.part == *wanted).count();
            page.truncate(without_gap);
            let next = (page.len() == PAGE as usize).then_some(from + PAGE);
            Ok(Some((stream::iter(page.into_iter().map(Ok)), next)))
        }
    })
    .try_flatten()
}

async fn read(drive: &Drive, row: &UploadRow, part: PartRow) -> Result<Next> {
    let bytes = match part.promoted_in {
        None => drive.blobs.get(&Key::part(row.id, part.part)).await?,
        Some(generation) => Some(from_chunks(drive, row, part, generation).await?),
    };
    match bytes {
        Some(bytes) if Sha256Hash::of(&bytes) == part.hash => {
            let done = row.frontier.saturating_sub(row.layout.start(part.part)) as usize;
            Ok(Next::Piece(part, bytes.slice(done.min(bytes.len())..)))
        }
        _ if part.promoted_in.is_none() => Ok(Next::Vanished(part)),
        _ => Err(Error::Corrupt { what: format!("part {} of upload {}", part.part, row.id) }),
    }
}

/// Returns a part that was promoted from the chunks that hold it: all of one generation, because that changes only
/// when the frontier goes back before a part that was not promoted yet, or before one that was.
async fn from_chunks(drive: &Drive, row: &UploadRow, part: PartRow, generation: u32) -> Result<Bytes> {
    let (from, to) = (row.layout.start(part.part), row.layout.end(part.part));
    let entries = drive.read().await?.upload_generation(row.tenant, row.id, generation, from, to).await?;
    let mut bytes = BytesMut::with_capacity((to - from) as usize);
    for entry in entries {
        let chunk = content::verified(drive, row.tenant, entry.hash).await?;
        let start = from.saturating_sub(entry.start) as usize;
        let end = (to - entry.start).min(chunk.len() as u64) as usize;
        bytes.extend_from_slice(&chunk[start.min(end)..end]);
    }
    Ok(bytes.freeze())
}
