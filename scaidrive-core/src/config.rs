//! Typed configuration, read through a lookup function: the library itself never looks at the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Error, Result, ScopelessTokens, text_enum};

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

/// A variable that configures ScaiDrive: the README's table and `scaidrive config check` come from these.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value where it is not set; empty for none.
    pub default: &'static str,
    /// Whether production refuses to start without it.
    pub required: bool,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// What it is for.
    pub help: &'static str,
}

const fn variable(name: &'static str, default: &'static str, help: &'static str) -> Variable {
    Variable { name, default, required: false, secret: false, help }
}

const fn required(name: &'static str, default: &'static str, help: &'static str) -> Variable {
    Variable { name, default, required: true, secret: false, help }
}

const fn secret(variable: Variable) -> Variable {
    Variable { secret: true, ..variable }
}

/// Every variable that is read.
pub const VARIABLES: &[Variable] = &[
    variable("SCAIDRIVE_ENV", "dev", "`dev`, or `production`, which refuses to start without what it needs"),
    variable(
        "SCAIDRIVE_DATA_DIR",
        "./scaidrive-data",
        "database, objects and signing key of an embedded server",
    ),
    variable("SCAIDRIVE_LISTEN", "127.0.0.1:8000", "address of the API"),
    variable("SCAIDRIVE_METRICS_LISTEN", "127.0.0.1:9000", "address of metrics, and of a worker's probes"),
    variable("SCAIDRIVE_PUBLIC_URL", "", "address that people reach the server at"),
    secret(required(
        "SCAIDRIVE_DATABASE_URL",
        "sqlite://{data}/scaidrive.db",
        "`sqlite://`, `mysql://`, `mariadb://` or `mysql+asyncmy://`",
    )),
    secret(required("SCAIDRIVE_REDIS_URL", "", "`redis://` or `rediss://`; in-process without it")),
    required("SCAIDRIVE_S3_ENDPOINT", "", "S3-compatible store; files under `{data}/objects` without it"),
    required("SCAIDRIVE_S3_BUCKET", "", "its bucket, which must exist"),
    variable("SCAIDRIVE_S3_REGION", "us-east-1", "region that requests are signed for"),
    secret(required("SCAIDRIVE_S3_ACCESS_KEY", "", "its access key")),
    secret(required("SCAIDRIVE_S3_SECRET_KEY", "", "its secret key")),
    required("SCAIDRIVE_SCAIKEY_URL", "", "identity provider; the embedded issuer without it"),
    required("SCAIDRIVE_SCAIKEY_CLIENT_ID", "", "client registered there"),
    secret(variable("SCAIDRIVE_SCAIKEY_CLIENT_SECRET", "", "its secret; a public client without it")),
    secret(variable(
        "SCAIDRIVE_SCAIKEY_WEBHOOK_SECRET",
        "",
        "key of webhook signatures; no webhooks without it",
    )),
    required(
        "SCAIDRIVE_JWT_ISSUER",
        "",
        "`iss` that tokens must carry; in dev the provider's address by default",
    ),
    variable("SCAIDRIVE_JWT_AUDIENCE", "", "`aud` that tokens must carry; not checked without it"),
    variable("SCAIDRIVE_JWKS_URL", "", "where the provider's keys are; found by itself without it"),
    variable(
        "SCAIDRIVE_SCOPELESS_TOKENS",
        "files",
        "what tokens without a scope may do: `files`, `tenant_admin` or `deny`",
    ),
    variable("SCAIDRIVE_EMBEDDED_ISSUER", "0", "`1` allows production without an identity provider"),
    secret(required("SCAIDRIVE_SECRET_KEY", "", "at least 32 bytes: raw, hex or base64")),
    secret(required("SCAIDRIVE_ENCRYPTION_KEY", "", "exactly 32 bytes: raw, 64 hex digits, or base64")),
    variable("SCAIDRIVE_CORS_ORIGINS", "", "comma-separated; `*` in dev"),
    variable("SCAIDRIVE_LOG_LEVEL", "INFO", "`DEBUG`, `INFO`, `WARNING` or `ERROR`"),
    variable("SCAIDRIVE_LOG_FORMAT", "text", "`json` or `text`; `json` in production"),
    variable(
        "SCAIDRIVE_GC_GRACE",
        "24h",
        "how long unused chunks stay; above the oldest backup to be restored",
    ),
    variable("SCAIDRIVE_DRAIN_DELAY", "5s", "how long accepting goes on after SIGTERM; 0 in `serve`"),
    variable("SCAIDRIVE_METRICS_DETAIL", "0", "`1` adds labels with unbounded values"),
];

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
            cors_origins: vec!["*".to_owned()],
            log_level: "info",
            log_format: LogFormat::Text,
            gc_grace: Duration::from_secs(24 * 3600),
            drain_delay: Duration::from_secs(5),
            metrics_detail: false,
        }
    }

    /// Reads the configuration; every variable that is missing or malformed is named at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut reader = Reader { lookup: &lookup, faults: Vec::new() };
        let config = reader.read();
        if reader.faults.is_empty() { Ok(config) } else { Err(Error::Config { faults: reader.faults }) }
    }

    /// Returns the database's URL.
    pub fn database_url(&self) -> String {
        let file = || format!("sqlite://{}", self.data_dir.join("scaidrive.db").display());
        self.database_url.clone().unwrap_or_else(file)
    }
}

