//! The audit, as administrators read it.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::StatusCode;
use scaidrive_core::model::{Caller, Error};
use scaidrive_core::ports::metadata::AuditQuery;
use scaidrive_core::services::audit::{self, CSV_HEADER, EventInfo};

use crate::errors::Failure;
use crate::query::Query;
use crate::reply::{self, Answer};
use crate::request::Request;

fn wanted(query: &Query) -> Result<AuditQuery, Failure> {
    let text = |name| query.text(name).map(str::to_owned);
    Ok(AuditQuery {
        user: query.word("user_id", "the ids of users")?,
        category: query.word("category", "the categories of events, in capitals")?,
        severity: query.word("severity", "info, warning, critical")?,
        action: text("action"),
        resource_type: text("resource_type"),
        resource_id: text("resource_id"),
        result: text("result"),
        from: query.word("from", "the times like 2026-11-24T10:00:00Z")?,
        to: query.word("to", "the times like 2026-11-24T10:00:00Z")?,
        after: query.word("after", "the ids that `next` gave")?,
        ascending: false,
        limit: query.limit()?,
    })
}

pub(crate) async fn list(caller: Caller, request: Request) -> Answer {
    let wanted = wanted(&request.query)?;
    reply::ok(&audit::find(&request.app.drive, &caller, wanted).await?)
}

pub(crate) async fn export(caller: Caller, request: Request) -> Answer {
    let wanted = wanted(&request.query)?;
    let drive = request.app.drive.clone();
    let is_csv = match request.query.required("format")? {
        "csv" => true,
        "ndjson" => false,
        other => return Err(Failure::query("format", "must be csv or ndjson", other)),
    };
    // Read before the answer begins: what fails at once is told with a status.
    let first = audit::export_page(&drive, &caller, &wanted, wanted.after).await?;
    let pages = stream::try_unfold(Some(first), move |page| {
        let (drive, caller, wanted) = (drive.clone(), caller.clone(), wanted.clone());
        async move {
            let Some(page) = page else { return Ok(None) };
            let Some(last) = page.last().map(|event| event.event_id) else { return Ok(None) };
            let text = lines(&page, is_csv)?;
            let next = audit::export_page(&drive, &caller, &wanted, Some(last)).await?;
            Ok::<_, Error>(Some((Bytes::from(text), Some(next))))
        }
    });
    let header = stream::iter(is_csv.then(|| Ok(Bytes::from_static(CSV_HEADER.as_bytes()))));
    let (content_type, name) = if is_csv {
        ("text/csv; charset=utf-8", "audit.csv")
    } else {
        ("application/x-ndjson", "audit.ndjson")
    };
    let body = reply::streamed(header.chain(pages).boxed());
    let mut answer = reply::with_body(StatusCode::OK, content_type, body);
    reply::as_attachment(answer.headers_mut(), name);
    Ok(answer)
}

fn lines(page: &[EventInfo], is_csv: bool) -> Result<String, Error> {
    if is_csv {
        return Ok(page.iter().map(audit::csv_line).collect());
    }
    let mut text = String::new();
    for event in page {
        text += &serde_json::to_string(event).map_err(|error| Error::internal(error.to_string()))?;
        text.push('\n');
    }
    Ok(text)
}
