//! `scaidrive tenant`.

use scaidrive_core::services::tenants;
use serde_json::json;

use crate::args::Tenant;
use crate::exit::{Code, Result};
use crate::output::table;
use crate::session::Session;

pub(crate) async fn run(session: &Session, command: &Tenant) -> Result<Code> {
    match command {
        Tenant::Create { name } => {
            let tenant = tenants::create(&session.drive, name).await?;
            session.out.print(&tenant, || format!("{} {}", tenant.id, tenant.name))?;
        }
        Tenant::List => {
            let all = tenants::list(&session.drive).await?;
            session.out.print(&json!({ "total": all.len(), "tenants": all }), || {
                let row = |tenant: &scaidrive_core::model::Tenant| {
                    [
                        tenant.id.to_string(),
                        tenant.name.clone(),
                        tenant.status.to_string(),
                        tenant.created_at.to_string(),
                    ]
                };
                table(["ID", "NAME", "STATUS", "CREATED"], all.iter().map(row))
            })?;
        }
    }
    Ok(Code::Done)
}