struct Reader<'l> {
    lookup: &'l dyn Fn(&str) -> Option<String>,
    faults: Vec<String>,
}

impl Reader<'_> {
    fn get(&self, name: &str) -> Option<String> {
        debug_assert!(VARIABLES.iter().any(|known| known.name == name), "{name} is not in the table");
        (self.lookup)(name).filter(|value| !value.trim().is_empty())
    }

    /// Reads a value, or notes why it cannot be read and goes on with the default.
    fn parse<T>(&mut self, name: &str, default: T, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let Some(text) = self.get(name) else { return default };
        match parse(text.trim()) {
            Ok(value) => value,
            Err(why) => {
                self.faults.push(format!("{name}: {why}"));
                default
            }
        }
    }

    fn read(&mut self) -> Config {
        let defaults = Config::defaults();
        let environment = self.parse("SCAIDRIVE_ENV", Environment::Dev, |text| {
            text.parse().map_err(|_| "must be dev or production".to_owned())
        });
        let production = environment == Environment::Production;
        let embedded_issuer = self.flag("SCAIDRIVE_EMBEDDED_ISSUER");
        if production {
            self.check_required(embedded_issuer);
        }
        self.check_keys();
        let address = |text: &str| text.parse().map_err(|_| "must read address:port".to_owned());
        Config {
            environment,
            data_dir: self.get("SCAIDRIVE_DATA_DIR").map_or(defaults.data_dir, PathBuf::from),
            listen: self.parse("SCAIDRIVE_LISTEN", defaults.listen, address),
            metrics_listen: self.parse("SCAIDRIVE_METRICS_LISTEN", defaults.metrics_listen, address),
            public_url: self.url("SCAIDRIVE_PUBLIC_URL", &["http", "https"]),
            database_url: self
                .url("SCAIDRIVE_DATABASE_URL", &["sqlite", "mysql", "mariadb", "mysql+asyncmy"]),
            redis_url: self.url("SCAIDRIVE_REDIS_URL", &["redis", "rediss"]),
            secret_key: self.secret("SCAIDRIVE_SECRET_KEY"),
            objects: self.objects(),
            scaikey_url: self.scaikey_url(embedded_issuer),
            scaikey_client_id: self.word("SCAIDRIVE_SCAIKEY_CLIENT_ID"),
            scaikey_client_secret: self.secret("SCAIDRIVE_SCAIKEY_CLIENT_SECRET"),
            scaikey_webhook_secret: self.secret("SCAIDRIVE_SCAIKEY_WEBHOOK_SECRET"),
            jwt_issuer: self.word("SCAIDRIVE_JWT_ISSUER"),
            jwt_audience: self.word("SCAIDRIVE_JWT_AUDIENCE"),
            jwks_url: self.url("SCAIDRIVE_JWKS_URL", &["http", "https"]),
            scopeless_tokens: self.parse("SCAIDRIVE_SCOPELESS_TOKENS", defaults.scopeless_tokens, |text| {
                text.parse().map_err(|_| "must be files, tenant_admin or deny".to_owned())
            }),
            cors_origins: self.cors(production),
            log_level: self.parse("SCAIDRIVE_LOG_LEVEL", "info", log_level),
            log_format: self.parse(
                "SCAIDRIVE_LOG_FORMAT",
                if production { LogFormat::Json } else { LogFormat::Text },
                |text| text.parse().map_err(|_| "must be json or text".to_owned()),
            ),
            gc_grace: self.parse("SCAIDRIVE_GC_GRACE", defaults.gc_grace, duration),
            drain_delay: self.parse("SCAIDRIVE_DRAIN_DELAY", defaults.drain_delay, duration),
            metrics_detail: self.flag("SCAIDRIVE_METRICS_DETAIL"),
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        self.parse(name, false, |text| match text {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err("must be 0 or 1".to_owned()),
        })
    }

    fn word(&self, name: &str) -> Option<String> {
        self.get(name).map(|text| text.trim().to_owned())
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.word(name).map(Secret)
    }

    /// Two issuers would let in whoever can read the data directory past the provider.
    fn scaikey_url(&mut self, embedded_issuer: bool) -> Option<String> {
        let url = self.url("SCAIDRIVE_SCAIKEY_URL", &["http", "https"]);
        if embedded_issuer && url.is_some() {
            let fault = "SCAIDRIVE_EMBEDDED_ISSUER: cannot be 1 while SCAIDRIVE_SCAIKEY_URL is set";
            self.faults.push(fault.to_owned());
        }
        url
    }

    fn check_required(&mut self, embedded_issuer: bool) {
        let is_provider = |name: &str| name.contains("SCAIKEY") || name.contains("JWT");
        for known in VARIABLES.iter().filter(|known| known.required) {
            if embedded_issuer && is_provider(known.name) {
                continue;
            }
            if self.get(known.name).is_none() {
                self.faults
                    .push(format!("{}: is not set, and production needs it ({})", known.name, known.help));
            }
        }
    }

    fn check_keys(&mut self) {
        self.parse("SCAIDRIVE_SECRET_KEY", (), |text| {
            if key_bytes(text) >= 32 { Ok(()) } else { Err("must have at least 32 bytes".to_owned()) }
        });
        self.parse("SCAIDRIVE_ENCRYPTION_KEY", (), |text| {
            if key_bytes(text) == 32 { Ok(()) } else { Err("must have exactly 32 bytes".to_owned()) }
        });
    }

    fn url(&mut self, name: &str, schemes: &[&str]) -> Option<String> {
        self.parse(name, None, |text| match text.split_once("://") {
            Some((scheme, rest)) if schemes.contains(&scheme) && !rest.is_empty() => {
                Ok(Some(text.trim_end_matches('/').to_owned()))
            }
            _ => {
                let all: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
                Err(format!("must start with {}", all.join(" or ")))
            }
        })
    }

    /// The four S3 variables belong together: some of them without the others is a mistake.
    fn objects(&mut self) -> ObjectsConfig {
        let endpoint = self.url("SCAIDRIVE_S3_ENDPOINT", &["http", "https"]);
        let rest = ["SCAIDRIVE_S3_BUCKET", "SCAIDRIVE_S3_ACCESS_KEY", "SCAIDRIVE_S3_SECRET_KEY"];
        let [bucket, access_key, secret_key] = rest.map(|name| self.get(name));
        if endpoint.is_none() && [&bucket, &access_key, &secret_key].iter().all(|value| value.is_none()) {
            return ObjectsConfig::Local;
        }
        let mut need = |name: &str, value: Option<String>| {
            value.unwrap_or_else(|| {
                if !self.faults.iter().any(|fault| fault.starts_with(name)) {
                    self.faults.push(format!("{name}: is not set, but other SCAIDRIVE_S3_ variables are"));
                }
                String::new()
            })
        };
        ObjectsConfig::S3(S3Config {
            endpoint: need("SCAIDRIVE_S3_ENDPOINT", endpoint),
            bucket: need("SCAIDRIVE_S3_BUCKET", bucket),
            access_key: need("SCAIDRIVE_S3_ACCESS_KEY", access_key),
            secret_key: need("SCAIDRIVE_S3_SECRET_KEY", secret_key),
            region: self.get("SCAIDRIVE_S3_REGION").unwrap_or_else(|| "us-east-1".to_owned()),
        })
    }

    fn cors(&self, production: bool) -> Vec<String> {
        match self.get("SCAIDRIVE_CORS_ORIGINS") {
            Some(list) => {
                list.split(',').map(|origin| origin.trim().to_owned()).filter(|o| !o.is_empty()).collect()
            }
            None if production => Vec::new(),
            None => vec!["*".to_owned()],
        }
    }
}

