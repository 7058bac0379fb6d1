//! Tokens good and bad, and keys that come, go and cannot be had: against a provider of a hundred lines.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::model::{GroupId, Scope, Timestamp};

const TENANT: &str = "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const OTHER_TENANT: &str = "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAW";
const NOW: i64 = 1_800_000_000;

/// A clock that goes when it is told to.
#[derive(Debug)]
struct Hand(AtomicI64);

impl Hand {
    fn wait(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed) * 1_000_000)
    }
}

/// A key, and its public half as the provider shows it.
struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    fn new(algorithm: Algorithm, id: &str) -> Self {
        let random = SystemRandom::new();
        let key = match algorithm {
            Algorithm::RS256 => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
                let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
                EncodingKey::from_rsa_der(&pkcs1(der.as_ref()))
            }
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
                EncodingKey::from_ec_der(pair.as_ref())
            }
            _ => return Self::ed25519(id),
        };
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(id);
        Self { algorithm, key, jwk }
    }

    fn ed25519(id: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let x = base64::Engine::encode(&URL_SAFE_NO_PAD, pair.public_key());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": x });
        Self { algorithm: Algorithm::EdDSA, key: EncodingKey::from_ed_der(pkcs8.as_ref()), jwk }
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(self.jwk["kid"].as_str(), claims)
    }

    fn sign_as(&self, id: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// Returns the RSA key inside PKCS #8: what follows the algorithm's name, in an octet string.
fn pkcs1(pkcs8: &[u8]) -> Vec<u8> {
    let inner = pkcs8.windows(4).skip(4).position(|bytes| bytes[..2] == [0x04, 0x82]).unwrap() + 4;
    pkcs8[inner + 4..].to_vec()
}

/// What the provider answers, by path; nothing for an outage.
type Pages = Arc<Mutex<Option<BTreeMap<&'static str, Value>>>>;

/// A provider on a port of its own, whose pages the test writes, and how often its keys were fetched.
struct House {
    url: String,
    pages: Pages,
    fetches: Arc<AtomicUsize>,
    clock: Arc<Hand>,
}

impl House {
    /// Opens a provider that shows these keys where ScaiKey does.
    async fn open(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (pages, fetches): (Pages, _) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(serve(listener, Arc::clone(&pages), Arc::clone(&fetches)));
        let house = Self { url, pages, fetches, clock: Arc::new(Hand(AtomicI64::new(NOW))) };
        house.show(signers);
        house
    }

    fn show(&self, signers: &[&Signer]) {
        let keys: Vec<&Value> = signers.iter().map(|signer| &signer.jwk).collect();
        self.put("/api/v1/platform/.well-known/jwks.json", json!({ "keys": keys }));
    }

    fn put(&self, path: &'static str, page: Value) {
        self.pages.lock().unwrap().get_or_insert_default().insert(path, page);
    }

    fn go_away(&self) {
        *self.pages.lock().unwrap() = None;
    }

    fn fetched(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }

    fn provider(&self, change: impl FnOnce(&mut OidcSettings)) -> OidcProvider {
        let mut settings = OidcSettings {
            url: self.url.clone(),
            issuer: None,
            audience: None,
            jwks_url: None,
            client_id: None,
            client_secret: None,
            scopeless: ScopelessTokens::Files,
        };
        change(&mut settings);
        OidcProvider::new(settings, Arc::clone(&self.clock) as Arc<dyn Clock>).unwrap()
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.url, "sub": "ada", "tenant_id": TENANT, "scope": "openid files:read",
            "iat": NOW - 10, "exp": NOW + 600,
        })
    }

    /// Returns the claims with some of them set, or, where the value is null, left out.
    fn with(&self, changes: Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }
}

