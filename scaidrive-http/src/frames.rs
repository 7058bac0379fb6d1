//! The framing in which many contents or chunks travel in one body: a SHA-256 (32 bytes), a length (32 bits, big
//! endian), and so many bytes; again and again.

use std::io;
use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use scaidrive_core::Drive;
use scaidrive_core::model::{Error, Result, Sha256Hash};
use scaidrive_core::services::content::{self, Readable};
use scaidrive_core::services::delta::Frame;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The largest framed body.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// The most frames in one.
const MOST_FRAMES: u32 = 1 << 16;

/// Bytes before those of a frame's content.
const HEAD: usize = 36;

/// Stands in the place of a content that is not sent: no content has this hash, and so nothing can pass for it.
const ABSENT: [u8; HEAD] = [0; HEAD];

/// Contents up to this size are read ahead while others are sent.
const SMALL: u64 = 256 << 10;

/// Contents read ahead.
const AHEAD: usize = 8;

/// Reads frames as they come. Bytes of more than `largest` are skipped; a body that is too long, has too many frames
/// or ends in the middle of one gives its error after the frames before.
pub(crate) fn read(
    reader: impl AsyncRead + Send + Unpin + 'static,
    largest: u32,
) -> impl Stream<Item = Result<Frame>> + Send {
    let frames = Frames { reader, left: MOST_BYTES, count_left: MOST_FRAMES, largest };
    stream::try_unfold(
        frames,
        |mut frames| async move { Ok(frames.next().await?.map(|frame| (frame, frames))) },
    )
}

struct Frames<R> {
    reader: R,
    left: u64,
    count_left: u32,
    largest: u32,
}

impl<R: AsyncRead + Send + Unpin> Frames<R> {
    async fn next(&mut self) -> Result<Option<Frame>> {
        let Some(head) = self.head().await? else { return Ok(None) };
        let (hash, length) = head.split_at(32);
        let hash = Sha256Hash::from_bytes(hash.try_into().map_err(|_| torn())?);
        let length = u32::from_be_bytes(length.try_into().map_err(|_| torn())?);
        self.left = self
            .left
            .checked_sub(HEAD as u64 + u64::from(length))
            .ok_or(Error::TooLarge { limit: MOST_BYTES })?;
        self.count_left = self.count_left.checked_sub(1).ok_or_else(|| {
            Error::invalid("body", format!("at most {MOST_FRAMES} frames go into one request"), MOST_FRAMES)
        })?;
        let mut body = (&mut self.reader).take(length.into());
        let (bytes, got) = if length > self.largest {
            (None, tokio::io::copy(&mut body, &mut tokio::io::sink()).await.map_err(broken)?)
        } else {
            let mut bytes = Vec::with_capacity(length as usize);
            let got = body.read_to_end(&mut bytes).await.map_err(broken)?;
            (Some(bytes.into()), got as u64)
        };
        if got == u64::from(length) { Ok(Some(Frame { hash, bytes })) } else { Err(torn()) }
    }

    async fn head(&mut self) -> Result<Option<[u8; HEAD]>> {
        let mut head = [0; HEAD];
        let mut filled = 0;
        while filled < HEAD {
            match self.reader.read(&mut head[filled..]).await.map_err(broken)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(torn()),
                more => filled += more,
            }
        }
        Ok(Some(head))
    }
}

fn torn() -> Error {
    let reason = "the last frame is cut off; the frames before it are kept".to_owned();
    Error::BadStream { reason }
}

/// Returns what a broken body means; an error of the core inside passes through.
fn broken(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(inner) => inner,
        Err(error) => Error::BadStream { reason: error.to_string() },
    }
}

/// Writes contents, each under its checksum, in this order; [`ABSENT`] for what is not there or does not fit a frame.
/// Returns how many bytes that makes, and the bytes.
pub(crate) fn write(
    drive: &Drive,
    contents: Vec<Option<Readable>>,
) -> (u64, BoxStream<'static, Result<Bytes>>) {
    let fits = |readable: &Readable| u32::try_from(readable.size).is_ok();
    let contents: Vec<Option<Readable>> = contents.into_iter().map(|content| content.filter(fits)).collect();
    let length =
        contents.iter().map(|content| HEAD as u64 + content.as_ref().map_or(0, |known| known.size)).sum();
    let drive = drive.clone();
    let frames =
        stream::iter(contents).map(move |content| frame(drive.clone(), content)).buffered(AHEAD).flatten();
    (length, frames.boxed())
}

async fn frame(drive: Drive, content: Option<Readable>) -> BoxStream<'static, Result<Bytes>> {
    let Some(readable) = content else { return one(Ok(Bytes::from_static(&ABSENT))) };
    let mut head = BytesMut::with_capacity(HEAD + readable.size.min(SMALL) as usize);
    head.put_slice(readable.checksum.as_bytes());
    head.put_u32(readable.size as u32);
    let mut bytes = content::stream(&drive, &readable, None);
    if readable.size > SMALL {
        return one(Ok(head.freeze())).chain(bytes).boxed();
    }
    let mut bytes = pin!(&mut bytes);
    while let Some(part) = bytes.next().await {
        match part {
            Ok(part) => head.put_slice(&part),
            Err(error) => return one(Err(error)),
        }
    }
    one(Ok(head.freeze()))
}

fn one(part: Result<Bytes>) -> BoxStream<'static, Result<Bytes>> {
    stream::once(std::future::ready(part)).boxed()
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    fn framed(contents: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        for content in contents {
            body.extend_from_slice(Sha256Hash::of(content).as_bytes());
            body.extend_from_slice(&(content.len() as u32).to_be_bytes());
            body.extend_from_slice(content);
        }
        body
    }

    async fn read_all(body: Vec<u8>) -> (Vec<Option<usize>>, Option<&'static str>) {
        let mut frames = Box::pin(read(io::Cursor::new(body), 10));
        let mut lengths = Vec::new();
        loop {
            match frames.try_next().await {
                Ok(Some(frame)) => lengths.push(frame.bytes.map(|bytes| bytes.len())),
                Ok(None) => return (lengths, None),
                Err(error) => return (lengths, Some(error.code())),
            }
        }
    }

    #[tokio::test]
    async fn frames_follow_each_other_and_what_is_too_long_is_skipped() {
        let body = framed(&[b"one", b"", b"eleven byte", b"two"]);
        assert_eq!(read_all(body).await, (vec![Some(3), Some(0), None, Some(3)], None));
        assert_eq!(read_all(Vec::new()).await, (vec![], None));
    }

    #[tokio::test]
    async fn a_body_cut_anywhere_gives_the_frames_before_the_cut() {
        let body = framed(&[b"one", b"four", b"eleven byte"]);
        for length in 0..body.len() {
            let (frames, error) = read_all(body[..length].to_vec()).await;
            let whole = [39, 79].iter().filter(|end| length >= **end).count();
            let is_cut = ![0, 39, 79].contains(&length);
            assert_eq!((frames.len(), error), (whole, is_cut.then_some("BAD_REQUEST")), "cut at {length}");
        }
    }

    #[tokio::test]
    async fn too_much_is_told_before_it_is_read() {
        let mut body = framed(&[b"one"]);
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(read_all(body).await, (vec![Some(3)], Some("PAYLOAD_TOO_LARGE")));
        let many = framed(&[b""]).repeat(MOST_FRAMES as usize + 1);
        let (frames, error) = read_all(many).await;
        assert_eq!((frames.len(), error), (MOST_FRAMES as usize, Some("VALIDATION_FAILED")));
    }
}