fn log_level(text: &str) -> Result<&'static str, String> {
    match text.to_ascii_uppercase().as_str() {
        "DEBUG" => Ok("debug"),
        "INFO" => Ok("info"),
        "WARNING" => Ok("warn"),
        "ERROR" => Ok("error"),
        _ => Err("must be DEBUG, INFO, WARNING or ERROR".to_owned()),
    }
}

/// Reads `90s`, `15m`, `24h`, `7d` or plain seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.find(|letter: char| !letter.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("must read like 90s, 15m, 24h or 7d".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "must start with a number".to_owned())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "is too long".to_owned())
}

/// Returns how many bytes a key stands for, by its length: 64 hex digits and 43 or 44 base64 characters are 32.
fn key_bytes(text: &str) -> usize {
    let is_hex =
        text.len() >= 64 && text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_base64 = matches!(text.len(), 43 | 44)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b));
    match text.len() {
        len if is_hex => len / 2,
        _ if is_base64 => 32,
        len => len,
    }
}

/// Returns every variable with its effective value, secrets masked: what `scaidrive config check` prints.
pub fn effective(lookup: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let shown = |variable: &Variable| match lookup(variable.name).filter(|value| !value.trim().is_empty()) {
        Some(_) if variable.secret => "(set, masked)".to_owned(),
        Some(value) => value,
        None if variable.default.is_empty() => "(not set)".to_owned(),
        None => format!("{} (default)", variable.default),
    };
    VARIABLES.iter().map(|variable| (variable.name, shown(variable))).collect()
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
        let readme = include_str!("../../README.md");
        let found =
            readme.split("<!-- configuration -->\n").nth(1).and_then(|rest| rest.split("<!-- /").next());
        assert_eq!(found.unwrap_or_default(), wanted);
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
