//! `scaidrive stats`.

use scaidrive_core::model::Usage;
use scaidrive_core::services::shares;
use serde_json::json;

use crate::args::Args;
use crate::exit::{Code, Result};
use crate::output::{signed_size, table};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args) -> Result<Code> {
    let caller = session.caller(args).await?;
    let mut rows = session.drive.read().await?;
    let usages = rows.usages(caller.tenant).await?;
    let chunks = rows.chunk_stats(caller.tenant).await?;
    let head = rows.head(caller.tenant).await?;
    drop(rows);
    let tenant =
        usages.into_iter().find(|(key, _)| key == "tenant").map_or_else(Usage::default, |(_, usage)| usage);
    let shares = shares::stats(&session.drive, &caller).await?;
    let ratio = ratio(tenant.total_bytes(), chunks.bytes);
    let value = json!({
        "tenant_id": caller.tenant, "usage": tenant, "logical_bytes": tenant.total_bytes(),
        "chunks": chunks.chunks, "stored_bytes": chunks.bytes, "contents": chunks.contents,
        "dedup_ratio": ratio, "feed_position": head, "shares": shares,
    });
    session.out.print(&value, || {
        let line = |name: &str, value: String| [name.to_owned(), value];
        let totals = table(
            ["TENANT", &caller.tenant.to_string()],
            [
                line("files", tenant.file_count.to_string()),
                line("folders", tenant.folder_count.to_string()),
                line("current", signed_size(tenant.file_bytes)),
                line("old versions", signed_size(tenant.version_bytes)),
                line("trash", signed_size(tenant.trash_bytes)),
                line("logical, all", signed_size(tenant.total_bytes())),
                line("stored", format!("{} in {} chunks", signed_size(chunks.bytes), chunks.chunks)),
                line("dedup ratio", format!("{ratio:.2}")),
            ],
        );
        let rows = shares.iter().map(|share| {
            [
                share.share_name.clone(),
                share.file_count.to_string(),
                share.folder_count.to_string(),
                signed_size(share.used_bytes),
            ]
        });
        format!("{totals}\n\n{}", table(["SHARE", "FILES", "FOLDERS", "USED"], rows))
    })?;
    Ok(Code::Done)
}

/// Returns how many logical bytes each stored byte serves.
fn ratio(logical: i64, stored: i64) -> f64 {
    if stored == 0 { 1.0 } else { logical as f64 / stored as f64 }
}
