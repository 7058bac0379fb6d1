//! Every endpoint as a row: method, path, who may call, what it costs, what it takes and gives, and the handler.
//!
//! Who may call is part of the row's type, so no route can forget it; the OpenAPI document is made from the rows.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::LazyLock;

use hyper::Method;
use scaidrive_core::model::{Caller, Scope};

use crate::errors::Failure;
use crate::handlers::{auth, files, folders, me, shares, system, transfers, trash, versions, webhooks};
use crate::reply::Answer;
use crate::request::Request;
use crate::sockets::Language;

/// Which listener a route is served on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Clients, on the public address.
    Public,
    /// Operators, on the metrics address.
    Operators,
}

/// What a handler returns.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What answers, and whether it needs to know who asks.
#[derive(Clone, Copy)]
pub(crate) enum Endpoint {
    /// Answers everybody.
    Public(fn(Request) -> Answering),
    /// Answers who has a token with this scope.
    User(Scope, fn(Caller, Request) -> Answering),
    /// Becomes a socket, on which a language is spoken with who has a token with this scope. Others are let in, too, but
    /// only to be told by a close code that they may not stay: browsers show their programs nothing else.
    Socket(Scope, Speaks),
}

/// Returns the language that is spoken on the socket that a request asks for.
pub(crate) type Speaks = fn(&Request) -> Result<Language, Failure>;

/// What answers a request again that made something before: from what it made.
#[derive(Clone, Copy)]
pub(crate) struct Again {
    /// The part of the path that names what was made.
    pub(crate) param: &'static str,
    /// What answers.
    pub(crate) handler: fn(Caller, Request) -> Answering,
}

/// One endpoint.
pub(crate) struct Route {
    /// The method; HEAD goes with GET.
    pub(crate) method: Method,
    /// The path's template, which is also what logs and metrics show.
    pub(crate) path: &'static str,
    /// Units of the rate limit.
    pub(crate) cost: u8,
    /// The most bytes of a body that does not tell its length, where every 4 MiB that pass cost a unit more; nothing
    /// where they do not.
    pub(crate) by_bytes: Option<u64>,
    /// What answers.
    pub(crate) endpoint: Endpoint,
    /// What it does, in a line.
    pub(crate) summary: &'static str,
    /// Query parameters and header fields it reads: see `openapi.rs` for what each is.
    pub(crate) reads: &'static [&'static str],
    /// The schema of the body it takes; empty for none.
    pub(crate) takes: &'static str,
    /// The status and schema of what it gives; an empty schema for none.
    pub(crate) gives: (u16, &'static str),
    /// What answers it again under the same `Idempotency-Key`, if it honours one.
    pub(crate) again: Option<Again>,
}

impl Route {
    fn new(method: Method, path: &'static str, cost: u8, endpoint: Endpoint) -> Self {
        Self {
            method,
            path,
            cost,
            by_bytes: None,
            endpoint,
            summary: "",
            reads: &[],
            takes: "",
            gives: (200, ""),
            again: None,
        }
    }

    fn does(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    fn reads(self, reads: &'static [&'static str]) -> Self {
        Self { reads, ..self }
    }

    fn takes(self, takes: &'static str) -> Self {
        Self { takes, ..self }
    }

    fn gives(self, status: u16, schema: &'static str) -> Self {
        Self { gives: (status, schema), ..self }
    }

    fn by_bytes(self, most: u64) -> Self {
        Self { by_bytes: Some(most), ..self }
    }

    fn again(self, param: &'static str, handler: fn(Caller, Request) -> Answering) -> Self {
        Self { again: Some(Again { param, handler }), ..self }
    }

    /// Returns the method's name.
    pub(crate) fn method_name(&self) -> &'static str {
        match self.method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "OTHER",
        }
    }

    /// Tells whether a listener for this audience serves the route.
    fn is_for(&self, audience: Audience) -> bool {
        let probe = matches!(self.path, "/metrics" | "/api/v1/health" | "/api/v1/ready");
        audience == Audience::Public || probe
    }
}

const READ: Scope = Scope::FilesRead;
const WRITE: Scope = Scope::FilesWrite;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// Makes a row: `public METHOD "path" cost handler`, `SCOPE METHOD "path" cost handler`, or `socket SCOPE "path" cost
/// language`.
macro_rules! route {
    (socket $scope:ident $path:literal $cost:literal $language:path) => {
        Route::new(GET, $path, $cost, Endpoint::Socket($scope, $language))
    };
    (public $method:ident $path:literal $cost:literal $handler:path) => {
        Route::new($method, $path, $cost, Endpoint::Public(|request| Box::pin($handler(request))))
    };
    ($scope:ident $method:ident $path:literal $cost:literal $handler:path) => {
        Route::new(
            $method,
            $path,
            $cost,
            Endpoint::User($scope, |caller, request| Box::pin($handler(caller, request))),
        )
    };
}

