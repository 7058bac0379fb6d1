//! The roles that one image plays: `api`, `worker`, `migrate`, and `serve`, which is all of them in one process.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use scaidrive_core::adapters::issuer::EmbeddedIssuer;
use scaidrive_core::adapters::local::SystemClock;
use scaidrive_core::config::{Config, Environment};
use scaidrive_core::jobs::{Worker, seal};
use scaidrive_core::model::{Error, Result, Scope, TenantId, UserId};
use scaidrive_core::ports::Identity;
use scaidrive_core::services::{foreign, journal, tenants};
use scaidrive_core::{Drive, open};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::routes::Audience;
use crate::server::Server;

/// How long the token of a first start is good.
const FIRST_TOKEN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Jobs that a process runs at once.
const JOBS_AT_ONCE: usize = 4;

/// Which part of the work a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything, and the schema first: one command runs the product.
    Serve,
    /// The API.
    Api,
    /// Jobs.
    Worker,
    /// The schema, then done.
    Migrate,
}

/// Plays a role until it is done or the process is told to stop.
pub async fn run(role: Role, config: Config) -> Result<()> {
    warn_of_what_is_missing(&config);
    let (drive, issuer) = open(&config).await?;
    let outcome = match role {
        Role::Migrate => open::migrate(&drive).await,
        Role::Serve => serve(&drive, config, issuer.as_deref()).await,
        Role::Api => listen(&drive, config, Parts { api: true, worker: false }, None).await,
        Role::Worker => listen(&drive, config, Parts { api: false, worker: true }, None).await,
    };
    drive.meta.close().await;
    outcome
}

fn warn_of_what_is_missing(config: &Config) {
    let is_production = config.environment == Environment::Production;
    if is_production && config.scaikey_url.is_some() && config.jwt_audience.is_none() {
        tracing::warn!(
            "SCAIDRIVE_JWT_AUDIENCE is not set: tokens that the provider made for other services are taken too"
        );
    }
}

/// Opens the drive with the one issuer whose tokens it takes: the provider that is named, else its own.
async fn open(config: &Config) -> Result<(Drive, Option<Arc<EmbeddedIssuer>>)> {
    let mut ports = open::ports(config).await?;
    let clock = Arc::new(SystemClock);
    if let Some(provider) = open::provider(config, clock.clone())? {
        ports.identity = Some(Arc::new(provider));
        return Ok((Drive::new(ports), None));
    }
    let issuer = Arc::new(EmbeddedIssuer::open(&config.data_dir, clock)?);
    ports.identity = Some(Arc::clone(&issuer) as Arc<dyn Identity>);
    Ok((Drive::new(ports), Some(issuer)))
}

async fn serve(drive: &Drive, config: Config, issuer: Option<&EmbeddedIssuer>) -> Result<()> {
    open::migrate(drive).await?;
    let token = match issuer {
        Some(issuer) => {
            let (tenant, admin, is_new) = tenants::bootstrap(drive).await?;
            is_new.then(|| first_token(issuer, tenant.id, &admin.id)).transpose()?
        }
        // Nobody gets a role but by `scaidrive user create --admin`: the provider's users come by themselves.
        None => {
            let tenant = tenants::first(drive).await?;
            tracing::info!(tenant_id = %tenant.id, "the provider must issue tokens for this tenant, or another one");
            None
        }
    };
    // One process has no balancer in front that would have to notice.
    let config = Config { drain_delay: Duration::ZERO, ..config };
    listen(drive, config, Parts { api: true, worker: true }, token).await
}

fn first_token(issuer: &EmbeddedIssuer, tenant: TenantId, admin: &UserId) -> Result<String> {
    issuer.mint(tenant, admin, &[Scope::All], FIRST_TOKEN)
}

/// What runs beside the operators' listener.
#[derive(Clone, Copy)]
struct Parts {
    api: bool,
    worker: bool,
}

async fn listen(drive: &Drive, config: Config, parts: Parts, token: Option<String>) -> Result<()> {
    let app = App::new(drive.clone(), config);
    let operators = bind(&app, Audience::Operators).await?;
    let public = if parts.api { Some(bind(&app, Audience::Public).await?) } else { None };
    // Before anybody knows where the server is, and might stop it.
    let stop = Stop::listen()?;
    announce(public.as_ref().unwrap_or(&operators), token.as_deref());
    let mut running = tokio::task::JoinSet::new();
    for server in public.into_iter().chain([operators]) {
        let app = app.clone();
        running.spawn(server.run(async move { app.stopping().await }));
    }
    let mut helpers = tokio::task::JoinSet::new();
    let no_more_jobs = CancellationToken::new();
    if parts.worker {
        let (worker, stop) = (worker(&app), no_more_jobs.clone());
        running.spawn(async move { worker.run(JOBS_AT_ONCE, &stop).await });
        let sealed = drive.clone();
        helpers.spawn(async move { seal::run(&sealed).await });
    }
    let journalled = drive.clone();
    helpers.spawn(async move { journal::run(&journalled).await });
    let watched = drive.clone();
    helpers.spawn(async move { foreign::watch(&watched).await });
    let nudged = app.clone();
    helpers.spawn(async move { nudged.nudges.listen(&nudged.drive).await });
    stop.told().await;
    tracing::info!("stopping: no new requests, those under way get 30 s");
    app.health.drain();
    tokio::time::sleep(app.config.drain_delay).await;
    app.stop();
    no_more_jobs.cancel();
    while running.join_next().await.is_some() {}
    app.sockets.ended().await;
    helpers.shutdown().await;
    journal::flush(drive).await?;
    Ok(())
}

/// Returns the worker of a process, whose work is counted.
fn worker(app: &App) -> Worker {
    let counted = app.clone();
    Worker::of(app.drive.clone(), app.config.queues.clone(), Arc::new(move |ran| counted.metrics.ran(&ran)))
}

async fn bind(app: &App, audience: Audience) -> Result<Server> {
    let (name, address) = match audience {
        Audience::Public => ("SCAIDRIVE_LISTEN", app.config.listen),
        Audience::Operators => ("SCAIDRIVE_METRICS_LISTEN", app.config.metrics_listen),
    };
    let fault =
        |error| Error::Config { faults: vec![format!("{name}: {address} cannot be listened on: {error}")] };
    Server::bind(app.clone(), address, audience).await.map_err(fault)
}

/// Tells where the server is, and the token of a first start: on standard output, once, and never in the log.
fn announce(server: &Server, token: Option<&str>) {
    let Ok(address) = server.address() else { return };
    let mut out = std::io::stdout().lock();
    let token = token.map(|token| format!("Admin token: {token}\n")).unwrap_or_default();
    // Nobody may be reading.
    drop(write!(out, "ScaiDrive listens on http://{address}\n{token}"));
    drop(out.flush());
}

/// What tells a process to stop; heard from the time this is made.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Self> {
        let fault = |error: std::io::Error| Error::internal(format!("signals cannot be received: {error}"));
        let terminate = signal(SignalKind::terminate()).map_err(fault)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(fault)?;
        Ok(Self { terminate, interrupt })
    }

    async fn told(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
