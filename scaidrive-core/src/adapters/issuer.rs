//! The embedded token issuer: what makes one command enough (identity.md, last paragraph).
//!
//! An Ed25519 key in the data directory, mode 0600, made at the first start. Tokens are minted only by who can
//! read that file: the CLI, and the first start of the server.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{Error, Result, Scope, Sha256Hash, TenantId, Timestamp, UserId};
use crate::ports::{Claims, Clock, Identity};

/// The `iss` of our own tokens.
pub const ISSUER: &str = "scaidrive-embedded";

/// Clocks may differ by so much.
const LEEWAY: Duration = Duration::from_secs(60);

/// Longer texts are no token of ours, and are not worth parsing.
const LONGEST_TOKEN: usize = 8192;

/// Mints and verifies tokens with one key.
pub struct EmbeddedIssuer {
    key_id: String,
    public: Vec<u8>,
    sign: EncodingKey,
    check: DecodingKey,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for EmbeddedIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmbeddedIssuer({})", self.key_id)
    }
}

#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    sub: UserId,
    tenant_id: TenantId,
    scope: String,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Value>,
}

impl EmbeddedIssuer {
    /// Reads the key in a directory, or makes one; several first starts at once agree on one.
    pub fn open(data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let path = data_dir.join("issuer.key");
        let failed =
            |error: std::io::Error| Error::Config { faults: vec![format!("{}: {error}", path.display())] };
        let key = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(data_dir).and_then(|()| make_key(&path)).map_err(failed)?;
                std::fs::read(&path).map_err(failed)?
            }
            read => read.map_err(failed)?,
        };
        Self::from_pkcs8(&key, clock)
            .ok_or_else(|| Error::Config { faults: vec![format!("{}: is no Ed25519 key", path.display())] })
    }

    fn from_pkcs8(key: &[u8], clock: Arc<dyn Clock>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(key).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        Some(Self {
            key_id: Sha256Hash::of(&public).to_string()[..16].to_owned(),
            sign: EncodingKey::from_ed_der(key),
            check: DecodingKey::from_ed_der(&public),
            public,
            clock,
        })
    }

    /// Returns a token for a user.
    pub fn mint(
        &self,
        tenant: TenantId,
        user: &UserId,
        scopes: &[Scope],
        lifetime: Duration,
    ) -> Result<String> {
        let now = self.clock.now();
        let scope = scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
        let payload = Payload {
            iss: ISSUER.to_owned(),
            sub: user.clone(),
            tenant_id: tenant,
            scope,
            iat: now.as_secs(),
            exp: now.plus(lifetime).as_secs(),
            nbf: None,
            email: None,
            name: None,
            act: None,
        };
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &payload, &self.sign)
            .map_err(|error| Error::internal(error.to_string()))
    }

    fn payload(&self, token: &str) -> Option<Payload> {
        if token.len() > LONGEST_TOKEN {
            return None;
        }
        // The algorithm is pinned by the key, never by the token.
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.validate_aud = false;
        // Times are checked against the clock that came in as a port.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let payload = jsonwebtoken::decode::<Payload>(token, &self.check, &rules).ok()?.claims;
        let (now, leeway) = (self.clock.now().as_secs(), LEEWAY.as_secs() as i64);
        let begun = payload.nbf.is_none_or(|nbf| nbf <= now + leeway);
        (payload.exp > now - leeway && begun).then_some(payload)
    }
}

