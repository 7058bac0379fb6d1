//! How long it takes to be told that there is nothing.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use scaidrive_core::model::Scope;
use serde_json::json;

use super::site::Site;
use super::{never, other_tenant, told};
use crate::server::{Reply, Server};

/// Requests of each kind in a round.
const REQUESTS: usize = 300;

/// Rounds before a difference is believed: others work on the machine, too.
const ROUNDS: usize = 5;

/// How far apart medians may be that are of one class.
const BAND: f64 = 1.25;

/// A request about a file, as the reader of its share.
struct Probe<'s> {
    server: &'s Server,
    token: String,
    what: &'static str,
}

impl Probe<'_> {
    fn request(&self, id: &str) -> RequestBuilder {
        let to = |method, path: String| {
            let url = format!("{}/api/v1{path}", self.server.url);
            self.server.client.request(method, url).bearer_auth(&self.token)
        };
        match self.what {
            "look" => to(Method::GET, format!("/files/{id}")),
            "read" => to(Method::GET, format!("/files/{id}/content")),
            "rename" => to(Method::PATCH, format!("/files/{id}")).json(&json!({ "name": "n" })),
            "check" => to(
                Method::GET,
                format!("/permissions/check?resource_type=file&resource_id={id}&permission=READ"),
            ),
            other => panic!("how is {other} asked?"),
        }
    }

    /// Returns the median time of an answer about each id, asked for in turns.
    async fn medians<const N: usize>(&self, ids: &[String; N]) -> [Duration; N] {
        let mut times: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::with_capacity(REQUESTS));
        for turn in 0..REQUESTS {
            for at in 0..N {
                // Who comes after whom takes turns, too.
                let kind = (turn + at) % N;
                let request = self.request(&ids[kind]);
                let began = Instant::now();
                let reply = Reply::of(request).await;
                times[kind].push(began.elapsed());
                assert!(matches!(reply.status.as_u16(), 200 | 404), "{reply:?}");
            }
        }
        times.map(|mut times| {
            times.sort_unstable();
            times[REQUESTS / 2]
        })
    }

    /// Fails where the medians are apart in every round.
    async fn assert_even<const N: usize>(&self, ids: &[String; N]) {
        let mut seen = Vec::new();
        for _ in 0..ROUNDS {
            let medians = self.medians(ids).await;
            let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
            seen.push(medians);
            if most.as_secs_f64() <= least.as_secs_f64() * BAND {
                eprintln!("{}: {seen:?}", self.what);
                return;
            }
        }
        panic!("{}: medians for each kind, round by round: {seen:?}", self.what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_and_what_is_hidden_take_the_same_time() {
    for server in Server::on_each() {
        server.lift_limits().await;
        let mut site = Site::of(&server).await;
        let foreign = Site::of_foreigner(&server, other_tenant(&server).await).id("file").await;
        let hidden = site.hidden("file", "reader").await;
        let ids = [never(&hidden), hidden, foreign];
        let token = server.mint(server.tenant(), "usr_reader", &[Scope::All]);
        for what in ["look", "read", "rename", "check"] {
            let probe = Probe { server: &server, token: token.clone(), what };
            let mut answers = Vec::new();
            for id in &ids {
                answers.push(told(&Reply::of(probe.request(id)).await, id, "ID"));
            }
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{what}: {answers:#?}");
            probe.assert_even(&ids).await;
        }
        server.stop_and_check().await;
    }
}
