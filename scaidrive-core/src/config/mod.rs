//! Typed configuration, read through a lookup function: the library itself never looks at the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

mod reader;
mod variables;

pub use self::reader::duration;
pub use self::variables::{VARIABLES, Variable, effective};
use crate::model::{Error, Queue, Result, ScopelessTokens, text_enum};

text_enum! {
    /// How careful to be about what is missing.
    pub enum Environment {
        /// Everything has a default; one command runs it all.
        Dev = "dev",
        /// Nothing that matters has a default.
        Production = "production",
    }
}

text_enum! {
    /// How log lines are written.
    pub enum LogFormat {
        /// For machines.
        Json = "json",
        /// For people.
        Text = "text",
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the text, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(masked)")
    }
}

/// An S3-compatible store and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Config {
    /// Base URL.
    pub endpoint: String,
    /// Bucket.
    pub bucket: String,
    /// Region.
    pub region: String,
    /// Access key.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
}

/// Who delivers mail, and in whose name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailConfig {
    /// Base URL of ScaiSend.
    pub url: String,
    /// Its API key.
    pub api_key: Secret,
    /// The sender's address.
    pub from: String,
}

/// Where objects lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectsConfig {
    /// Files below the data directory.
    Local,
    /// In memory, gone with the process: for tests and trials.
    Memory,
    /// In an S3-compatible store.
    S3(S3Config),
}

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// How careful to be.
    pub environment: Environment,
    /// Database, objects and signing key of an embedded server.
    pub data_dir: PathBuf,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of metrics.
    pub metrics_listen: SocketAddr,
    /// Address that people use.
    pub public_url: Option<String>,
    /// The database; nothing for a file in the data directory.
    pub database_url: Option<String>,
    /// A copy of the database that reports are read from.
    pub database_replica_url: Option<String>,
    /// Redis, where it is set.
    pub redis_url: Option<String>,
    /// The installation's secret; an embedded drive keeps one of its own.
    pub secret_key: Option<Secret>,
    /// Where objects lie.
    pub objects: ObjectsConfig,
    /// The identity provider; nothing for the embedded issuer.
    pub scaikey_url: Option<String>,
    /// The client registered there.
    pub scaikey_client_id: Option<String>,
    /// That client's secret; nothing for a public client.
    pub scaikey_client_secret: Option<Secret>,
    /// Key of webhook signatures; nothing takes no webhooks.
    pub scaikey_webhook_secret: Option<Secret>,
    /// `iss` that tokens must carry.
    pub jwt_issuer: Option<String>,
    /// `aud` that tokens must carry.
    pub jwt_audience: Option<String>,
    /// Where the provider's keys are.
    pub jwks_url: Option<String>,
    /// What tokens without a scope may do.
    pub scopeless_tokens: ScopelessTokens,
    /// Proxies whose word about a client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that browsers may call from.
    pub cors_origins: Vec<String>,
    /// Least severity that is logged, in the words of `tracing`.
    pub log_level: &'static str,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// How long unused chunks stay.
    pub gc_grace: Duration,
    /// How long accepting goes on after SIGTERM.
    pub drain_delay: Duration,
    /// Who delivers mail; nothing where nobody does.
    pub mail: Option<MailConfig>,
    /// Queues whose jobs are run; never none.
    pub queues: Vec<Queue>,
    /// Whether metrics carry labels with unbounded values.
    pub metrics_detail: bool,
}

