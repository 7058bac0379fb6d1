//! Wires adapters into a drive, as the configuration says.

use std::sync::Arc;
use std::time::Duration;

use crate::adapters::blobs::{self, S3Settings};
use crate::adapters::limiter::LocalLimiter;
use crate::adapters::local::{LocalDispatch, LocalPubSub, LogMailer, NoMailer, RandomIds, SystemClock};
#[cfg(feature = "oidc")]
use crate::adapters::oidc::{OidcProvider, OidcSettings};
#[cfg(feature = "redis")]
use crate::adapters::redis;
use crate::adapters::sql::SqlStore;
use crate::config::{Config, Environment, ObjectsConfig};
use crate::model::{ChunkingParams, Error, Result};
use crate::ports::{BlobStore, Clock, Dispatch, Ids, Limiter, Mailer, PubSub};
use crate::services::audit::AuditKey;
use crate::services::cache::ChunkCache;
use crate::services::journal::Journal;
use crate::services::tally::Tally;
use crate::services::uploads::Uploads;
use crate::{Drive, Ports};

/// Chunks kept in memory for readers, in bytes.
const CACHE_BYTES: usize = 32 << 20;

/// Opens a drive without touching its schema: see [`migrate`].
pub async fn open(config: &Config) -> Result<Drive> {
    Ok(Drive::new(ports(config).await?))
}

/// Opens the parts of a drive; a host may put its own in their place before it puts them together.
pub async fn ports(config: &Config) -> Result<Ports> {
    if config.database_url.is_none() || config.objects == ObjectsConfig::Local {
        std::fs::create_dir_all(&config.data_dir).map_err(|error| Error::Config {
            faults: vec![format!(
                "SCAIDRIVE_DATA_DIR: {} cannot be made: {error}",
                config.data_dir.display()
            )],
        })?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(RandomIds::default());
    let (pubsub, dispatch, limiter) = shared(config, &*ids, &clock)?;
    let mut meta = SqlStore::open(&config.database_url(), Arc::clone(&clock)).await?;
    if let Some(url) = &config.database_replica_url {
        meta = meta.with_replica(url)?;
    }
    Ok(Ports {
        meta: Arc::new(meta),
        blobs: open_objects(config)?,
        clock,
        ids,
        pubsub,
        dispatch,
        limiter,
        mailer: mailer(config)?,
        public_url: config.public_url.clone(),
        identity: None,
        audit_key: audit_key(config)?,
        journal: Journal::default(),
        chunking: ChunkingParams::default(),
        gc_grace: config.gc_grace,
        uploads: Uploads::default(),
        cache: ChunkCache::new(CACHE_BYTES),
        deduplicated: Tally::default(),
        drifted: Tally::default(),
    })
}

/// Returns who delivers mail.
fn mailer(config: &Config) -> Result<Arc<dyn Mailer>> {
    #[cfg(feature = "scaisend")]
    if let Some(mail) = &config.mail {
        let key = mail.api_key.reveal().to_owned();
        return Ok(Arc::new(crate::adapters::scaisend::ScaiSend::new(&mail.url, key, mail.from.clone())?));
    }
    #[cfg(not(feature = "scaisend"))]
    if config.mail.is_some() {
        return Err(Error::Config {
            faults: vec!["SCAIDRIVE_SCAISEND_URL: this build has no ScaiSend".to_owned()],
        });
    }
    Ok(match config.environment {
        Environment::Dev => Arc::new(LogMailer),
        Environment::Production => Arc::new(NoMailer),
    })
}

type Shared = (Arc<dyn PubSub>, Arc<dyn Dispatch>, Arc<dyn Limiter>);

/// Returns what replicas share, which one process has of its own.
#[cfg_attr(not(feature = "redis"), expect(unused_variables, reason = "ids are for Redis"))]
fn shared(config: &Config, ids: &dyn Ids, clock: &Arc<dyn Clock>) -> Result<Shared> {
    #[cfg(feature = "redis")]
    if let Some(url) = &config.redis_url {
        let redis = redis::open(url, ids)?;
        return Ok((Arc::new(redis.pubsub), Arc::new(redis.dispatch), Arc::new(redis.limiter)));
    }
    #[cfg(not(feature = "redis"))]
    if config.redis_url.is_some() {
        return Err(Error::Config {
            faults: vec!["SCAIDRIVE_REDIS_URL: this build has no Redis".to_owned()],
        });
    }
    Ok((
        Arc::new(LocalPubSub::default()),
        Arc::new(LocalDispatch::default()),
        Arc::new(LocalLimiter::new(Arc::clone(clock))),
    ))
}

/// Returns the identity provider that the configuration names; nothing if it names none.
#[cfg(feature = "oidc")]
pub fn provider(config: &Config, clock: Arc<dyn Clock>) -> Result<Option<OidcProvider>> {
    let Some(url) = config.scaikey_url.clone() else { return Ok(None) };
    let settings = OidcSettings {
        url,
        issuer: config.jwt_issuer.clone(),
        audience: config.jwt_audience.clone(),
        jwks_url: config.jwks_url.clone(),
        client_id: config.scaikey_client_id.clone(),
        client_secret: config.scaikey_client_secret.as_ref().map(|secret| secret.reveal().to_owned()),
        scopeless: config.scopeless_tokens,
    };
    OidcProvider::new(settings, clock).map(Some)
}

/// Derives the key of the audit's seals from the installation's secret; an embedded drive keeps one of its own.
fn audit_key(config: &Config) -> Result<AuditKey> {
    if let Some(secret) = &config.secret_key {
        return Ok(AuditKey::derive(secret.reveal().as_bytes()));
    }
    let path = config.data_dir.join("audit.key");
    let failed =
        |error: std::io::Error| Error::Config { faults: vec![format!("{}: {error}", path.display())] };
    std::fs::create_dir_all(&config.data_dir).map_err(failed)?;
    let secret = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_secret(&path).map_err(failed)?,
        read => read.map_err(failed)?,
    };
    if secret.len() < 32 {
        return Err(Error::Config { faults: vec![format!("{}: is cut short", path.display())] });
    }
    Ok(AuditKey::derive(&secret))
}

/// Makes a secret that its owner alone may read; of several first starts at once, one makes it.
fn make_secret(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;

    let mut secret = vec![0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let draft = path.with_extension(format!("key.{}", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    // A hard link fails if a rival was first; then its secret is the one.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::read(path),
    }
}

fn open_objects(config: &Config) -> Result<Arc<dyn BlobStore>> {
    match &config.objects {
        ObjectsConfig::Local => blobs::open_local(&config.data_dir.join("objects")),
        ObjectsConfig::Memory => Ok(blobs::open_memory()),
        ObjectsConfig::S3(s3) => blobs::open_s3(&S3Settings {
            endpoint: s3.endpoint.clone(),
            bucket: s3.bucket.clone(),
            region: s3.region.clone(),
            access_key: s3.access_key.clone(),
            secret_key: s3.secret_key.clone(),
        }),
    }
}

/// Applies the schema, waiting up to a minute for a database that is just starting.
pub async fn migrate(drive: &Drive) -> Result<()> {
    let mut attempts = 0;
    while let Err(error) = drive.meta.ping().await {
        attempts += 1;
        if attempts == 60 {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drive.meta.migrate().await
}
