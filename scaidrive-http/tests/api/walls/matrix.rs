//! Who is answered what: `tests/matrix.txt`, read.

use std::collections::BTreeMap;

use reqwest::header::CONTENT_TYPE;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};

use crate::server::{Reply, Server};

/// What stands for the words in braces.
pub(super) type Ids = BTreeMap<&'static str, String>;

/// A status, and the code that goes with it where it is a refusal.
pub(super) type Answer = (u16, String);

/// A request whose path and body hold words in braces.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: &'static str,
    body: &'static str,
}

/// A request, and what each caller is answered.
pub(super) struct Row {
    pub(super) ask: Ask,
    expected: Vec<(&'static str, Answer)>,
}

/// A row of the route table.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) scope: &'static str,
}

/// Returns the rows of the route table that need a token; where `{type}` stands for several kinds, one of each.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for line in include_str!("../../routes.txt").lines() {
        let [method, path, scope, _cost] = words::<4>(line);
        let kinds: &[&str] = if path.contains("{type}") { &["file", "folder", "share"] } else { &[""] };
        let paths = kinds.iter().map(|kind| path.replace("{type}", kind));
        routes.extend(paths.map(|path| Route { method: method.parse().unwrap(), path, scope }));
    }
    // Who is let onto a socket, and who is only told to leave, is in `sockets.rs`.
    routes.retain(|route| route.scope != "public" && !route.scope.starts_with("ws:"));
    routes
}

fn words<const N: usize>(line: &'static str) -> [&'static str; N] {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.try_into().unwrap_or_else(|_| panic!("not {N} words: {line}"))
}

/// Returns the rows of the matrix.
pub(super) fn rows() -> Vec<Row> {
    let (mut known, mut callers, mut rows) = (BTreeMap::new(), Vec::new(), Vec::new());
    let lines = include_str!("../../matrix.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if let Some(rest) = line.strip_prefix("word ") {
            let [word, status, code] = words::<3>(rest);
            known.insert(word, (status.parse().unwrap(), code.to_owned()));
        } else if let Some(rest) = line.strip_prefix("callers ") {
            callers = rest.split_whitespace().collect();
        } else {
            rows.push(row(line, &callers, &known));
        }
    }
    rows
}

fn row(line: &'static str, callers: &[&'static str], known: &BTreeMap<&str, Answer>) -> Row {
    let mut rest = line;
    let mut next = || {
        let (word, after) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
        rest = after;
        word
    };
    let answer = |word: &str| match word.parse::<u16>() {
        Ok(status) => (status, String::new()),
        Err(_) => known.get(word).unwrap_or_else(|| panic!("{word} in {line}")).clone(),
    };
    let expected = callers.iter().map(|caller| (*caller, answer(next()))).collect();
    let (method, path) = (next().parse().unwrap(), next());
    Row { ask: Ask { method, path, body: rest.trim() }, expected }
}

impl Row {
    /// Returns what every caller is answered.
    pub(super) fn expected(&self) -> impl Iterator<Item = (&'static str, &Answer)> {
        self.expected.iter().map(|(caller, answer)| (*caller, answer))
    }

    /// Returns what a caller is answered.
    pub(super) fn expects(&self, caller: &str) -> &Answer {
        &self.expected.iter().find(|(known, _)| *known == caller).unwrap().1
    }

    /// Returns the scope that the route demands, and fails where there is no such route.
    pub(super) fn scope(&self, routes: &[Route]) -> &'static str {
        let route = routes.iter().find(|route| self.ask.is_of(route));
        route.unwrap_or_else(|| panic!("{} is no route", self.ask.path)).scope
    }
}

impl Ask {
    /// Tells whether a request goes to a route.
    pub(super) fn is_of(&self, route: &Route) -> bool {
        let (path, _) = self.path.split_once('?').unwrap_or((self.path, ""));
        let (own, template): (Vec<&str>, Vec<&str>) =
            (path.split('/').collect(), route.path.split('/').collect());
        let fits = |(own, template): (&&str, &&str)| {
            own == template
                || (template.starts_with('{') && (own.starts_with('{') || ["root", "0", "1"].contains(own)))
        };
        self.method == route.method && own.len() == template.len() && own.iter().zip(&template).all(fits)
    }

    /// Tells whether a request that succeeds leaves something else behind than it found.
    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET && !self.path.starts_with("/api/v1/permissions/check")
    }

    /// Tells whether a request leaves the share as it is, and who is in it.
    pub(super) fn spares_the_share(&self) -> bool {
        let elsewhere = ["/api/v1/files", "/api/v1/folders", "/api/v1/admin", "/api/v1/quotas"];
        elsewhere.iter().any(|path| self.path.starts_with(path)) && !self.path.contains("{share}")
    }

    /// Returns the words in braces, each once.
    pub(super) fn words(&self) -> Vec<&'static str> {
        let mut words: Vec<&str> = [self.path, self.body].into_iter().flat_map(in_braces).collect();
        words.sort_unstable();
        words.dedup();
        words
    }

    pub(super) async fn send(&self, server: &Server, token: Option<&str>, ids: &Ids) -> Reply {
        let fill = |text: &str| {
            ids.iter().fold(text.to_owned(), |t, (word, id)| t.replace(&format!("{{{word}}}"), id))
        };
        let request = server.client.request(self.method.clone(), server.url.clone() + &fill(self.path));
        let request = token.into_iter().fold(request, RequestBuilder::bearer_auth);
        let body = fill(self.body);
        Reply::of(match body.strip_prefix("form") {
            Some(fields) => request.multipart(form(fields)),
            None if body.is_empty() => request,
            None => request.header(CONTENT_TYPE, "application/json").body(body),
        })
        .await
    }
}

fn in_braces(text: &'static str) -> impl Iterator<Item = &'static str> {
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(word, _)| word).filter(is_word)
}

fn form(fields: &str) -> Form {
    let pairs = fields.split_whitespace().map(|field| field.split_once('=').unwrap());
    let form = pairs.fold(Form::new(), |form, (name, value)| form.text(name.to_owned(), value.to_owned()));
    form.part("file", Part::bytes(b"x".as_slice()).file_name("x"))
}

/// Returns status and code of an answer.
pub(super) fn answer(reply: &Reply) -> Answer {
    let code = reply.json["error"]["code"].as_str().unwrap_or_default();
    (reply.status.as_u16(), code.to_owned())
}