/// Writes a new key under another name first, so that nobody ever reads half a key.
fn make_key(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;

    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| std::io::Error::other("no key could be generated"))?;
    let draft = path.with_extension(format!("key.{}", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(key.as_ref())?;
    file.sync_all()?;
    // A hard link fails if a rival was first; then its key is the one.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[async_trait]
impl Identity for EmbeddedIssuer {
    async fn verify(&self, token: &str) -> Result<Claims> {
        let refused =
            Error::Unauthenticated { missing: false, reason: "The token is not valid or has expired" };
        let payload = self.payload(token).ok_or(refused)?;
        let act = payload.act.as_ref();
        let actor = act.and_then(|act| act["client_id"].as_str().or_else(|| act["sub"].as_str()));
        Ok(Claims {
            user: payload.sub,
            tenant: payload.tenant_id.into(),
            email: payload.email,
            name: payload.name,
            scopes: payload.scope.split_whitespace().filter_map(|scope| scope.parse().ok()).collect(),
            groups: Vec::new(),
            partner: None,
            issued_at: Timestamp::from_micros(payload.iat.saturating_mul(1_000_000)),
            service_account: actor.map(str::to_owned),
            expires_at: Timestamp::from_micros(payload.exp.saturating_mul(1_000_000)),
        })
    }

    fn is_embedded(&self) -> bool {
        true
    }

    fn jwks(&self) -> Option<Value> {
        let x = URL_SAFE_NO_PAD.encode(&self.public);
        Some(json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.key_id, "x": x }
        ] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::local::SystemClock;

    fn issuer() -> (tempfile::TempDir, EmbeddedIssuer) {
        let dir = tempfile::tempdir().unwrap();
        let issuer = EmbeddedIssuer::open(dir.path(), Arc::new(SystemClock)).unwrap();
        (dir, issuer)
    }

    fn tenant() -> TenantId {
        TenantId::new(ulid::Ulid::from_parts(1, 1))
    }

    #[tokio::test]
    async fn a_minted_token_speaks_for_its_user() {
        let (dir, issuer) = issuer();
        let user: UserId = "usr_a".parse().unwrap();
        let token = issuer.mint(tenant(), &user, &[Scope::FilesWrite], Duration::from_secs(60)).unwrap();
        let again = EmbeddedIssuer::open(dir.path(), Arc::new(SystemClock)).unwrap();
        let claims = again.verify(&token).await.unwrap();
        assert_eq!(
            (claims.user, claims.tenant, claims.scopes),
            (user, tenant().into(), vec![Scope::FilesWrite])
        );
    }

    #[tokio::test]
    async fn bad_tokens_are_refused() {
        let (_dir, mine) = issuer();
        let (_other, theirs) = issuer();
        let user: UserId = "usr_a".parse().unwrap();
        let good = mine.mint(tenant(), &user, &[Scope::All], Duration::from_secs(60)).unwrap();
        let (head, rest) = good.split_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        let hmac = {
            let header = Header::new(Algorithm::HS256);
            let key = EncodingKey::from_secret(&mine.public);
            let claims = json!({ "iss": ISSUER, "sub": "usr_a", "tenant_id": tenant(), "scope": "*", "iat": 0, "exp": 9_999_999_999u64 });
            jsonwebtoken::encode(&header, &claims, &key).unwrap()
        };
        let foreign = theirs.mint(tenant(), &user, &[Scope::All], Duration::from_secs(60)).unwrap();
        let bad = [
            String::new(),
            "a.b.c".to_owned(),
            "x".repeat(100_000),
            format!("{none}.{}.", rest.split_once('.').unwrap().0),
            format!("{head}.{rest}x"),
            good[..good.len() - 2].to_owned(),
            hmac,
            foreign,
        ];
        for token in bad {
            assert!(mine.verify(&token).await.is_err(), "{token:.60}");
        }
    }

    #[tokio::test]
    async fn an_expired_token_is_refused_after_the_leeway() {
        #[derive(Debug)]
        struct At(i64);
        impl Clock for At {
            fn now(&self) -> Timestamp {
                Timestamp::from_micros(self.0 * 1_000_000)
            }
        }
        let (dir, _) = issuer();
        let at = |secs| EmbeddedIssuer::open(dir.path(), Arc::new(At(secs))).unwrap();
        let user: UserId = "usr_a".parse().unwrap();
        let token = at(1000).mint(tenant(), &user, &[], Duration::from_secs(100)).unwrap();
        assert!(at(1159).verify(&token).await.is_ok());
        assert!(at(1161).verify(&token).await.is_err());
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, _) = issuer();
        let mode = std::fs::metadata(dir.path().join("issuer.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
