//! Archives of a folder, streamed as they are made: zip or tar, of what the caller may read.

use std::collections::{HashMap, HashSet};

use async_zip::base::write::ZipFileWriter;
use async_zip::{Compression, ZipDateTime, ZipDateTimeBuilder, ZipEntryBuilder};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{AsyncWriteExt, StreamExt, TryStreamExt};
use time::OffsetDateTime;
use tokio::io::{AsyncWrite, DuplexStream};
use tokio_tar::{EntryType, Header};
use tokio_util::io::{ReaderStream, StreamReader};

use super::access::{self, Right};
use super::{content, folders};
use crate::Drive;
use crate::model::{
    Caller, Error, FolderId, MAX_NAME_BYTES, Node, NodeId, ParentId, Result, Timestamp, is_unsafe_somewhere,
    text_enum,
};

/// Bytes between the archiver and a slow reader.
const PIPE: usize = 256 << 10;

text_enum! {
    /// How a folder is packed.
    pub enum ArchiveFormat {
        /// Zip, stored, with 64-bit sizes.
        Zip = "zip",
        /// POSIX tar.
        Tar = "tar",
    }
}

/// An archive on its way.
pub struct Archive {
    /// A file name for it.
    pub name: String,
    /// Its bytes; an error ends them early, and no valid archive results.
    pub body: BoxStream<'static, Result<Bytes>>,
}

/// Packs a folder. What it holds is fixed when the archive begins; each file is read when its turn comes.
pub async fn stream(
    drive: &Drive,
    caller: &Caller,
    folder: FolderId,
    format: ArchiveFormat,
) -> Result<Archive> {
    let found = access::folder(&mut *drive.read().await?, caller, folder, Right::Read).await?;
    let walked = folders::walk(drive, caller, found.share.id, Some(folder)).await?;
    let entries = entries(folder, walked.into_iter().map(|walked| walked.node).collect());
    let (reader, writer) = tokio::io::duplex(PIPE);
    let (drive, caller) = (drive.clone(), caller.clone());
    let task = tokio::spawn(async move {
        match format {
            ArchiveFormat::Zip => zip(&drive, &caller, writer, entries).await,
            ArchiveFormat::Tar => tar(&drive, &caller, writer, entries).await,
        }
    });
    let ending = stream::once(async move {
        match task.await {
            Ok(Ok(())) => Ok(Bytes::new()),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(Error::internal(format!("an archive broke off: {error}"))),
        }
    });
    let bytes = ReaderStream::with_capacity(reader, PIPE).map_err(|error| Error::internal(error.to_string()));
    let body = bytes.chain(ending).try_filter(|bytes| std::future::ready(!bytes.is_empty())).boxed();
    Ok(Archive { name: format!("{}.{format}", safe_name(found.node().name.as_str())), body })
}

/// A file or folder under its name in the archive.
struct Entry {
    path: String,
    node: Node,
}

/// Names everything so that it can be unpacked everywhere, folders before what they hold.
fn entries(top: FolderId, nodes: Vec<Node>) -> Vec<Entry> {
    let mut folders = HashMap::from([(ParentId::Folder(top), String::new())]);
    let mut used = HashSet::new();
    let mut entries = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(above) = folders.get(&node.parent) else { continue };
        let path = unique(above, &safe_name(node.name.as_str()), &mut used);
        if let NodeId::Folder(id) = node.id {
            folders.insert(ParentId::Folder(id), format!("{path}/"));
        }
        entries.push(Entry { path, node });
    }
    entries
}

/// Returns a path that no other entry has, whatever the case.
fn unique(above: &str, name: &str, used: &mut HashSet<String>) -> String {
    let mut path = format!("{above}{name}");
    let mut number = 2;
    while !used.insert(path.to_lowercase()) {
        let (stem, extension) = match name.rfind('.') {
            Some(dot) if dot > 0 => name.split_at(dot),
            _ => (name, ""),
        };
        path = format!("{above}{stem} ({number}){extension}");
        number += 1;
    }
    path
}

/// Returns a name that every file system takes: no forbidden characters, device names or trailing dots.
fn safe_name(name: &str) -> String {
    let mut safe: String =
        name.chars().map(|letter| if is_unsafe_somewhere(letter) { '_' } else { letter }).collect();
    if safe.ends_with(['.', ' ']) {
        safe.pop();
        safe.push('_');
    }
    let stem = safe.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered =
        |prefix: &str| stem.strip_prefix(prefix).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']));
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT") {
        safe.insert(0, '_');
    }
    debug_assert!(safe.len() <= MAX_NAME_BYTES + 1);
    safe
}

