//! What a path leads to: a file or folder, and the bytes of a file.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use scaidrive_core::Drive;
use scaidrive_core::model::{ByteRange, Error, FileInfo, FolderInfo, Result};
use scaidrive_core::services::access::Located;
use scaidrive_core::services::content::{self, Readable};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;

/// A file or folder.
#[derive(Clone, Debug)]
pub enum Item {
    /// A file.
    File(FileInfo),
    /// A folder.
    Folder(FolderInfo),
}

impl Item {
    pub(crate) fn of(found: &Located) -> Result<Self> {
        let file = found.file_info().map(Self::File);
        file.or_else(|| found.folder_info().map(Self::Folder)).ok_or(Error::NotFound)
    }

    /// Returns its path in the share.
    pub fn path(&self) -> &str {
        match self {
            Self::File(file) => &file.path,
            Self::Folder(folder) => &folder.path,
        }
    }
}

type Bytestream = BoxStream<'static, std::io::Result<Bytes>>;

/// A file's content on its way out: verified chunk by chunk, a few read ahead.
pub struct FileReader {
    readable: Readable,
    bytes: StreamReader<Bytestream, Bytes>,
}

impl FileReader {
    pub(crate) fn new(drive: &Drive, readable: Readable, range: Option<ByteRange>) -> Self {
        let bytes = content::stream(drive, &readable, range).map_err(std::io::Error::other).boxed();
        Self { bytes: StreamReader::new(bytes), readable }
    }

    /// Returns the size of the whole content in bytes.
    pub fn size(&self) -> u64 {
        self.readable.size
    }

    /// Returns the SHA-256 of the whole content, in hex.
    pub fn checksum(&self) -> String {
        self.readable.checksum.to_string()
    }

    /// Returns the number of the version that is read.
    pub fn version(&self) -> u32 {
        self.readable.version
    }
}

impl AsyncRead for FileReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.bytes).poll_read(context, buffer)
    }
}
