//! Reads the variables, and notes everything that is wrong with them.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::variables::VARIABLES;
use super::{Config, Environment, LogFormat, MailConfig, ObjectsConfig, S3Config, Secret};
use crate::model::Queue;

/// What is read, and what is wrong with it.
pub(super) struct Reader<'l> {
    pub(super) lookup: &'l dyn Fn(&str) -> Option<String>,
    pub(super) faults: Vec<String>,
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

    pub(super) fn read(&mut self) -> Config {
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
            database_replica_url: self.replica_url(),
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
            trusted_proxies: self.parse("SCAIDRIVE_TRUSTED_PROXIES", Vec::new(), networks),
            cors_origins: self.cors(production),
            log_level: self.parse("SCAIDRIVE_LOG_LEVEL", "info", log_level),
            log_format: self.parse(
                "SCAIDRIVE_LOG_FORMAT",
                if production { LogFormat::Json } else { LogFormat::Text },
                |text| text.parse().map_err(|_| "must be json or text".to_owned()),
            ),
            gc_grace: self.parse("SCAIDRIVE_GC_GRACE", defaults.gc_grace, duration),
            drain_delay: self.parse("SCAIDRIVE_DRAIN_DELAY", defaults.drain_delay, duration),
            mail: self.mail(),
            queues: self.parse("SCAIDRIVE_QUEUES", defaults.queues, queues),
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
            Some(("sqlite", "")) => Err("must name a file".to_owned()),
            Some((scheme, rest)) if schemes.contains(&scheme) && scheme != "sqlite" && !names_host(rest) => {
                Err(format!("must name a host, and no port but a number: {scheme}://host:port"))
            }
            Some((scheme, _)) if schemes.contains(&scheme) => Ok(Some(text.trim_end_matches('/').to_owned())),
            _ => {
                let all: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
                Err(format!("must start with {}", all.join(" or ")))
            }
        })
    }

    /// A file has no replica.
    fn replica_url(&mut self) -> Option<String> {
        let name = "SCAIDRIVE_DATABASE_REPLICA_URL";
        let url = self.url(name, &["mysql", "mariadb", "mysql+asyncmy"]);
        let is_file = self.get("SCAIDRIVE_DATABASE_URL").is_none_or(|primary| primary.starts_with("sqlite:"));
        if url.is_some() && is_file {
            self.faults.push(format!("{name}: is set, but SCAIDRIVE_DATABASE_URL names no MariaDB"));
        }
        url
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

    /// The three variables of mail belong together.
    fn mail(&mut self) -> Option<MailConfig> {
        let url = self.url("SCAIDRIVE_SCAISEND_URL", &["http", "https"])?;
        let (api_key, from) = (self.secret("SCAIDRIVE_SCAISEND_API_KEY"), self.word("SCAIDRIVE_MAIL_FROM"));
        let needed =
            [("SCAIDRIVE_SCAISEND_API_KEY", api_key.is_none()), ("SCAIDRIVE_MAIL_FROM", from.is_none())];
        for (name, _) in needed.into_iter().filter(|(_, is_missing)| *is_missing) {
            self.faults.push(format!("{name}: is not set, but SCAIDRIVE_SCAISEND_URL is"));
        }
        Some(MailConfig { url, api_key: api_key?, from: from? })
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

/// Reads networks, and addresses alone.
fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let network = |part: &str| {
        let alone = || part.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        part.parse().ok().or_else(alone).ok_or_else(|| format!("{part} is no network such as 10.0.0.0/8"))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(network).collect()
}

/// Reads the names of queues, each of which counts once.
fn queues(text: &str) -> Result<Vec<Queue>, String> {
    let queue = |name: &str| name.trim().parse::<Queue>();
    let unknown = |_| "must list some of high, medium and low, with commas between".to_owned();
    let mut queues = text.split(',').map(queue).collect::<Result<Vec<_>, _>>().map_err(unknown)?;
    queues.sort_unstable();
    queues.dedup();
    Ok(queues)
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

/// Tells whether what follows the scheme of an address begins with a host, and with a port if with any.
fn names_host(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit('@').next().unwrap_or_default();
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    !host.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_ok())
}
