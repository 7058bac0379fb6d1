//! Traces as a collector gets them. None is to be had here: a small server of the test's own takes its place and records.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use reqwest::Method;

use crate::server::Server;

/// Takes what is exported; returns its address and all that came.
fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let all = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&all);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                taken.lock().unwrap().extend_from_slice(line.as_bytes());
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            taken.lock().unwrap().extend_from_slice(&body);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            reader.get_mut().write_all(answer).unwrap();
        }
    });
    (address, all)
}

fn holds(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_jobs_are_spans_of_the_clients_trace_and_tell_no_secret() {
    let (url, all) = collector();
    let mut server = Server::start_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]);
    let share = server.share("Projects").await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = server.request(Method::GET, &format!("/shares/{share}?token=secret-word"));
    assert!(traced.header("traceparent", parent).send().await.unwrap().status().is_success());
    let token = server.token.clone();
    // What waits is sent at the end.
    server.stop();
    let all = all.lock().unwrap().clone();
    assert!(holds(&all, b"POST /v1/traces"), "{}", String::from_utf8_lossy(&all));
    let (trace, span) = (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128, 0xb7ad_6b71_6920_3331_u64);
    assert!(holds(&all, &trace.to_be_bytes()) && holds(&all, &span.to_be_bytes()));
    for told in
        ["GET /api/v1/shares/{id}", "POST /api/v1/shares", "http.response.status_code", "job", "scaidrive"]
    {
        assert!(holds(&all, told.as_bytes()), "{told}");
    }
    for secret in [token.as_str(), "secret-word"] {
        assert!(!holds(&all, secret.as_bytes()), "{secret}");
    }
    server.restart();
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_harms_nobody() {
    let server = Server::start_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")]);
    server.share("Projects").await;
    server.stop_and_check().await;
}
