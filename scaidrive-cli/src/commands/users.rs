//! `scaidrive user`.

use scaidrive_core::model::{AdminRole, Error, User as Found, UserId};
use scaidrive_core::ports::metadata::UserSearch;
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::users;
use serde_json::json;

use crate::args::{Args, User};
use crate::exit::{Code, Result};
use crate::output::table;
use crate::session::Session;

/// Users read at once.
const PAGE: u32 = 1000;

pub(crate) async fn run(session: &Session, args: &Args, command: &User) -> Result<Code> {
    let tenant = session.tenant(args).await?;
    let caller = tenants::system_caller(&session.drive, tenant.id, "cli")?;
    match command {
        User::Create { id, email, name, admin } => {
            let wrong = |text: &str| {
                Error::invalid("id", "a user's id has 1 to 255 bytes, no control characters", text)
            };
            let id = id.as_deref().map(|id| id.parse::<UserId>().map_err(|_| wrong(id))).transpose()?;
            let admin_role = admin.then_some(AdminRole::TenantAdmin);
            let new =
                NewUser { id, email: email.clone(), name: name.clone(), admin_role, ..NewUser::default() };
            let user = tenants::create_user(&session.drive, &caller, new).await?;
            session.out.print(&user, || user.id.to_string())?;
        }
        User::List => {
            let mut all: Vec<Found> = Vec::new();
            loop {
                let offset = all.len() as u32;
                let search = UserSearch { limit: PAGE, offset, ..UserSearch::default() };
                let page = users::list(&session.drive, &caller, &search).await?.users;
                let is_last = page.len() < PAGE as usize;
                all.extend(page.into_iter().map(|found| found.user));
                if is_last {
                    break;
                }
            }
            session.out.print(&json!({ "total": all.len(), "users": all }), || {
                table(["ID", "NAME", "EMAIL", "STATUS", "ROLE"], all.iter().map(row))
            })?;
        }
    }
    Ok(Code::Done)
}

fn row(user: &Found) -> [String; 5] {
    let role = user.admin_role.map(|role| role.to_string());
    [
        user.id.to_string(),
        user.name.clone().unwrap_or_default(),
        user.email.clone().unwrap_or_default(),
        user.status.to_string(),
        role.unwrap_or_default(),
    ]
}
