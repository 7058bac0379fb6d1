//! Requests through nginx, and what came back, counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

/// How long somebody waits before asking again, unless told for how long.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest that somebody waits when told to: these tests have more to do.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What all clients of a load were answered.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counted>);

/// What was answered within some time.
#[derive(Default)]
pub(crate) struct Counted {
    /// Answers by status, with the code of those that refuse; what never came is `no answer`.
    pub(crate) answers: BTreeMap<String, usize>,
    /// What must not happen, whatever is down.
    pub(crate) faults: Vec<String>,
    /// The longest time without a write that was done, and without a read.
    pub(crate) gaps: [Duration; 2],
    last: [Option<Instant>; 2],
}

impl Tally {
    fn note(&self, method: &Method, answer: String, is_done: bool) {
        let mut counted = self.0.lock().unwrap();
        *counted.answers.entry(answer).or_default() += 1;
        if is_done {
            let kind = usize::from(*method == Method::GET);
            let gap =
                counted.last[kind].replace(Instant::now()).map_or(Duration::ZERO, |last| last.elapsed());
            counted.gaps[kind] = counted.gaps[kind].max(gap);
        }
    }

    /// Notes what must not happen.
    pub(crate) fn fault(&self, what: String) {
        eprintln!("FAULT: {what}");
        self.0.lock().unwrap().faults.push(what);
    }

    /// Returns how many answers were counted since `take` was asked last.
    pub(crate) fn total(&self) -> usize {
        self.0.lock().unwrap().total()
    }

    /// Returns how many of them are none of success.
    pub(crate) fn failures(&self) -> usize {
        self.0.lock().unwrap().failures().values().sum()
    }

    /// Returns what was counted since this was asked last.
    pub(crate) fn take(&self) -> Counted {
        let mut counted = self.0.lock().unwrap();
        let last = counted.last;
        std::mem::replace(&mut *counted, Counted { last, ..Counted::default() })
    }
}

impl Counted {
    /// Returns how many answers are none of success.
    pub(crate) fn failures(&self) -> BTreeMap<&str, usize> {
        let failed = self.answers.iter().filter(|(answer, _)| !answer.starts_with('2'));
        failed.map(|(answer, count)| (answer.as_str(), *count)).collect()
    }

    pub(crate) fn total(&self) -> usize {
        self.answers.values().sum()
    }

    /// Demands that nothing happened that must not.
    pub(crate) fn check(&self) {
        assert!(self.faults.is_empty(), "{:#?}", self.faults);
    }
}

/// Somebody who asks, through nginx or an api itself.
#[derive(Clone)]
pub(crate) struct Caller {
    http: Client,
    url: String,
    token: String,
    pub(crate) tally: Arc<Tally>,
}

impl Caller {
    pub(crate) fn new(url: &str, token: &str, tally: &Arc<Tally>) -> Self {
        // A connection each: one that is kept may be closed, by right, while a request is on its way.
        let http = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Self { http, url: format!("{url}/api/v1"), token: token.to_owned(), tally: Arc::clone(tally) }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Asks once; returns the body of success, or how long to wait before asking again.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Bytes, Duration> {
        let request = request.build().unwrap();
        let (method, what) =
            (request.method().clone(), format!("{} {}", request.method(), request.url().path()));
        let answer = match self.http.execute(request).await {
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                let wait = headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                let id = headers.get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
                response.bytes().await.map(|body| (status, wait.map(Duration::from_secs), id, body))
            }
            Err(error) => Err(error),
        };
        match answer {
            Ok((status, _, _, body)) if status.is_success() => {
                self.tally.note(&method, status.as_u16().to_string(), true);
                Ok(body)
            }
            Ok((status, wait, id, body)) => {
                let told: Value = serde_json::from_slice(&body).unwrap_or_default();
                let code = told["error"]["code"].as_str().unwrap_or("without a reason");
                self.tally.note(&method, format!("{} {code}", status.as_u16()), false);
                if !may_be(status, code, wait.is_some()) {
                    let said =
                        format!("{what}: {status}, request {id:?}: {}", String::from_utf8_lossy(&body));
                    // Asking again would be in vain.
                    assert!(!status.is_client_error(), "{said}");
                    self.tally.fault(said);
                }
                Err(wait.unwrap_or(PAUSE).min(LONGEST_PAUSE))
            }
            Err(error) => {
                self.tally.note(&method, "no answer".to_owned(), false);
                let error: &dyn std::error::Error = &error;
                let causes = std::iter::successors(error.source(), |cause| cause.source());
                let causes: Vec<String> = causes.map(ToString::to_string).collect();
                eprintln!("no answer to {what}: {error}: {}", causes.join(": "));
                Err(PAUSE)
            }
        }
    }

    /// Asks until it is done, as a client does that has something to bring.
    pub(crate) async fn insist(&self, make: impl Fn() -> RequestBuilder) -> Bytes {
        loop {
            match self.ask(make()).await {
                Ok(body) => return body,
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// The same for an answer that is JSON.
    pub(crate) async fn insist_on(&self, make: impl Fn() -> RequestBuilder) -> Value {
        serde_json::from_slice(&self.insist(make).await).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.insist_on(|| self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        self.insist_on(|| self.request(Method::POST, path).json(body)).await
    }

    /// Makes a share; returns its id.
    pub(crate) async fn share(&self, name: &str) -> String {
        let share = self.post("/shares", &serde_json::json!({ "name": name, "share_type": "project" })).await;
        share["id"].as_str().unwrap().to_owned()
    }
}

/// Tells whether a refusal may come while something is down: not by whose fault, but with a reason; or because the same
/// request is still under way.
fn may_be(status: StatusCode, code: &str, told_when: bool) -> bool {
    match status.as_u16() {
        502 => code == "UPSTREAM_UNREACHABLE",
        503 => code == "UNAVAILABLE" && told_when,
        504 => code == "UPSTREAM_TIMEOUT",
        409 => code == "ALREADY_EXISTS" && told_when,
        _ => false,
    }
}