async fn serve(listener: TcpListener, pages: Pages, fetches: Arc<AtomicUsize>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (pages, fetches) = (Arc::clone(&pages), Arc::clone(&fetches));
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let text = String::from_utf8(head).unwrap();
            let path = text.split(' ').nth(1).unwrap();
            let answer = match &*pages.lock().unwrap() {
                None => "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
                Some(pages) => page(pages.get(path)),
            };
            if path.ends_with("jwks.json") {
                fetches.fetch_add(1, Ordering::Relaxed);
            }
            drop(stream.write_all(answer.as_bytes()).await);
        });
    }
}

fn page(body: Option<&Value>) -> String {
    if let Some(target) = body.and_then(|body| body["redirect"].as_str()) {
        return format!(
            "HTTP/1.1 302 Go\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }
    let (status, body) = body.map_or((404, String::new()), |body| (200, body.to_string()));
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn is_refused(told: &Result<Claims>) -> bool {
    matches!(told, Err(Error::Unauthenticated { missing: false, .. }))
}

#[tokio::test]
async fn tokens_of_every_algorithm_speak_for_their_user() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let signer = Signer::new(algorithm, "a");
        let house = House::open(&[&signer]).await;
        let provider = house.provider(|_| {});
        let claims = house.with(json!({
            "scope": "openid files:write unheard-of", "email": "ada@example.org", "name": "Ada",
            "groups": ["staff", 7, null, "", "g2"], "act": { "sub": "s", "client_id": "robot" },
            "partner_id": "prt_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        }));
        let told = provider.verify(&signer.sign(&claims)).await.unwrap();
        assert_eq!((told.user.as_str(), told.tenant.to_string().as_str()), ("ada", TENANT));
        assert_eq!(told.scopes, [Scope::FilesWrite]);
        assert_eq!(told.groups.iter().map(GroupId::as_str).collect::<Vec<_>>(), ["staff", "g2"]);
        assert_eq!((told.email.as_deref(), told.name.as_deref()), (Some("ada@example.org"), Some("Ada")));
        assert_eq!(told.service_account.as_deref(), Some("robot"));
        assert!(told.partner.is_some());
        assert_eq!((told.issued_at.as_secs(), told.expires_at.as_secs()), (NOW - 10, NOW + 600));
        let sub = provider.verify(&signer.sign(&house.with(json!({ "act": { "sub": "s" } })))).await.unwrap();
        assert_eq!(sub.service_account.as_deref(), Some("s"));
    }
}

#[tokio::test]
async fn claims_that_do_not_hold_are_refused() {
    let signer = Signer::new(Algorithm::ES256, "a");
    let house = House::open(&[&signer]).await;
    let provider = house.provider(|_| {});
    let of_tenant = |tenant: &str| format!("{}/tenants/{tenant}", house.url);
    let good = [
        json!({}),
        json!({ "iss": of_tenant(TENANT) }),
        json!({ "exp": NOW - 59 }),
        json!({ "nbf": NOW + 60, "iat": NOW + 60 }),
        json!({ "exp": 1_800_000_600.5, "iat": null, "aud": ["any", "body"] }),
        json!({ "email": 7, "name": {}, "groups": "staff", "partner_id": "x", "act": "robot" }),
    ];
    for changes in good {
        let told = provider.verify(&signer.sign(&house.with(changes.clone()))).await;
        assert!(told.is_ok(), "{changes} {told:?}");
    }
    let bad = [
        json!({ "iss": null }),
        json!({ "iss": format!("{}/", house.url) }),
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": [house.url] }),
        json!({ "iss": of_tenant(OTHER_TENANT) }),
        json!({ "iss": format!("{}/x", of_tenant(TENANT)) }),
        json!({ "exp": NOW - 60 }),
        json!({ "exp": null }),
        json!({ "exp": "soon" }),
        json!({ "nbf": NOW + 61 }),
        json!({ "nbf": "later" }),
        json!({ "iat": NOW + 61 }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "sub": "a\u{0}b" }),
        json!({ "sub": "system:scaikey" }),
        json!({ "sub": "x".repeat(256) }),
    ];
    for changes in bad {
        let told = provider.verify(&signer.sign(&house.with(changes.clone()))).await;
        assert!(is_refused(&told), "{changes} {told:?}");
    }
}

#[tokio::test]
async fn a_tenant_has_a_name_and_the_issuer_says_the_same() {
    let signer = Signer::new(Algorithm::ES256, "a");
    let house = House::open(&[&signer]).await;
    let provider = house.provider(|_| {});
    let of_tenant = |tenant: &str| format!("{}/tenants/{tenant}", house.url);
    for (name, issuer) in [("acme", house.url.clone()), ("acme|7 Ä", of_tenant("acme|7 Ä"))] {
        let token = signer.sign(&house.with(json!({ "tenant_id": name, "iss": issuer })));
        assert_eq!(provider.verify(&token).await.unwrap().tenant.to_string(), name);
    }
    let bad = [
        json!({ "tenant_id": null }),
        json!({ "tenant_id": "" }),
        json!({ "tenant_id": "a\u{0}b" }),
        json!({ "tenant_id": "tnt_acme" }),
        json!({ "tenant_id": TENANT.to_lowercase() }),
        json!({ "tenant_id": "x".repeat(256) }),
        json!({ "tenant_id": [TENANT] }),
        json!({ "tenant_id": "acme", "iss": of_tenant(TENANT) }),
        json!({ "tenant_id": "acme", "iss": of_tenant("acme2") }),
        json!({ "iss": of_tenant("acme") }),
    ];
    for changes in bad {
        let told = provider.verify(&signer.sign(&house.with(changes.clone()))).await;
        assert!(is_refused(&told), "{changes} {told:?}");
    }
}

fn encode(part: &Value) -> String {
    base64::Engine::encode(&URL_SAFE_NO_PAD, part.to_string())
}

/// Returns texts that are no token at all, or a good one with something else in the place of a part.
fn mangled(good: &str, other_claims: &Value) -> Vec<(&'static str, String)> {
    let (head, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let with_head = |alg: &str, kid: &str| format!("{}.{rest}", encode(&json!({ "alg": alg, "kid": kid })));
    vec![
        ("empty", String::new()),
        ("dots", "..".to_owned()),
        ("junk", "a.b.c".to_owned()),
        ("no ASCII", "é.ü.ß".to_owned()),
        ("huge", format!("{head}.{}.{signature}", "A".repeat(9000))),
        ("none", format!("{}.{payload}.", encode(&json!({ "alg": "none", "kid": "rsa" })))),
        ("None", with_head("None", "rsa")),
        ("RS512 by name", with_head("RS512", "rsa")),
        ("another key's algorithm", with_head("ES256", "rsa")),
        ("another key's id and algorithm", with_head("ES256", "ec")),
        ("cut", good[..good.len() - 4].to_owned()),
        ("longer", format!("{good}AAAA")),
        ("four parts", format!("{good}.{signature}")),
        ("no signature", format!("{head}.{payload}.")),
        ("other claims", format!("{head}.{}.{signature}", encode(other_claims))),
    ]
}

#[tokio::test]
async fn what_is_no_token_of_these_keys_is_refused() {
    let (rsa, ec) = (Signer::new(Algorithm::RS256, "rsa"), Signer::new(Algorithm::ES256, "ec"));
    let stranger = Signer::new(Algorithm::RS256, "rsa");
    let house = House::open(&[&rsa, &ec]).await;
    let provider = house.provider(|_| {});
    let claims = house.claims();
    let good = rsa.sign(&claims);
    provider.verify(&good).await.unwrap();
    let made = |header: Header, key: &EncodingKey| jsonwebtoken::encode(&header, &claims, key).unwrap();
    let head = |algorithm| Header { kid: Some("rsa".to_owned()), ..Header::new(algorithm) };
    let hmac = |secret: &str| made(head(Algorithm::HS256), &EncodingKey::from_secret(secret.as_bytes()));
    let jwk = serde_json::from_value(stranger.jwk.clone()).unwrap();
    let crit = Header { crit: Some(vec!["exp".to_owned()]), ..head(Algorithm::RS256) };
    let mut bad = mangled(&good, &house.with(json!({ "sub": "eve" })));
    bad.extend([
        ("HMAC with the modulus", hmac(rsa.jwk["n"].as_str().unwrap())),
        ("HMAC with the key", hmac(&rsa.jwk.to_string())),
        ("another key's id", rsa.sign_as(Some("ec"), &claims)),
        ("an unknown id", rsa.sign_as(Some("nobody"), &claims)),
        ("a stranger's", stranger.sign(&claims)),
        (
            "a stranger's with its key inside",
            made(Header { jwk: Some(jwk), ..head(Algorithm::RS256) }, &stranger.key),
        ),
        ("something critical", made(crit, &rsa.key)),
    ]);
    for (what, token) in bad {
        let told = provider.verify(&token).await;
        assert!(is_refused(&told), "{what}: {told:?}");
    }
    provider.verify(&good).await.unwrap();
}

#[tokio::test]
async fn keys_for_something_else_verify_nothing() {
    let signer = Signer::new(Algorithm::RS256, "a");
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("RS512")),
        ("alg", json!("HS256")),
        ("kty", json!("oct")),
    ] {
        let mut other = Signer::new(Algorithm::ES256, "b").jwk;
        other["kid"] = json!("b");
        let mut key = signer.jwk.clone();
        key[name] = value.clone();
        let house = House::open(&[]).await;
        house.put("/api/v1/platform/.well-known/jwks.json", json!({ "keys": ["junk", {}, key, other] }));
        let told = house.provider(|_| {}).verify(&signer.sign(&house.claims())).await;
        assert!(is_refused(&told), "{name} {value}");
    }
}

#[tokio::test]
async fn without_an_id_the_key_must_be_the_only_one_that_fits() {
    let (one, two) = (Signer::new(Algorithm::ES256, "1"), Signer::new(Algorithm::ES256, "2"));
    let other = Signer::new(Algorithm::EdDSA, "3");
    let house = House::open(&[&one, &other]).await;
    let token = one.sign_as(None, &house.claims());
    house.provider(|_| {}).verify(&token).await.unwrap();
    house.show(&[&one, &two]);
    assert!(is_refused(&house.provider(|_| {}).verify(&token).await));
}

#[tokio::test]
async fn issuer_and_audience_are_as_they_are_set() {
    let signer = Signer::new(Algorithm::EdDSA, "a");
    let house = House::open(&[&signer]).await;
    let provider = house.provider(|settings| {
        settings.issuer = Some("https://key.example/".to_owned());
        settings.audience = Some("drive".to_owned());
    });
    let iss = "https://key.example/";
    for (changes, is_good) in [
        (json!({ "iss": iss, "aud": "drive" }), true),
        (json!({ "iss": iss, "aud": ["other", "drive"] }), true),
        (json!({ "iss": iss, "aud": ["other"] }), false),
        (json!({ "iss": iss, "aud": "drive2" }), false),
        (json!({ "iss": iss }), false),
        (json!({ "aud": "drive" }), false),
        (json!({ "iss": "https://key.example", "aud": "drive" }), false),
    ] {
        let told = provider.verify(&signer.sign(&house.with(changes.clone()))).await;
        assert!(told.is_ok() == is_good && (is_good || is_refused(&told)), "{changes} {told:?}");
    }
}

#[tokio::test]
async fn a_token_without_scopes_gets_what_the_installation_says() {
    let signer = Signer::new(Algorithm::EdDSA, "a");
    let house = House::open(&[&signer]).await;
    let files = vec![Scope::FilesRead, Scope::FilesWrite];
    for (policy, given) in [
        (ScopelessTokens::Files, Some(files)),
        (ScopelessTokens::TenantAdmin, Some(vec![Scope::TenantAdmin])),
        (ScopelessTokens::Deny, None),
    ] {
        let provider = house.provider(|settings| settings.scopeless = policy);
        for scopeless in [
            json!({ "scope": null }),
            json!({ "scope": "" }),
            json!({ "scope": "openid profile email offline_access" }),
            json!({ "scope": [7], "scp": {} }),
        ] {
            let told = provider.verify(&signer.sign(&house.with(scopeless))).await;
            match (&told, &given) {
                (Ok(claims), Some(scopes)) => assert_eq!(claims.scopes, *scopes),
                (Err(Error::ScopeInsufficient { .. }), None) => {}
                _ => panic!("{policy}: {told:?}"),
            }
        }
        for (scopes, held) in [
            (json!({ "scope": "mail:send openid" }), vec![]),
            (json!({ "scope": "mail:send files:read" }), vec![Scope::FilesRead]),
            (
                json!({ "scope": null, "scp": ["files:read", "files:write"] }),
                vec![Scope::FilesRead, Scope::FilesWrite],
            ),
            (json!({ "scope": ["tenant:admin"] }), vec![Scope::TenantAdmin]),
        ] {
            let told = provider.verify(&signer.sign(&house.with(scopes.clone()))).await.unwrap();
            assert_eq!(told.scopes, held, "{scopes}");
        }
    }
}

#[tokio::test]
async fn keys_are_kept_five_minutes_and_longer_than_an_outage() {
    let (old, new) = (Signer::new(Algorithm::ES256, "old"), Signer::new(Algorithm::ES256, "new"));
    let house = House::open(&[&old]).await;
    let provider = house.provider(|_| {});
    let claims = house.with(json!({ "exp": NOW + 100_000 }));
    let token = old.sign(&claims);
    for _ in 0..10 {
        provider.verify(&token).await.unwrap();
    }
    assert_eq!(house.fetched(), 1);
    house.clock.wait(299);
    provider.verify(&token).await.unwrap();
    assert_eq!(house.fetched(), 1);
    house.clock.wait(1);
    provider.verify(&token).await.unwrap();
    assert_eq!(house.fetched(), 2, "five minutes are over");
    house.clock.wait(301);
    house.go_away();
    for _ in 0..5 {
        provider.verify(&token).await.unwrap();
        house.clock.wait(3600);
    }
    assert!(provider.is_ready().await, "the keys at hand are good");
    house.show(&[&new]);
    assert!(is_refused(&provider.verify(&token).await), "a key that was withdrawn verifies nothing");
    provider.verify(&new.sign(&claims)).await.unwrap();
}

#[tokio::test]
async fn an_empty_answer_does_not_replace_keys() {
    let signer = Signer::new(Algorithm::ES256, "a");
    let house = House::open(&[&signer]).await;
    let provider = house.provider(|_| {});
    let token = signer.sign(&house.claims());
    provider.verify(&token).await.unwrap();
    for nonsense in [json!({ "keys": [] }), json!({}), json!([]), json!({ "keys": [{ "kty": "oct" }] })] {
        house.put("/api/v1/platform/.well-known/jwks.json", nonsense);
        house.clock.wait(301);
        let told = provider.verify(&signer.sign(&house.with(json!({ "exp": NOW + 10_000 })))).await;
        assert!(told.is_ok(), "{told:?}");
    }
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_at_once_but_not_all_the_time() {
    let (old, new) = (Signer::new(Algorithm::ES256, "old"), Signer::new(Algorithm::ES256, "new"));
    let house = House::open(&[&old]).await;
    let provider = Arc::new(house.provider(|_| {}));
    provider.verify(&old.sign(&house.claims())).await.unwrap();
    house.show(&[&old, &new]);
    let token = new.sign(&house.claims());
    let rivals: Vec<_> = (0..20)
        .map(|_| {
            let (provider, token) = (Arc::clone(&provider), token.clone());
            tokio::spawn(async move { provider.verify(&token).await })
        })
        .collect();
    for rival in rivals {
        rival.await.unwrap().unwrap();
    }
    assert_eq!(house.fetched(), 2, "all of them wait for one fetch");
    let unknown = new.sign_as(Some("nobody"), &house.claims());
    for (wait, fetched) in [(0, 2), (9, 2), (1, 3), (0, 3), (10, 4)] {
        house.clock.wait(wait);
        assert!(is_refused(&provider.verify(&unknown).await));
        assert_eq!(house.fetched(), fetched, "after {wait} s more");
    }
}

#[tokio::test]
async fn a_first_crowd_fetches_once() {
    let signer = Signer::new(Algorithm::ES256, "a");
    let house = House::open(&[&signer]).await;
    let provider = Arc::new(house.provider(|_| {}));
    let token = signer.sign(&house.claims());
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (provider, token) = (Arc::clone(&provider), token.clone());
            tokio::spawn(async move { provider.verify(&token).await })
        })
        .collect();
    for one in crowd {
        one.await.unwrap().unwrap();
    }
    assert_eq!(house.fetched(), 1);
}

#[tokio::test]
async fn without_any_keys_nobody_is_called_a_liar() {
    let signer = Signer::new(Algorithm::ES256, "a");
    let house = House::open(&[&signer]).await;
    house.go_away();
    let provider = house.provider(|_| {});
    let token = signer.sign(&house.claims());
    assert!(matches!(provider.verify(&token).await, Err(Error::Unavailable { .. })));
    assert!(!provider.is_ready().await);
    house.show(&[&signer]);
    assert!(
        matches!(provider.verify(&token).await, Err(Error::Unavailable { .. })),
        "not asked all the time"
    );
    house.clock.wait(10);
    provider.verify(&token).await.unwrap();
    assert!(provider.is_ready().await);
}

#[tokio::test]
async fn keys_are_found_by_discovery_or_where_they_are_said_to_be() {
    let signer = Signer::new(Algorithm::ES256, "a");
    let house = House::open(&[]).await;
    house.pages.lock().unwrap().as_mut().unwrap().clear();
    house.put("/.well-known/openid-configuration", json!({ "jwks_uri": format!("{}/moved", house.url) }));
    house.put("/moved", json!({ "redirect": "/here/jwks.json" }));
    house.put("/here/jwks.json", json!({ "keys": [signer.jwk] }));
    let token = signer.sign(&house.claims());
    house.provider(|_| {}).verify(&token).await.unwrap();
    let there = format!("{}/here/jwks.json", house.url);
    house.provider(|settings| settings.jwks_url = Some(there)).verify(&token).await.unwrap();
    let nowhere = format!("{}/nowhere", house.url);
    let pinned = house.provider(|settings| settings.jwks_url = Some(nowhere));
    assert!(matches!(pinned.verify(&token).await, Err(Error::Unavailable { .. })), "there and nowhere else");
}

#[tokio::test]
async fn nobody_is_followed_to_another_host() {
    let signer = Signer::new(Algorithm::ES256, "a");
    let (house, elsewhere) = (House::open(&[]).await, House::open(&[&signer]).await);
    let target = format!("{}/api/v1/platform/.well-known/jwks.json", elsewhere.url);
    house.put("/api/v1/platform/.well-known/jwks.json", json!({ "redirect": target }));
    let told = house.provider(|_| {}).verify(&signer.sign(&house.claims())).await;
    assert!(matches!(told, Err(Error::Unavailable { .. })), "{told:?}");
    assert_eq!(elsewhere.fetched(), 0);
}

#[test]
fn endpoints_are_no_less_safe_than_what_names_them() {
    let document =
        json!({ "a": "http://key.example/token", "b": "https://key.example/token", "c": "file:///x" });
    for (name, origin, is_good) in [
        ("a", "http://key.example", true),
        ("a", "https://key.example", false),
        ("b", "https://key.example", true),
        ("c", "http://key.example", false),
        ("d", "http://key.example", false),
    ] {
        assert_eq!(endpoint(&document, name, origin).is_ok(), is_good, "{name} {origin}");
    }
}