impl Config {
    /// Returns the configuration of an embedded drive in a directory.
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), ..Self::defaults() }
    }

    fn defaults() -> Self {
        Self {
            environment: Environment::Dev,
            data_dir: PathBuf::from("./scaidrive-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            public_url: None,
            database_url: None,
            database_replica_url: None,
            redis_url: None,
            secret_key: None,
            objects: ObjectsConfig::Local,
            scaikey_url: None,
            scaikey_client_id: None,
            scaikey_client_secret: None,
            scaikey_webhook_secret: None,
            jwt_issuer: None,
            jwt_audience: None,
            jwks_url: None,
            scopeless_tokens: ScopelessTokens::Files,
            trusted_proxies: Vec::new(),
            cors_origins: vec!["*".to_owned()],
            log_level: "info",
            log_format: LogFormat::Text,
            gc_grace: Duration::from_secs(24 * 3600),
            drain_delay: Duration::from_secs(5),
            mail: None,
            queues: Queue::ALL.to_vec(),
            metrics_detail: false,
        }
    }

    /// Reads the configuration; every variable that is missing or malformed is named at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut reader = reader::Reader { lookup: &lookup, faults: Vec::new() };
        let config = reader.read();
        if reader.faults.is_empty() { Ok(config) } else { Err(Error::Config { faults: reader.faults }) }
    }

    /// Returns the database's URL.
    pub fn database_url(&self) -> String {
        let file = || format!("sqlite://{}", self.data_dir.join("scaidrive.db").display());
        self.database_url.clone().unwrap_or_else(file)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config> {
        let map: HashMap<String, String> =
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::from_lookup(|name| map.get(name).cloned())
    }

    fn faults(pairs: &[(&str, &str)]) -> Vec<String> {
        match read(pairs) {
            Err(Error::Config { faults }) => faults,
            other => panic!("expected faults, got {other:?}"),
        }
    }

    #[test]
    fn nothing_needs_to_be_set_in_dev() {
        let config = read(&[]).unwrap();
        assert_eq!(config.database_url(), "sqlite://./scaidrive-data/scaidrive.db");
        assert_eq!(config.objects, ObjectsConfig::Local);
        assert_eq!(config.gc_grace, Duration::from_secs(86_400));
    }

    #[test]
    fn production_names_everything_missing_at_once() {
        let found = faults(&[("SCAIDRIVE_ENV", "production"), ("SCAIDRIVE_ENCRYPTION_KEY", "short")]);
        for variable in VARIABLES.iter().filter(|variable| variable.required) {
            assert!(
                found.iter().any(|fault| fault.starts_with(variable.name)),
                "{} in {found:?}",
                variable.name
            );
        }
        assert!(found.iter().any(|fault| fault.contains("exactly 32 bytes")));
    }

    #[test]
    fn there_is_one_issuer_and_production_says_which() {
        let both = [("SCAIDRIVE_SCAIKEY_URL", "https://key.example/"), ("SCAIDRIVE_EMBEDDED_ISSUER", "1")];
        assert!(faults(&both)[0].starts_with("SCAIDRIVE_EMBEDDED_ISSUER"));
        let found = faults(&[("SCAIDRIVE_ENV", "production"), ("SCAIDRIVE_EMBEDDED_ISSUER", "1")]);
        assert!(!found.iter().any(|fault| fault.contains("SCAIKEY") || fault.contains("JWT")), "{found:?}");
        assert!(found.iter().any(|fault| fault.contains("SCAIDRIVE_DATABASE_URL")), "{found:?}");
    }

    #[test]
    fn the_provider_is_read_as_it_stands() {
        let config = read(&[
            ("SCAIDRIVE_SCAIKEY_URL", "https://key.example/"),
            ("SCAIDRIVE_SCAIKEY_CLIENT_SECRET", "hush"),
            ("SCAIDRIVE_JWT_ISSUER", "https://key.example/"),
            ("SCAIDRIVE_SCOPELESS_TOKENS", "deny"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.scaikey_url.as_deref(), Some("https://key.example"));
        assert_eq!(
            config.jwt_issuer.as_deref(),
            Some("https://key.example/"),
            "an issuer is compared as it is"
        );
        assert_eq!(config.scopeless_tokens, ScopelessTokens::Deny);
        assert!(!format!("{config:?}").contains("hush"));
        assert!(faults(&[("SCAIDRIVE_SCOPELESS_TOKENS", "all")])[0].contains("tenant_admin"));
    }

    #[test]
    fn a_worker_runs_some_queues_or_all() {
        let queues = |text: &str| read(&[("SCAIDRIVE_QUEUES", text)]).map(|config| config.queues);
        assert_eq!(queues("").unwrap(), Queue::ALL);
        assert_eq!(queues("low, high,low").unwrap(), [Queue::High, Queue::Low]);
        assert!(faults(&[("SCAIDRIVE_QUEUES", "high,,fast")])[0].contains("medium"));
    }

    #[test]
    fn half_an_s3_store_is_a_mistake() {
        let found = faults(&[("SCAIDRIVE_S3_BUCKET", "files")]);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn keys_are_measured_by_what_they_stand_for() {
        for key in ["x".repeat(32), "0f".repeat(32), "A".repeat(43), format!("{}=", "A".repeat(43))] {
            assert!(read(&[("SCAIDRIVE_ENCRYPTION_KEY", &key)]).is_ok(), "{key}");
        }
        assert!(read(&[("SCAIDRIVE_ENCRYPTION_KEY", &"x".repeat(33))]).is_err());
        assert!(read(&[("SCAIDRIVE_SECRET_KEY", &"x".repeat(31))]).is_err());
    }

    /// The README's table is this module's, so that it cannot go stale.
    #[test]
    fn the_readme_names_every_variable() {
        let line = |known: &Variable| {
            let needed = if known.required { " (required in production)" } else { "" };
            let default =
                if known.default.is_empty() { String::new() } else { format!("`{}`", known.default) };
            format!("| `{}` | {default} | {}{needed} |\n", known.name, known.help)
        };
        let table: String = VARIABLES.iter().map(line).collect();
        let wanted = format!("| variable | default | what it sets |\n|---|---|---|\n{table}");
        let readme = include_str!("../../../README.md");
        let found =
            readme.split("<!-- configuration -->\n").nth(1).and_then(|rest| rest.split("<!-- /").next());
        assert_eq!(found.unwrap_or_default(), wanted);
    }

    #[test]
    fn an_address_is_shown_without_the_secrets_in_it() {
        let shown = |value: &str| {
            let all = effective(|name| (name == "SCAIDRIVE_SCAISEND_URL").then(|| value.to_owned()));
            all.into_iter().find(|(name, _)| *name == "SCAIDRIVE_SCAISEND_URL").unwrap().1
        };
        assert_eq!(shown("https://mail.example:1/a"), "https://mail.example:1/a");
        assert_eq!(shown("https://me:hush@h/a?key=hush"), "https://(masked)@h/a?(masked)");
        for value in ["https://me:hu@sh@h", "https://hush@h?x", "https://h?hush", "https://h?a=b://hush@c"] {
            assert!(!shown(value).contains("sh"), "{}", shown(value));
        }
    }

    #[test]
    fn an_address_names_a_host() {
        for wrong in
            ["https://", "https:///path", "https://me@", "https://:80", "https://h:port", "https://h:99999"]
        {
            assert!(faults(&[("SCAIDRIVE_SCAIKEY_URL", wrong)])[0].contains("host"), "{wrong}");
        }
        for right in ["https://h", "https://[::1]:8443/a", "https://[::1]", "http://me:a:b@h:80/x:y?z:1"] {
            assert!(read(&[("SCAIDRIVE_SCAIKEY_URL", right)]).is_ok(), "{right}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let shown = effective(|name| Some(format!("hidden-{name}")));
        for (name, value) in shown {
            let secret = VARIABLES.iter().any(|known| known.name == name && known.secret);
            assert_eq!(value.contains("hidden"), !secret, "{name}");
        }
    }
}