mod apply;
mod delta;
mod quotas;
mod sharing;
mod sync;
mod uploads;

/// Every route there is.
pub(crate) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    [system_routes(), sign_in_routes(), user_routes(), share_routes(), file_routes(), folder_routes()]
        .into_iter()
        .chain([sharing::permission_routes(), sharing::member_routes()])
        .chain([
            sharing::admin_routes(),
            sharing::group_routes(),
            quotas::quota_routes(),
            delta::delta_routes(),
        ])
        .chain([sync::sync_routes(), apply::apply_routes(), uploads::upload_routes()])
        .flatten()
        .collect()
});

fn system_routes() -> Vec<Route> {
    vec![
        route!(public GET "/api/v1/health" 0 system::health)
            .does("Tells that the process lives")
            .gives(200, "Health"),
        route!(public GET "/api/v1/ready" 0 system::ready)
            .does("Tells whether requests are welcome")
            .gives(200, "Ready"),
        route!(public GET "/api/v1/config" 0 system::config)
            .does("Returns limits and features")
            .gives(200, "Config"),
        route!(public GET "/api/v1/openapi.json" 0 system::openapi)
            .does("Returns this document")
            .gives(200, "Any"),
        route!(public GET "/api/v1/auth/jwks.json" 0 system::jwks)
            .does("Returns the keys of the embedded issuer")
            .gives(200, "Any"),
        route!(public GET "/metrics" 0 system::metrics)
            .does("Returns metrics; on the metrics address, and in dev")
            .gives(200, "text"),
    ]
}

fn sign_in_routes() -> Vec<Route> {
    vec![
        route!(public GET "/api/v1/auth/config" 1 auth::config)
            .does("Returns where clients sign in")
            .gives(200, "SignIn"),
        route!(public GET "/api/v1/auth/callback" 1 auth::callback)
            .does("Sends a browser on to the client that waits on the same computer")
            .reads(&["code", "state", "error", "error_description"])
            .gives(200, "html"),
        route!(public POST "/api/v1/auth/token" 2 auth::token)
            .does("Passes a code or refresh token on to the identity provider")
            .takes("TokenForm")
            .gives(200, "Tokens"),
        route!(public POST "/api/v1/webhooks/scaikey" 0 webhooks::scaikey)
            .does("Takes an event of the identity provider")
            .reads(&["X-ScaiKey-Signature"])
            .takes("WebhookEvent")
            .gives(200, "WebhookOutcome"),
    ]
}

fn user_routes() -> Vec<Route> {
    vec![
        route!(READ GET "/api/v1/users/me" 1 me::get).does("Returns the caller").gives(200, "Me"),
        route!(READ GET "/api/v1/users/me/shares" 2 me::shares)
            .does("Returns the caller's shares")
            .reads(&["limit", "offset"])
            .gives(200, "MyShares"),
        route!(READ GET "/api/v1/users/me/quota" 1 me::quota)
            .does("Returns what the caller uses")
            .gives(200, "MyQuota"),
        route!(READ GET "/api/v1/users/me/stats" 2 me::stats)
            .does("Returns what each of the caller's shares uses")
            .gives(200, "MyStats"),
        route!(READ GET "/api/v1/users/me/recent" 2 me::recent)
            .does("Returns the files the caller changed last")
            .reads(&["limit"])
            .gives(200, "Files"),
        route!(READ GET "/api/v1/users/me/favorites" 2 me::favorites)
            .does("Returns the caller's favourites")
            .reads(&["limit", "offset"])
            .gives(200, "Favorites"),
        route!(WRITE POST "/api/v1/users/me/favorites" 2 me::add_favorite)
            .does("Marks a favourite")
            .takes("FavoriteRef")
            .gives(201, "FavoriteRef")
            .again("resource_id", |_, request| Box::pin(std::future::ready(me::favorite(&request)))),
        route!(WRITE DELETE "/api/v1/users/me/favorites" 2 me::remove_favorite)
            .does("Unmarks a favourite")
            .reads(&["resource_id"])
            .gives(204, ""),
    ]
}

