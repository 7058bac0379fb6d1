//! Signing in at a real OpenID Connect provider (npm's oidc-provider), and using what it gives.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use scaidrive_core::services::tenants;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::server::{Reply, Server, program};

/// Where the provider sends browsers to: the public address of the drive, which no test follows.
const CALLBACK: &str = "https://drive.example/api/v1/auth/callback";

const CLIENT_SECRET: &str = "hush: a secret/with+signs";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-long";

/// A provider of the test's own, with keys of its own.
pub(crate) struct Provider {
    control: String,
    url: String,
    client: Client,
}

impl Provider {
    /// Returns a new provider; nothing, said aloud, where the test run has none.
    pub(crate) async fn open() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "tests learn from it where their services are")]
        let Ok(control) = std::env::var("SCAIDRIVE_TEST_OIDC_URL") else {
            eprintln!("SKIPPED: SCAIDRIVE_TEST_OIDC_URL is not set");
            return None;
        };
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let made: Value = client.post(format!("{control}/new")).send().await.unwrap().json().await.unwrap();
        Some(Self { url: made["url"].as_str().unwrap().to_owned(), control, client })
    }

    async fn command(&self, what: &str) {
        let done =
            self.client.post(format!("{}/{what}?url={}", self.control, self.url)).send().await.unwrap();
        assert_eq!(done.status(), 200);
    }

    /// Walks through a sign-in as a browser does, cookies and all; returns where it ends.
    async fn walk(&self, start: Url) -> Url {
        let (mut at, mut cookies) = (start, BTreeMap::new());
        for _ in 0..10 {
            let cookie: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let response =
                self.client.get(at.clone()).header(COOKIE, cookie.join("; ")).send().await.unwrap();
            for set in response.headers().get_all(SET_COOKIE) {
                let pair = set.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let location = response.headers().get(LOCATION).map(|to| at.join(to.to_str().unwrap()).unwrap());
            let Some(to) = location else { panic!("the sign-in stops: {}", response.text().await.unwrap()) };
            if to.as_str().starts_with(CALLBACK) {
                return to;
            }
            at = to;
        }
        panic!("the sign-in does not end")
    }

    /// Returns a token of a service of its own: client credentials, straight from the provider.
    pub(crate) async fn robot(&self, tenant: &str, algorithm: &str) -> String {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", "files:read")
            .append_pair("resource", &resource(tenant, algorithm))
            .finish();
        let request =
            self.client.post(format!("{}/token", self.url)).basic_auth("robot", Some("robot-secret"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

pub(crate) fn resource(tenant: &str, algorithm: &str) -> String {
    format!("urn:scaidrive:{tenant}:{algorithm}")
}

pub(crate) fn start(provider: &Provider) -> Server {
    Server::start_with(&[
        ("SCAIDRIVE_SCAIKEY_URL", &provider.url),
        ("SCAIDRIVE_SCAIKEY_CLIENT_ID", "scaidrive"),
        ("SCAIDRIVE_SCAIKEY_CLIENT_SECRET", CLIENT_SECRET),
        ("SCAIDRIVE_PUBLIC_URL", "https://drive.example"),
    ])
}

pub(crate) async fn first_tenant(server: &Server) -> String {
    tenants::first(&server.drive().await).await.unwrap().id.to_string()
}

async fn open(server: &Server, path: &str) -> Reply {
    Reply::of(server.client.get(format!("{}/api/v1{path}", server.url))).await
}

pub(crate) async fn as_bearer(server: &Server, token: &str, path: &str) -> Reply {
    Reply::of(server.client.get(format!("{}/api/v1{path}", server.url)).bearer_auth(token)).await
}

pub(crate) async fn ask_for_tokens(server: &Server, fields: &[(&str, &str)]) -> Reply {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = server.client.post(format!("{}/api/v1/auth/token", server.url));
    Reply::of(request.header("content-type", "application/x-www-form-urlencoded").body(form)).await
}

/// Returns the address that a client of ours opens in a browser.
async fn authorize(server: &Server, user: &str, resource: &str) -> Url {
    let config = open(server, "/auth/config").await.ok().json;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let query = [
        ("client_id", config["client_id"].as_str().unwrap()),
        ("redirect_uri", config["desktop_callback_url"].as_str().unwrap()),
        ("response_type", "code"),
        ("scope", "openid files:read files:write"),
        ("resource", resource),
        ("state", "mine&only|port=8123"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("login_hint", user),
    ];
    Url::parse_with_params(config["authorize_url"].as_str().unwrap(), query).unwrap()
}

fn field(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("{name} in {url}")).1.into_owned()
}

/// Signs a user in and returns the tokens.
pub(crate) async fn sign_in(server: &Server, provider: &Provider, user: &str, resource: &str) -> Value {
    let end = provider.walk(authorize(server, user, resource).await).await;
    let code = field(&end, "code");
    let grant = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let reply = ask_for_tokens(server, &grant).await.ok();
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.json
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_through_us() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let tenant = first_tenant(&server).await;
    let config = open(&server, "/auth/config").await.ok().json;
    assert_eq!(config["token_url"], "https://drive.example/api/v1/auth/token");
    assert_eq!(config["authorize_url"], format!("{}/auth", provider.url));
    for (user, algorithm) in [("ada", "RS256"), ("bob", "ES256"), ("eve", "EdDSA")] {
        let tokens = sign_in(&server, &provider, user, &resource(&tenant, algorithm)).await;
        let access = tokens["access_token"].as_str().unwrap();
        let me = as_bearer(&server, access, "/users/me").await.ok().json;
        assert_eq!((me["id"].as_str(), me["tenant_id"].as_str()), (Some(user), Some(tenant.as_str())));
        assert_eq!(me["email"], format!("{user}@example.org"));
        assert_eq!((&me["is_admin"], &me["scopes"]), (&json!(false), &json!(["files:read", "files:write"])));
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let again = ask_for_tokens(&server, &grant).await.ok().json;
        let newer = again["access_token"].as_str().unwrap();
        assert_ne!(newer, access);
        as_bearer(&server, newer, "/users/me").await.ok();
        let used = ask_for_tokens(&server, &grant).await.refused(400, "BAD_REQUEST");
        assert_eq!(
            used.json["error"]["details"]["error"], "invalid_grant",
            "a refresh token is good for once"
        );
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_once_and_for_its_verifier_alone() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let tenant = first_tenant(&server).await;
    let end = provider.walk(authorize(&server, "ada", &resource(&tenant, "ES256")).await).await;
    let code = field(&end, "code");
    let grant = async |verifier: &str| {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ];
        ask_for_tokens(&server, &fields).await
    };
    let wrong = grant("another-verifier-of-at-least-forty-three-characters").await;
    assert_eq!(wrong.refused(400, "BAD_REQUEST").json["error"]["details"]["error"], "invalid_grant");
    grant(VERIFIER).await.ok();
    grant(VERIFIER).await.refused(400, "BAD_REQUEST");
    for fields in [vec![("grant_type", "client_credentials")], vec![("grant_type", "refresh_token")], vec![]]
    {
        ask_for_tokens(&server, &fields).await.refused(422, "VALIDATION_FAILED");
    }
    let json = server.client.post(format!("{}/api/v1/auth/token", server.url)).json(&json!({}));
    Reply::of(json).await.refused(400, "BAD_REQUEST");
    let log = std::fs::read_to_string(server.dir.path().join("server.log")).unwrap();
    assert!(!log.contains(&code) && !log.contains(VERIFIER) && !log.contains(CLIENT_SECRET));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_goes_to_this_computer_and_shows_what_went_wrong() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let tenant = first_tenant(&server).await;
    let page = async |query: &str| {
        let url = format!("{}/api/v1/auth/callback?{query}", server.url);
        let response = server.client.get(url).send().await.unwrap();
        assert!(
            response.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
        );
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        (response.status(), response.text().await.unwrap())
    };
    let end = provider.walk(authorize(&server, "ada", &resource(&tenant, "ES256")).await).await;
    let (status, html) = page(end.query().unwrap()).await;
    let code: String = form_urlencoded::byte_serialize(field(&end, "code").as_bytes()).collect();
    let target = format!("http://localhost:8123/callback?code={code}&amp;state=mine%26only");
    assert!(status == StatusCode::OK && html.contains(&format!("content=\"0;url={target}\"")), "{html}");
    let end = provider.walk(authorize(&server, "nobody", &resource(&tenant, "ES256")).await).await;
    let (status, html) = page(end.query().unwrap()).await;
    assert!(status == StatusCode::BAD_REQUEST && html.contains("access_denied"), "{html}");
    assert!(html.contains("&lt;") && !html.contains("No <"), "{html}");
    for hostile in [
        "code=x&state=a%7Cport%3D80%22%3E%3Cscript%3E",
        "error=%3Cscript%3E&error_description=%22%3E%3Cimg%3E",
        "code=x&state=a%7Cport%3D99999",
        "code=%22%3E%3Cscript%3E",
        "",
    ] {
        let (status, html) = page(hostile).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{hostile}");
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("http://"), "{html}");
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_come_with_tokens_of_their_own() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let tenant = first_tenant(&server).await;
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let token = provider.robot(&tenant, algorithm).await;
        let me = as_bearer(&server, &token, "/users/me").await.ok().json;
        assert_eq!((&me["id"], &me["scopes"]), (&json!("robot"), &json!(["files:read"])));
        let body = json!({ "name": "S", "share_type": "project" });
        let create =
            server.client.post(format!("{}/api/v1/shares", server.url)).bearer_auth(&token).json(&body);
        Reply::of(create).await.refused(403, "SCOPE_INSUFFICIENT");
    }
    let elsewhere = provider.robot("tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "RS256").await;
    as_bearer(&server, &elsewhere, "/users/me").await.refused(401, "AUTH_TOKEN_INVALID");
    let nowhere = provider.robot("acme", "RS256").await;
    as_bearer(&server, &nowhere, "/users/me").await.refused(401, "AUTH_TOKEN_INVALID");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_found_at_once_and_an_outage_locks_nobody_out() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let tenant = first_tenant(&server).await;
    let old = provider.robot(&tenant, "RS256").await;
    as_bearer(&server, &old, "/users/me").await.ok();
    provider.command("rotate").await;
    let new = provider.robot(&tenant, "RS256").await;
    as_bearer(&server, &new, "/users/me").await.ok();
    as_bearer(&server, &old, "/users/me").await.refused(401, "AUTH_TOKEN_INVALID");
    open(&server, "/auth/config").await.ok();
    provider.command("stop").await;
    as_bearer(&server, &new, "/users/me").await.ok();
    let ready = open(&server, "/ready").await.ok().json;
    assert_eq!((&ready["status"], &ready["checks"]["scaikey"]), (&json!("ready"), &json!(true)));
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    ask_for_tokens(&server, &grant).await.refused(502, "UPSTREAM_UNREACHABLE");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_provider_a_server_starts_and_says_so() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let token = provider.robot(&first_tenant(&server).await, "RS256").await;
    provider.command("stop").await;
    let ready = open(&server, "/ready").await.ok().json;
    assert_eq!((&ready["status"], &ready["checks"]["scaikey"]), (&json!("degraded"), &json!(false)));
    as_bearer(&server, &token, "/users/me").await.refused(503, "UNAVAILABLE");
    open(&server, "/auth/config").await.refused(502, "UPSTREAM_UNREACHABLE");
    open(&server, "/auth/jwks.json").await.refused(404, "NOT_FOUND");
    server.stop_and_check().await;
}

/// Accepts connections and never says a word.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_says_nothing_is_not_waited_for_long() {
    let (_listener, url) = silent();
    let server =
        Server::start_with(&[("SCAIDRIVE_SCAIKEY_URL", &url), ("SCAIDRIVE_SCAIKEY_CLIENT_ID", "scaidrive")]);
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let answer = tokio::time::timeout(Duration::from_secs(20), ask_for_tokens(&server, &grant)).await;
    answer.unwrap().refused(504, "UPSTREAM_TIMEOUT");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_there_is_nowhere_to_sign_in() {
    let server = Server::start();
    open(&server, "/auth/config").await.refused(404, "NOT_FOUND");
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    ask_for_tokens(&server, &grant).await.refused(404, "NOT_FOUND");
    server.stop_and_check().await;
}

#[test]
fn one_server_has_one_issuer() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(program())
        .args(["serve", "--embedded-issuer", "1", "--scaikey-url", "https://key.example", "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SCAIDRIVE_EMBEDDED_ISSUER"));
}
