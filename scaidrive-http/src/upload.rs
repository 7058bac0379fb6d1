//! A new file from a multipart form: parts in any order, the content streamed as it comes.

use std::io;

use futures_util::TryStreamExt;
use multer::{Field, Multipart};
use scaidrive_core::model::{
    Caller, Error, FieldError, FileInfo, FileName, FolderId, MimeType, Sha256Hash, ShareId,
};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::ingest::StoredContent;
use scaidrive_core::services::once;
use tokio_util::io::StreamReader;

use crate::app::App;
use crate::body;
use crate::errors::Failure;
use crate::request::Request;

/// The longest text of a part that is no file.
const MAX_TEXT: usize = 4 << 10;

/// What the form has told so far.
#[derive(Default)]
struct Form {
    share: Option<ShareId>,
    folder: Option<FolderId>,
    name: Option<FileName>,
    /// What the file part calls its file, for a form that gives no name.
    file_name: Option<String>,
    mime_type: Option<MimeType>,
    content: Option<StoredContent>,
    /// Whether the file is there already, by the same request.
    is_repeated: bool,
}

/// Returns a digest of what a form asks for. Its text would not do: a repetition draws another boundary.
fn asked_for(new: &NewFile, content: &StoredContent) -> Sha256Hash {
    let folder = new.folder.map(|id| id.to_string()).unwrap_or_default();
    Sha256Hash::of(format!("{}\0{folder}\0{}\0{}", new.share, new.name, content.row.checksum).as_bytes())
}

/// Receives a form and creates its file.
///
/// Where share and name come before the bytes, a refusal comes before them too: a client that waits for
/// `100 Continue` sends none of them.
pub(crate) async fn receive(caller: &Caller, mut request: Request) -> Result<FileInfo, Failure> {
    let app = request.app.clone();
    let done = request.done.take();
    let boundary = request.content_type().and_then(|kind| multer::parse_boundary(kind).ok());
    let boundary = boundary.ok_or_else(|| Failure::bad_request("The body must be multipart/form-data"))?;
    let mut parts = Multipart::new(request.into_stream(), boundary);
    let mut form = Form { is_repeated: done.is_some(), ..Form::default() };
    while let Some(part) = parts.next_field().await.map_err(broken_form)? {
        match part.name().unwrap_or_default() {
            "file" => form.take_file(&app, caller, part).await?,
            "share_id" => form.share = Some(id("share_id", &text(part).await?)?),
            "folder_id" => {
                let given = text(part).await?;
                form.folder = if given.is_empty() { None } else { Some(id("folder_id", &given)?) };
            }
            "name" => form.name = Some(FileName::parse(&text(part).await?)?),
            // Unknown parts are ignored: the next one skips what is left of this.
            _ => {}
        }
    }
    let (new, content) = form.finish()?;
    let digest = asked_for(&new, &content);
    if let Some((done, once)) = done {
        once::check_same(&done, digest, &once.key)?;
        let id = done.resource_id.parse().map_err(|_| Error::internal("an upload made no file"))?;
        return Ok(files::get(&app.drive, caller, id).await?);
    }
    if let Some(once) = &caller.once {
        // Set once: a request has one body.
        let _ = once.digest.set(digest);
    }
    Ok(files::create_from(&app.drive, caller, new, content).await?)
}

impl Form {
    async fn take_file(&mut self, app: &App, caller: &Caller, part: Field<'static>) -> Result<(), Failure> {
        if self.content.is_some() {
            return Err(Error::invalid("file", "only one file can be uploaded at once", "").into());
        }
        self.file_name = part.file_name().map(str::to_owned);
        let kind = part.content_type().map(ToString::to_string);
        // `application/octet-stream` is what clients say that do not know: the name knows better.
        let told = kind.filter(|kind| kind != "application/octet-stream");
        self.mime_type = told.and_then(|kind| MimeType::parse(&kind).ok());
        if let Some(new) = self.place().filter(|_| !self.is_repeated) {
            files::check_create(&app.drive, caller, &new).await?;
        }
        let bytes = StreamReader::new(part.map_err(io_error));
        let content = files::store(&app.drive, caller, bytes).await?;
        app.metrics.uploaded(caller.tenant, content.row.size);
        self.content = Some(content);
        Ok(())
    }

    /// Returns where the file goes, as far as that is known already.
    fn place(&self) -> Option<NewFile> {
        Some(NewFile {
            share: self.share?,
            folder: self.folder,
            name: self.name.clone()?,
            mime_type: self.mime_type.clone(),
            modified_at: None,
        })
    }

    fn finish(mut self) -> Result<(NewFile, StoredContent), Failure> {
        if self.name.is_none()
            && let Some(name) = &self.file_name
        {
            self.name = Some(FileName::parse(name)?);
        }
        let place = self.place();
        let missing = [
            ("share_id", self.share.is_none()),
            ("name", self.name.is_none()),
            ("file", self.content.is_none()),
        ];
        if let (Some(new), Some(content)) = (place, self.content) {
            Ok((new, content))
        } else {
            let names: Vec<&str> = missing.iter().filter(|(_, gone)| *gone).map(|(name, _)| *name).collect();
            Err(Failure::missing("body", &names))
        }
    }
}

/// Reads a short text part.
async fn text(mut part: Field<'static>) -> Result<String, Failure> {
    let name = part.name().unwrap_or_default().to_owned();
    let mut all = Vec::new();
    while let Some(bytes) = part.chunk().await.map_err(broken_form)? {
        all.extend_from_slice(&bytes);
        if all.len() > MAX_TEXT {
            return Err(Error::invalid(name, format!("must not be longer than {MAX_TEXT} bytes"), "").into());
        }
    }
    String::from_utf8(all).map_err(|_| Error::invalid(name, "must be UTF-8", "").into())
}

fn id<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Failure> {
    text.trim().parse().map_err(|_| FieldError::new(field, "not an id of this kind", text).into())
}

/// Says why a form cannot be read; an error of the core inside passes through.
fn broken_form(error: multer::Error) -> Failure {
    body::stream_failure(io_error(error))
}

fn io_error(error: multer::Error) -> io::Error {
    match error {
        multer::Error::StreamReadFailed(inner) => match inner.downcast::<io::Error>() {
            Ok(inner) => *inner,
            Err(inner) => io::Error::other(inner),
        },
        other => io::Error::other(Error::BadStream { reason: format!("the form is malformed: {other}") }),
    }
}
