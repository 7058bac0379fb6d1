//! `scaidrive tenant`.

use scaidrive_core::model::{Caller, Error, Tenant as Found};
use scaidrive_core::services::tenants::{self, NewTenant, TenantPatch};
use serde_json::{Map, Value, json};

use crate::args::{Args, Tenant};
use crate::exit::{Code, Result};
use crate::output::{printable, table};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args, command: &Tenant) -> Result<Code> {
    match command {
        Tenant::Create { name, id } => {
            let new = NewTenant { id: id.clone(), ..NewTenant::named(name) };
            let tenant = tenants::create_as(&session.drive, new).await?;
            session.out.print(&tenant, || format!("{} {}", tenant.id, tenant.name))?;
        }
        Tenant::List => {
            let all = tenants::list(&session.drive).await?;
            let row = |tenant: &Found| {
                [
                    tenant.id.to_string(),
                    printable(&external(tenant)),
                    printable(&tenant.name),
                    tenant.status.to_string(),
                    tenant.created_at.to_string(),
                ]
            };
            session.out.print(&json!({ "total": all.len(), "tenants": all }), || {
                table(["ID", "EXTERNAL ID", "NAME", "STATUS", "CREATED"], all.iter().map(row))
            })?;
        }
        Tenant::Show => {
            let caller = session.operator(args).await?;
            print(session, &tenants::administered(&session.drive, &caller).await?)?;
        }
        Tenant::Set { values } => {
            let caller = session.operator(args).await?;
            let patch = patch(session, &caller, values).await?;
            print(session, &tenants::patch(&session.drive, &caller, patch).await?)?;
        }
    }
    Ok(Code::Done)
}

/// Returns the identity provider's id of a tenant, where that is another one than ours.
fn external(tenant: &Found) -> String {
    tenant.external_id.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Reads what is to be set. A key that nobody knows would be kept and do nothing, so it is refused.
async fn patch(session: &Session, caller: &Caller, values: &[String]) -> Result<TenantPatch> {
    let known = settings(&tenants::administered(&session.drive, caller).await?)?;
    let mut patch = TenantPatch::default();
    for text in values {
        let wrong = || Error::invalid("set", "must read KEY=VALUE", text.as_str());
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        let given = Some(value).filter(|value| !value.is_empty()).map(str::to_owned);
        match key {
            "name" => patch.name = Some(value.to_owned()),
            "display_name" => patch.display_name = Some(given),
            _ if known.contains_key(key) => {
                patch.settings.insert(key.to_owned(), given.map_or(Value::Null, typed));
            }
            _ => {
                let all: Vec<&str> = known.keys().map(String::as_str).collect();
                let message = format!("must be one of name, display_name, {}", all.join(", "));
                return Err(Error::invalid("key", message, key).into());
            }
        }
    }
    Ok(patch)
}

/// Returns a number, `true`, `false` and the like as that, anything else as text.
fn typed(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn settings(tenant: &Found) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(&tenant.settings) {
        Ok(Value::Object(settings)) => Ok(settings),
        _ => Err(Error::internal("settings are no object")),
    }
}

fn print(session: &Session, tenant: &Found) -> Result<()> {
    let settings = settings(tenant)?;
    session.out.print(tenant, || {
        let line = |key: &str, value: &str| [key.to_owned(), printable(value)];
        let facts = [
            line("id", &tenant.id.to_string()),
            line("external_id", &external(tenant)),
            line("partner_id", &tenant.partner_id.to_string()),
            line("name", &tenant.name),
            line("display_name", tenant.display_name.as_deref().unwrap_or_default()),
            line("status", tenant.status.as_str()),
            line("created_at", &tenant.created_at.to_string()),
        ];
        let settings = settings.iter().map(|(key, value)| line(key, &value.to_string()));
        table(["KEY", "VALUE"], facts.into_iter().chain(settings))
    })?;
    Ok(())
}
