//! What the server says about itself, and how it treats what is not a request of the API.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::ORIGIN;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_tell_how_it_is() {
    let server = Server::start();
    let share = server.share("Projects").await;
    server.upload(&share, None, "a.txt", "12345").await.created();
    for base in [&server.url, &server.operators] {
        let get = |path: &str| Reply::of(server.client.get(format!("{base}{path}")));
        assert_eq!(get("/api/v1/health").await.ok().json["status"], "healthy");
        let ready = get("/api/v1/ready").await.ok().json;
        assert_eq!(ready, json!({ "status": "ready", "checks": { "database": true, "storage": true } }));
        let metrics = String::from_utf8(get("/metrics").await.ok().bytes.to_vec()).unwrap();
        for line in [
            "scaidrive_requests_total{method=\"POST\",path=\"/api/v1/files\",status=\"201\"} 1",
            "scaidrive_storage_bytes{tenant_id=\"",
            "type=\"files\"} 5",
            "scaidrive_uploads_bytes_total{tenant_id=\"",
        ] {
            assert!(metrics.contains(line), "{line} in {metrics}");
        }
        assert!(!metrics.contains(&share), "no ids of things in labels");
    }
    let elsewhere = Reply::of(server.client.get(format!("{}/api/v1/shares", server.operators))).await;
    elsewhere.refused(404, "NOT_FOUND");
    let config = server.get("/config").await.ok().json;
    assert_eq!(config["chunking"]["avg"], 262_144);
    assert_eq!(config["limits"]["max_file_size_bytes"], 5_368_709_120_u64);
    let keys = server.get("/auth/jwks.json").await.ok().json;
    assert_eq!(keys["keys"][0]["kty"], "OKP");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_ready_without_its_storage() {
    let server = Server::start();
    std::fs::rename(server.dir.path().join("objects"), server.dir.path().join("away")).unwrap();
    std::fs::write(server.dir.path().join("objects"), "no directory").unwrap();
    let mut told = not_ready(&server).await;
    for _ in 0..30 {
        if told.status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        told = not_ready(&server).await;
    }
    assert_eq!((told.status.as_u16(), &told.json["checks"]["storage"]), (503, &json!(false)), "{told:?}");
}

