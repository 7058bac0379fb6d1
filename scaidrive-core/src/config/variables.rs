//! The variables that configure ScaiDrive, and how their effective values are shown.

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
    secret(variable(
        "SCAIDRIVE_DATABASE_REPLICA_URL",
        "",
        "a MariaDB that replicates from that one by global transaction ids; reports are read there while it keeps up",
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
    variable(
        "SCAIDRIVE_TRUSTED_PROXIES",
        "",
        "comma-separated networks whose `X-Forwarded-For` is believed, such as `10.0.0.0/8`",
    ),
    variable("SCAIDRIVE_CORS_ORIGINS", "", "comma-separated; `*` in dev"),
    variable("SCAIDRIVE_LOG_LEVEL", "INFO", "`DEBUG`, `INFO`, `WARNING` or `ERROR`"),
    variable("SCAIDRIVE_LOG_FORMAT", "text", "`json` or `text`; `json` in production"),
    variable(
        "SCAIDRIVE_GC_GRACE",
        "24h",
        "how long unused chunks stay; above the oldest backup to be restored",
    ),
    variable("SCAIDRIVE_DRAIN_DELAY", "5s", "how long accepting goes on after SIGTERM; 0 in `serve`"),
    variable(
        "SCAIDRIVE_SCAISEND_URL",
        "",
        "delivers mail; without it the log gets it in dev, and nobody in production",
    ),
    secret(variable("SCAIDRIVE_SCAISEND_API_KEY", "", "its API key")),
    variable("SCAIDRIVE_MAIL_FROM", "", "address that mail comes from"),
    variable(
        "SCAIDRIVE_QUEUES",
        "high,medium,low",
        "queues whose jobs a worker runs, comma-separated; together the workers must have all",
    ),
    variable("SCAIDRIVE_METRICS_DETAIL", "0", "`1` adds labels with unbounded values"),
];

/// Returns every variable with its effective value, secrets masked: what `scaidrive config check` prints.
pub fn effective(lookup: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let shown = |variable: &Variable| match lookup(variable.name).filter(|value| !value.trim().is_empty()) {
        Some(_) if variable.secret => "(set, masked)".to_owned(),
        Some(value) => without_secrets(&value),
        None if variable.default.is_empty() => "(not set)".to_owned(),
        None => format!("{} (default)", variable.default),
    };
    VARIABLES.iter().map(|variable| (variable.name, shown(variable))).collect()
}

/// Returns an address without whom it is asked as, and without its query: either may hold a secret.
fn without_secrets(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let (before, query) = rest.split_once('?').map_or((rest, ""), |(before, _)| (before, "?(masked)"));
    let (authority, path) = before.split_at(before.find('/').unwrap_or(before.len()));
    let host = authority
        .rsplit_once('@')
        .map_or_else(|| authority.to_owned(), |(_, host)| format!("(masked)@{host}"));
    format!("{scheme}://{host}{path}{query}")
}