fn share_routes() -> Vec<Route> {
    vec![
        route!(READ GET "/api/v1/shares" 2 shares::list)
            .does("Returns the shares the caller can see")
            .reads(&["limit", "offset", "include_trashed", "scope"])
            .gives(200, "Shares"),
        route!(WRITE POST "/api/v1/shares" 2 shares::create)
            .does("Creates a share")
            .takes("NewShare")
            .gives(201, "Share")
            .again("id", |caller, request| Box::pin(shares::get(caller, request))),
        route!(READ GET "/api/v1/shares/{id}" 1 shares::get).does("Returns a share").gives(200, "Share"),
        route!(WRITE PATCH "/api/v1/shares/{id}" 2 shares::patch)
            .does("Changes a share")
            .takes("SharePatch")
            .gives(200, "Share"),
        route!(WRITE DELETE "/api/v1/shares/{id}" 2 shares::delete)
            .does("Puts a share in the trash")
            .gives(204, ""),
        route!(WRITE POST "/api/v1/shares/{id}/restore" 2 shares::restore)
            .does("Takes a share out of the trash")
            .gives(200, "Share"),
        route!(READ GET "/api/v1/shares/{id}/trash" 2 trash::list)
            .does("Returns what is in a share's trash")
            .reads(&["limit", "after"])
            .gives(200, "Trash"),
        route!(WRITE DELETE "/api/v1/shares/{id}/trash" 2 trash::empty)
            .does("Empties a share's trash")
            .gives(204, ""),
    ]
}

fn file_routes() -> Vec<Route> {
    vec![
        route!(WRITE POST "/api/v1/files" 5 transfers::upload)
            .does("Uploads a new file")
            .takes("Upload")
            .gives(201, "File")
            .again("id", |caller, request| Box::pin(files::get(caller, request))),
        route!(READ GET "/api/v1/files/{id}" 1 files::get)
            .does("Returns a file")
            .reads(&["If-None-Match"])
            .gives(200, "File"),
        route!(WRITE PATCH "/api/v1/files/{id}" 2 files::patch)
            .does("Changes a file, or restores it from the trash")
            .reads(&["If-Match"])
            .takes("FilePatch")
            .gives(200, "File"),
        route!(WRITE DELETE "/api/v1/files/{id}" 2 files::delete)
            .does("Puts a file in the trash, or removes it for good")
            .reads(&["permanent"])
            .gives(204, ""),
        route!(READ GET "/api/v1/files/{id}/content" 5 transfers::download)
            .does("Returns a file's bytes")
            .reads(&["version", "Range", "If-None-Match", "If-Range"])
            .gives(200, "bytes"),
        route!(WRITE PUT "/api/v1/files/{id}/content" 5 transfers::replace)
            .does("Writes a new version")
            .reads(&["If-Match"])
            .takes("bytes")
            .gives(200, "File"),
        route!(WRITE POST "/api/v1/files/{id}/copy" 2 files::copy)
            .does("Copies a file; no bytes move")
            .takes("Target")
            .gives(201, "File")
            .again("id", |caller, request| Box::pin(files::get(caller, request))),
        route!(WRITE POST "/api/v1/files/{id}/move" 2 files::relocate)
            .does("Moves a file with its history")
            .takes("Target")
            .gives(200, "File"),
        route!(READ GET "/api/v1/files/{id}/versions" 2 versions::list)
            .does("Returns a file's versions, newest first")
            .reads(&["limit", "offset"])
            .gives(200, "Versions"),
        route!(WRITE POST "/api/v1/files/{id}/versions/{n}/restore" 2 versions::restore)
            .does("Makes an old version current again")
            .gives(200, "Restored"),
        route!(WRITE DELETE "/api/v1/files/{id}/versions/{n}" 2 versions::delete)
            .does("Removes an old version for good")
            .gives(204, ""),
    ]
}

fn folder_routes() -> Vec<Route> {
    vec![
        route!(WRITE POST "/api/v1/folders" 2 folders::create)
            .does("Creates a folder")
            .takes("NewFolder")
            .gives(201, "Folder")
            .again("id", |caller, request| Box::pin(folders::get(caller, request))),
        route!(READ GET "/api/v1/folders/{id}" 1 folders::get)
            .does("Returns a folder")
            .reads(&["If-None-Match"])
            .gives(200, "Folder"),
        route!(READ GET "/api/v1/folders/{id}/children" 2 folders::children)
            .does("Returns what a folder, or with the id `root` a share, holds")
            .reads(&["share_id", "include_deleted", "limit≤1000", "after", "sort"])
            .gives(200, "Children"),
        route!(WRITE PATCH "/api/v1/folders/{id}" 2 folders::patch)
            .does("Renames a folder, or restores it from the trash")
            .reads(&["If-Match"])
            .takes("FolderPatch")
            .gives(200, "Folder"),
        route!(WRITE DELETE "/api/v1/folders/{id}" 2 folders::delete)
            .does("Puts a folder in the trash, or removes it for good")
            .reads(&["permanent"])
            .gives(204, ""),
        route!(WRITE POST "/api/v1/folders/{id}/move" 2 folders::relocate)
            .does("Moves a folder with all it holds")
            .takes("Target")
            .gives(200, "Folder"),
        route!(WRITE POST "/api/v1/folders/{id}/copy" 2 folders::copy)
            .does("Copies a folder with all it holds")
            .takes("Target")
            .gives(201, "Folder")
            .again("id", |caller, request| Box::pin(folders::get(caller, request))),
        route!(READ GET "/api/v1/folders/{id}/archive" 5 transfers::archive)
            .does("Returns a folder as an archive")
            .reads(&["format"])
            .gives(200, "bytes"),
    ]
}