/// `/ready` answers 503 with its own body, which is no error body.
async fn not_ready(server: &Server) -> Reply {
    let response = server.client.get(format!("{}/api/v1/ready", server.url)).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    Reply { status, headers, json: serde_json::from_slice(&bytes).unwrap_or(Value::Null), bytes }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_look_as_the_document_says() {
    let server = Server::start();
    let document = server.get("/openapi.json").await.ok().json;
    let share = server.share("Projects").await;
    let folder = server.folder(&share, None, "F").await;
    let file = server.upload(&share, Some(&folder), "a.txt", "x").await.created().id();
    server.post("/users/me/favorites", &json!({ "resource_id": file })).await.created();
    let body = json!({ "share_id": share, "file_name": "b", "file_size": 10 });
    let upload =
        server.post("/uploads", &body).await.created().json["session_id"].as_str().unwrap().to_owned();
    let device = json!({ "device_id": "laptop", "device_name": "L" });
    server.post("/sync/devices", &device).await.created();
    for (template, path) in [
        ("/sync/changes", "/sync/changes?cursor=0".to_owned()),
        ("/sync/devices", "/sync/devices".to_owned()),
        ("/sync/status", format!("/sync/status?share_id={share}&device_id=laptop")),
        ("/sync/preferences", format!("/sync/preferences?share_id={share}&device_id=laptop")),
        ("/files/{id}", format!("/files/{file}")),
        ("/files/{id}/versions", format!("/files/{file}/versions")),
        ("/sync/manifest/{file_id}", format!("/sync/manifest/{file}")),
        ("/folders/{id}", format!("/folders/{folder}")),
        ("/folders/{id}/children", format!("/folders/{folder}/children?share_id={share}")),
        ("/shares", "/shares".to_owned()),
        ("/shares/{id}", format!("/shares/{share}")),
        ("/shares/{id}/trash", format!("/shares/{share}/trash")),
        ("/users/me", "/users/me".to_owned()),
        ("/users/me/shares", "/users/me/shares".to_owned()),
        ("/users/me/quota", "/users/me/quota".to_owned()),
        ("/users/me/stats", "/users/me/stats".to_owned()),
        ("/users/me/recent", "/users/me/recent".to_owned()),
        ("/users/me/favorites", "/users/me/favorites".to_owned()),
        ("/uploads/{session_id}", format!("/uploads/{upload}")),
        ("/config", "/config".to_owned()),
        ("/ready", "/ready".to_owned()),
        ("/health", "/health".to_owned()),
    ] {
        let operation = &document["paths"][format!("/api/v1{template}")]["get"];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{template}");
        check(&document, schema, &server.get(&path).await.ok().json, template);
    }
    let error = document["components"]["schemas"]["Error"].clone();
    check(&document, &error, &server.get("/files/x").await.refused(404, "NOT_FOUND").json, "error");
    check(
        &document,
        &error,
        &server.post("/shares", &json!({})).await.refused(422, "VALIDATION_FAILED").json,
        "error",
    );
    server.stop_and_check().await;
}

/// Checks a value against the part of JSON Schema that the document uses: types, required and known fields.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return check(document, document.pointer(&reference[1..]).unwrap(), value, at);
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let null = options.iter().any(|option| option["type"] == "null");
        if value.is_null() && null {
            return;
        }
        let fitting =
            options.iter().find(|option| option["type"] == kind(value) || option["$ref"].is_string());
        if let Some(option) = fitting {
            check(document, option, value, at);
        } else {
            assert!(
                options.iter().any(|option| option["enum"].is_array()),
                "{at}: {value} fits none of {schema}"
            );
        }
        return;
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value}");
    }
    if let Some(wanted) = schema["type"].as_str() {
        let fits = wanted == kind(value) || (wanted == "number" && value.is_number());
        assert!(fits, "{at}: {value} is no {wanted}");
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{at}: {name} is missing in {value}");
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        if let Some(properties) = schema["properties"].as_object() {
            let known = properties.get(name).or_else(|| (at == "config").then_some(&Value::Null));
            let inner = known.unwrap_or(&Value::Null);
            assert!(
                properties.contains_key(name) || name == "normalization",
                "{at}: {name} is not documented"
            );
            check(document, inner, field, &format!("{at}.{name}"));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        check(document, &schema["items"], item, at);
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_come_back() {
    let server = Server::start();
    let ask = |id: &str| Reply::of(server.request(Method::GET, "/shares").header("x-request-id", id));
    assert_eq!(ask("my-id-1").await.header("x-request-id"), "my-id-1");
    for wrong in ["x".repeat(129), "with space".to_owned(), String::new()] {
        assert_eq!(ask(&wrong).await.header("x-request-id").len(), 26);
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_what_they_may() {
    let server = Server::start_with(&[("SCAIDRIVE_CORS_ORIGINS", "https://files.example.com")]);
    let ask = |origin: &'static str| {
        let url = format!("{}/api/v1/shares", server.url);
        let preflight = server.client.request(Method::OPTIONS, url).header(ORIGIN, origin);
        preflight.header("access-control-request-method", "GET").send()
    };
    let good = ask("https://files.example.com").await.unwrap();
    assert_eq!(good.headers()["access-control-allow-origin"], "https://files.example.com");
    let bad = ask("https://evil.example.com").await.unwrap();
    assert!(!bad.headers().contains_key("access-control-allow-origin"));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_works_too() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "a.txt", "hello").await.created().id();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let url = format!("{}/api/v1/files/{id}/content", server.url);
    let reply = client.get(url).bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(reply.version(), reqwest::Version::HTTP_2);
    assert_eq!(reply.bytes().await.unwrap(), "hello");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
async fn large_blocks_go_back_to_the_kernel_unless_an_operator_tunes_otherwise() {
    let tuned = |server: &Server| {
        let all = std::fs::read(format!("/proc/{}/environ", server.pid())).unwrap();
        let mut all = all.split(|byte| *byte == 0);
        let found = all.find_map(|entry| entry.strip_prefix(b"GLIBC_TUNABLES=")).unwrap();
        String::from_utf8(found.to_vec()).unwrap()
    };
    for (settings, expected) in [
        (vec![], "glibc.malloc.mmap_threshold=1048576"),
        (vec![("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")], "glibc.malloc.arena_max=2"),
    ] {
        let server = Server::start_with(&settings);
        assert_eq!(tuned(&server), expected);
        server.stop_and_check().await;
    }
}

#[test]
fn a_configuration_that_does_not_hold_is_told_at_once() {
    let run = |settings: &[(&str, &str)]| {
        let mut command = std::process::Command::new(crate::server::program());
        command.arg("serve").env_clear().envs(settings.iter().copied()).output().unwrap()
    };
    let output = run(&[("SCAIDRIVE_ENV", "production"), ("SCAIDRIVE_LISTEN", "nowhere")]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    for name in
        ["SCAIDRIVE_LISTEN", "SCAIDRIVE_DATABASE_URL", "SCAIDRIVE_S3_ENDPOINT", "SCAIDRIVE_SECRET_KEY"]
    {
        assert!(told.contains(name), "{name} in {told}");
    }
    let output = run(&[("SCAIDRIVE_SCAIKEY_URL", "no address")]);
    assert_eq!(output.status.code(), Some(2));
}
