//! `scaidrive init` and `scaidrive migrate`.

use std::sync::Arc;

use scaidrive_core::adapters::issuer::EmbeddedIssuer;
use scaidrive_core::adapters::local::SystemClock;
use scaidrive_core::open;
use scaidrive_core::services::tenants;
use serde_json::json;

use crate::exit::{Code, Result};
use crate::session::Session;

pub(crate) async fn init(session: &Session) -> Result<Code> {
    open::migrate(&session.drive).await?;
    let (tenant, admin, is_new) = tenants::bootstrap(&session.drive).await?;
    if session.config.scaikey_url.is_none() {
        EmbeddedIssuer::open(&session.config.data_dir, Arc::new(SystemClock))?;
    }
    let dir = session.config.data_dir.display();
    let value =
        json!({ "data_dir": dir.to_string(), "tenant_id": tenant.id, "admin": admin.id, "created": is_new });
    session.out.print(&value, || {
        let state = if is_new { "is new" } else { "was there already" };
        format!(
            "The drive in {dir} {state}: tenant {} ({}), administrator {}",
            tenant.id, tenant.name, admin.id
        )
    })?;
    Ok(Code::Done)
}

pub(crate) async fn migrate(session: &Session) -> Result<Code> {
    // A database that is just starting is waited for there; only then can it be asked what is missing.
    let before = session.drive.meta.pending_migrations().await.unwrap_or_default();
    open::migrate(&session.drive).await?;
    session.out.print(&json!({ "applied": before }), || match before.as_slice() {
        [] => "The schema is up to date".to_owned(),
        applied => format!("Applied {}", applied.join(", ")),
    })?;
    Ok(Code::Done)
}
