//! `scaidrive restore`.

use scaidrive_core::services::recovery::{self, Recovered};
use serde_json::json;

use crate::exit::{Code, Result};
use crate::output::table;
use crate::session::Session;

pub(crate) async fn finish(session: &Session) -> Result<Code> {
    let all = recovery::finish(&session.drive).await?;
    session.out.print(&json!({ "tenants": all }), || {
        let row = |done: &Recovered| {
            [done.tenant_id.to_string(), done.chunks.to_string(), done.position.to_string()]
        };
        table(["TENANT", "CHUNKS KEPT", "FEED GOES ON AT"], all.iter().map(row))
    })?;
    Ok(Code::Done)
}
