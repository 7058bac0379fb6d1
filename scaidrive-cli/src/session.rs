//! From the command line and the environment to a drive, a tenant and a caller.

use scaidrive_core::config::Config;
use scaidrive_core::model::{Caller, Error, Tenant, TenantId};
use scaidrive_core::services::{journal, tenants};
use scaidrive_core::{Drive, open};

use crate::args::Args;
use crate::exit::{About, Result};
use crate::output::Output;

/// An open drive and how to talk about it.
pub(crate) struct Session {
    /// The drive.
    pub(crate) drive: Drive,
    /// How it is configured.
    pub(crate) config: Config,
    /// Where results go.
    pub(crate) out: Output,
}

/// Looks a variable up: the flag first, then the environment.
pub(crate) fn lookup(args: &Args) -> impl Fn(&str) -> Option<String> {
    let data_dir = args.data_dir.as_ref().map(|dir| dir.display().to_string());
    move |name| match name {
        "SCAIDRIVE_DATA_DIR" => data_dir.clone(),
        #[expect(clippy::disallowed_methods, reason = "a program's own place to read its environment")]
        _ => std::env::var(name).ok(),
    }
}

/// Returns what is logged: warnings, unless the command line or the environment wants otherwise.
pub(crate) fn log_level(args: &Args) -> &'static str {
    let lookup = lookup(args);
    if args.verbose {
        return "info";
    }
    // A configuration that does not hold is told by the command itself.
    let wanted = lookup("SCAIDRIVE_LOG_LEVEL").and_then(|_| Config::from_lookup(&lookup).ok());
    wanted.map_or("warn", |config| config.log_level)
}

impl Session {
    /// Opens a drive that is there, with a schema that fits.
    pub(crate) async fn open(args: &Args) -> Result<Self> {
        let config = Config::from_lookup(lookup(args))?;
        if config.database_url.is_none() && !config.data_dir.join("scaidrive.db").exists() {
            let dir = config.data_dir.display();
            let fault = format!(
                "there is no drive in {dir}; make one with `scaidrive init`, or name another --data-dir"
            );
            return Err(Error::Config { faults: vec![fault] }.into());
        }
        let session = Self::open_raw(args, config).await?;
        let pending = session.drive.meta.pending_migrations().await?;
        if pending.is_empty() {
            return Ok(session);
        }
        let fault = format!("the database lacks {}; run `scaidrive migrate`", pending.join(", "));
        Err(Error::Config { faults: vec![fault] }.into())
    }

    /// Opens a drive that may be new.
    pub(crate) async fn open_new(args: &Args) -> Result<Self> {
        let config = Config::from_lookup(lookup(args))?;
        Self::open_raw(args, config).await
    }

    async fn open_raw(args: &Args, config: Config) -> Result<Self> {
        let drive = open::open(&config).await?;
        let noted = drive.clone();
        tokio::spawn(async move { journal::run(&noted).await });
        Ok(Self { drive, config, out: Output { json: args.json } })
    }

    /// Returns the tenant named, by either id or by name; the first where none is.
    pub(crate) async fn tenant(&self, args: &Args) -> Result<Tenant> {
        let Some(wanted) = &args.tenant else {
            let all = tenants::list(&self.drive).await?;
            return all.into_iter().next().ok_or(Error::NotFound).about(|| "a first tenant".to_owned());
        };
        self.tenant_named(wanted).await.about(|| format!("tenant {wanted}"))
    }

    async fn tenant_named(&self, wanted: &str) -> Result<Tenant, Error> {
        if let Ok(id) = wanted.parse::<TenantId>() {
            return tenants::get(&self.drive, id).await;
        }
        let all = tenants::list(&self.drive).await?;
        let is_called =
            |tenant: &&Tenant| tenant.external_id.as_ref().is_some_and(|id| id.as_str() == wanted);
        if let Some(found) = all.iter().find(is_called) {
            return Ok(found.clone());
        }
        let mut named = all.into_iter().filter(|tenant| tenant.name == wanted);
        match (named.next(), named.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => {
                Err(Error::invalid("tenant", "several tenants have this name; give the id", wanted))
            }
            (None, _) => Err(Error::NotFound),
        }
    }

    /// Returns the tenant named; all of them where none is.
    pub(crate) async fn tenants(&self, args: &Args) -> Result<Vec<Tenant>> {
        match &args.tenant {
            Some(_) => Ok(vec![self.tenant(args).await?]),
            None => Ok(tenants::list(&self.drive).await?),
        }
    }

    /// Returns whom the user given is to the services.
    pub(crate) async fn caller(&self, args: &Args) -> Result<Caller> {
        let tenant = self.tenant(args).await?;
        let wrong = |_| Error::invalid("user", "not the id of a user", args.user.as_str());
        let user = args.user.parse().map_err(wrong)?;
        tenants::caller_for(&self.drive, tenant.id, &user).await.about(|| format!("user {user}"))
    }

    /// Returns who administers tenants, users and groups: the user given. The first administrator is there only where
    /// the installation began, and where an identity provider has another user of that name it administers nothing; in
    /// its place the system acts, so that nobody is ever locked out of a drive at hand.
    pub(crate) async fn operator(&self, args: &Args) -> Result<Caller> {
        if args.user != tenants::FIRST_ADMIN {
            return self.caller(args).await;
        }
        let tenant = self.tenant(args).await?;
        let admin = args.user.parse().map_err(|_| Error::internal("not a user id"))?;
        match tenants::caller_for(&self.drive, tenant.id, &admin).await {
            Ok(found) if found.is_admin() => Ok(found),
            Ok(_) | Err(Error::NotFound | Error::Suspended) => {
                Ok(tenants::system_caller(&self.drive, tenant.id, "cli")?)
            }
            failed => failed.about(|| format!("user {admin}")),
        }
    }
}