async fn zip(drive: &Drive, caller: &Caller, pipe: DuplexStream, entries: Vec<Entry>) -> Result<()> {
    let mut zip = ZipFileWriter::with_tokio(pipe);
    for Entry { path, node } in entries {
        let date = zip_date(node.modified_at);
        let Some(file) = node.id.as_file() else {
            let entry = ZipEntryBuilder::new(format!("{path}/").into(), Compression::Stored)
                .last_modification_date(date)
                .unix_permissions(0o755);
            zip.write_entry_whole(entry, &[]).await.map_err(|error| ended(&error))?;
            continue;
        };
        let Some(mut bytes) = readable(drive, caller, file).await? else { continue };
        let entry = ZipEntryBuilder::new(path.into(), Compression::Stored)
            .last_modification_date(date)
            .unix_permissions(0o644);
        let mut out = zip.write_entry_stream(entry).await.map_err(|error| ended(&error))?;
        while let Some(part) = bytes.1.try_next().await? {
            out.write_all(&part).await.map_err(|error| ended(&error))?;
        }
        out.close().await.map_err(|error| ended(&error))?;
    }
    zip.close().await.map(drop).map_err(|error| ended(&error))
}

async fn tar(drive: &Drive, caller: &Caller, pipe: DuplexStream, entries: Vec<Entry>) -> Result<()> {
    let mut tar = tokio_tar::Builder::new(pipe);
    for Entry { path, node } in entries {
        let mut header = Header::new_gnu();
        header.set_mtime(u64::try_from(node.modified_at.as_secs()).unwrap_or(0));
        let Some(file) = node.id.as_file() else {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            tar.append_data(&mut header, format!("{path}/"), tokio::io::empty())
                .await
                .map_err(|error| ended(&error))?;
            continue;
        };
        let Some((size, bytes)) = readable(drive, caller, file).await? else { continue };
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(size);
        let reader = StreamReader::new(bytes.map_err(std::io::Error::other));
        tar.append_data(&mut header, path, reader).await.map_err(|error| ended(&error))?;
    }
    finish(tar).await
}

async fn finish<W: AsyncWrite + Unpin + Send + 'static>(mut tar: tokio_tar::Builder<W>) -> Result<()> {
    tar.finish().await.map_err(|error| ended(&error))
}

/// Returns a file's size and bytes; nothing if it is gone or out of sight by now.
async fn readable(
    drive: &Drive,
    caller: &Caller,
    file: crate::model::FileId,
) -> Result<Option<(u64, BoxStream<'static, Result<Bytes>>)>> {
    match content::open(drive, caller, file, None).await {
        Ok(readable) => Ok(Some((readable.size, content::stream(drive, &readable, None)))),
        Err(Error::NotFound | Error::Gone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says why an archive ended early: mostly, its reader went away.
fn ended(error: &dyn std::error::Error) -> Error {
    Error::BadStream { reason: format!("the archive was not read to its end: {error}") }
}

/// Returns the time as zip keeps it: UTC, two-second steps, no earlier than 1980.
fn zip_date(at: Timestamp) -> ZipDateTime {
    let earliest = 315_532_800;
    let at = OffsetDateTime::from_unix_timestamp(at.as_secs().clamp(earliest, 4_354_819_199));
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    ZipDateTimeBuilder::new()
        .year(at.year().max(1980))
        .month(u8::from(at.month()).into())
        .day(at.day().into())
        .hour(at.hour().into())
        .minute(at.minute().into())
        .second(at.second().into())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe_everywhere() {
        for (name, safe) in [
            ("a:b*c?.txt", "a_b_c_.txt"),
            ("con", "_con"),
            ("COM1.log", "_COM1.log"),
            ("Aux .txt", "_Aux .txt"),
            ("dots...", "dots.._"),
            ("trailing ", "trailing_"),
            ("evil\u{202E}txt.exe", "evil_txt.exe"),
            ("back\\slash", "back_slash"),
            ("plain.txt", "plain.txt"),
        ] {
            assert_eq!(safe_name(name), safe);
        }
    }

    #[test]
    fn names_that_became_equal_are_told_apart() {
        let mut used = HashSet::new();
        assert_eq!(unique("d/", "a_.txt", &mut used), "d/a_.txt");
        assert_eq!(unique("d/", "A_.txt", &mut used), "d/A_ (2).txt");
        assert_eq!(unique("e/", "a_.txt", &mut used), "e/a_.txt");
    }
}