/// What the table says about a request.
pub(crate) enum Found {
    /// This row, with the parts of the path.
    Route(&'static Route, Vec<(String, String)>),
    /// The path is known, with these methods only.
    OtherMethods(String),
    /// The path is not known.
    Nothing,
}

/// Finds rows by path.
pub(crate) struct Router(matchit::Router<BTreeMap<&'static str, &'static Route>>);

impl Router {
    /// Returns a router over all rows.
    pub(crate) fn new() -> Self {
        let mut by_path: BTreeMap<&'static str, BTreeMap<&'static str, &'static Route>> = BTreeMap::new();
        for route in ROUTES.iter() {
            by_path.entry(route.path).or_default().insert(route.method_name(), route);
        }
        let mut router = matchit::Router::new();
        for (path, methods) in by_path {
            router.insert(path, methods).expect("the paths of the table do not clash; a test reads it");
        }
        Self(router)
    }

    /// Returns what answers a path; a slash at its end is tolerated.
    pub(crate) fn find(&self, method: &Method, path: &str, audience: Audience) -> Found {
        let trimmed = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        let Ok(matched) = self.0.at(trimmed) else { return Found::Nothing };
        let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
        let rows = matched.value;
        if !rows.values().any(|route| route.is_for(audience)) {
            return Found::Nothing;
        }
        match rows.get(method.as_str()) {
            Some(route) => {
                let params = matched.params.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
                Found::Route(route, params.collect())
            }
            None => Found::OtherMethods(rows.keys().copied().collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns who may call, in a word.
    fn access(route: &Route) -> String {
        match route.endpoint {
            Endpoint::Public(_) => "public".to_owned(),
            Endpoint::User(scope, _) => scope.to_string(),
            Endpoint::Socket(scope, _) => format!("ws:{scope}"),
        }
    }

    /// The named few that anybody may call; every other row demands a caller.
    const PUBLIC: [&str; 10] = [
        "/api/v1/health",
        "/api/v1/ready",
        "/api/v1/config",
        "/api/v1/openapi.json",
        "/api/v1/auth/jwks.json",
        "/metrics",
        "/api/v1/auth/config",
        "/api/v1/auth/callback",
        "/api/v1/auth/token",
        "/api/v1/webhooks/scaikey",
    ];

    #[test]
    fn only_the_named_few_answer_strangers() {
        for route in ROUTES.iter() {
            assert_eq!(access(route) == "public", PUBLIC.contains(&route.path), "{}", route.path);
        }
    }

    #[test]
    fn writes_need_more_than_the_scope_to_read() {
        // A question may be asked with a body.
        const QUESTIONS: [&str; 3] = ["/permissions/check", "/sync/chunks/check", "/sync/fetch"];
        let writes = |route: &&Route| {
            route.method != Method::GET && !QUESTIONS.iter().any(|path| route.path.contains(path))
        };
        for route in ROUTES.iter().filter(writes) {
            assert_ne!(access(route), "files:read", "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn the_table_is_as_agreed() {
        let line = |route: &Route| {
            let by_bytes = if route.by_bytes.is_some() { "+1/4MiB" } else { "" };
            let cost = format!("{}{by_bytes}", route.cost);
            format!("{:6} {:45} {:12} {cost}\n", route.method_name(), route.path, access(route))
        };
        let table: String = ROUTES.iter().map(line).collect();
        assert_eq!(
            table,
            include_str!("../tests/routes.txt"),
            "if this change is meant, write it to tests/routes.txt"
        );
    }

    #[test]
    fn every_row_is_found_under_its_path() {
        let router = Router::new();
        for route in ROUTES.iter() {
            let Found::Route(found, _) =
                router.find(&route.method, &format!("{}/", route.path), Audience::Public)
            else {
                panic!("{} is not found", route.path);
            };
            assert_eq!((found.path, found.method_name()), (route.path, route.method_name()));
        }
        assert!(matches!(router.find(&GET, "/api/v1/files", Audience::Operators), Found::Nothing));
    }
}
