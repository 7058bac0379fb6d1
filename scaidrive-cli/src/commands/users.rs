//! `scaidrive user`.

use scaidrive_core::model::{AdminRole, Caller, Error, UserStatus};
use scaidrive_core::ports::metadata::UserSearch;
use scaidrive_core::services::tenants::NewUser;
use scaidrive_core::services::users::{self, UserInfo, UserPatch};
use serde_json::json;

use super::principals::user_id;
use crate::args::{Args, User};
use crate::exit::{About, Code, Result};
use crate::output::{printable, size, table};
use crate::session::Session;

/// Users read at once.
const PAGE: u32 = 1000;

pub(crate) async fn run(session: &Session, args: &Args, command: &User) -> Result<Code> {
    let caller = session.operator(args).await?;
    match command {
        User::Create { id, email, name, admin } => {
            let id = id.as_deref().map(user_id).transpose()?;
            let admin_role = admin.then_some(AdminRole::TenantAdmin);
            let new =
                NewUser { id, email: email.clone(), name: name.clone(), admin_role, ..NewUser::default() };
            let created = users::create(&session.drive, &caller, new).await?;
            session.out.print(&created, || created.user.id.to_string())?;
        }
        User::List { search, status, admins } => {
            let search = UserSearch {
                search: search.clone(),
                status: status.as_deref().map(status_of).transpose()?,
                is_admin: admins.then_some(true),
                limit: PAGE,
                offset: 0,
            };
            list(session, &caller, search).await?;
        }
        User::Show { id } => {
            let found = users::get(&session.drive, &caller, &user_id(id)?).await;
            print(session, &found.about(|| format!("user {id}"))?)?;
        }
        User::Suspend { id } => set_status(session, &caller, id, UserStatus::Suspended).await?,
        User::Activate { id } => set_status(session, &caller, id, UserStatus::Active).await?,
        User::Remove { id } => set_status(session, &caller, id, UserStatus::Deleted).await?,
        User::SetRole { id, role } => {
            let patch = UserPatch { admin_role: Some(role_of(role)?), ..UserPatch::default() };
            let changed = users::patch(&session.drive, &caller, &user_id(id)?, patch).await;
            print(session, &changed.about(|| format!("user {id}"))?)?;
        }
    }
    Ok(Code::Done)
}

async fn list(session: &Session, caller: &Caller, mut search: UserSearch) -> Result<()> {
    let mut all: Vec<UserInfo> = Vec::new();
    loop {
        let page = users::list(&session.drive, caller, &search).await?.users;
        let is_last = page.len() < PAGE as usize;
        all.extend(page);
        search.offset = all.len() as u32;
        if is_last {
            break;
        }
    }
    session.out.print(&json!({ "total": all.len(), "users": all }), || {
        table(["ID", "NAME", "EMAIL", "STATUS", "ROLE"], all.iter().map(row))
    })?;
    Ok(())
}

async fn set_status(session: &Session, caller: &Caller, id: &str, status: UserStatus) -> Result<()> {
    let changed = users::set_status(&session.drive, caller, &user_id(id)?, status).await;
    print(session, &changed.about(|| format!("user {id}"))?)
}

fn status_of(text: &str) -> Result<UserStatus> {
    Ok(text.parse().map_err(|_| Error::invalid("status", "no such status", text))?)
}

fn role_of(text: &str) -> Result<Option<AdminRole>> {
    if text == "none" {
        return Ok(None);
    }
    let message = "must be tenant_admin, super_admin or none";
    Ok(Some(text.parse().map_err(|_| Error::invalid("role", message, text))?))
}

fn row(info: &UserInfo) -> [String; 5] {
    let user = &info.user;
    [
        user.id.to_string(),
        printable(user.name.as_deref().unwrap_or_default()),
        printable(user.email.as_deref().unwrap_or_default()),
        user.status.to_string(),
        user.admin_role.map(|role| role.to_string()).unwrap_or_default(),
    ]
}

fn print(session: &Session, info: &UserInfo) -> Result<()> {
    session.out.print(info, || {
        let user = &info.user;
        let line = |key: &str, value: String| [key.to_owned(), printable(&value)];
        let time = |at: Option<scaidrive_core::model::Timestamp>| at.map(|at| at.to_string());
        let facts = [
            line("id", user.id.to_string()),
            line("name", user.name.clone().unwrap_or_default()),
            line("display_name", user.display_name.clone().unwrap_or_default()),
            line("email", user.email.clone().unwrap_or_default()),
            line("status", user.status.to_string()),
            line("admin_role", user.admin_role.map(|role| role.to_string()).unwrap_or_default()),
            line("quota", info.quota_bytes.map(size).unwrap_or_default()),
            line("source", user.provisioning_source.clone()),
            line("last_login_at", time(user.last_login_at).unwrap_or_default()),
            line("created_at", user.created_at.to_string()),
        ];
        table(["KEY", "VALUE"], facts)
    })?;
    Ok(())
}
