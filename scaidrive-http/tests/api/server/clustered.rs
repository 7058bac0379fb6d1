//! A whole cluster in the place of a server of the test's own.

use std::sync::Arc;

use reqwest::Client;
use scaidrive_core::model::{Scope, TenantId};
use serde_json::Value;

use super::Server;
use crate::cluster::{self, Cluster};

impl Server {
    /// Returns the cluster that the tests are told of, as one server with a tenant of its own; else a server on each
    /// database.
    pub(crate) fn everywhere() -> impl Iterator<Item = Self> {
        let cluster = cluster::variable("SCAIDRIVE_CLUSTER").and_then(|_| Cluster::open());
        let others = if cluster.is_none() { Some(Self::on_each()) } else { None };
        cluster.into_iter().map(|cluster| Self::of(&cluster)).chain(others.into_iter().flatten())
    }

    fn of(cluster: &Cluster) -> Self {
        let first: Value = serde_json::from_str(&cluster.cli(&["tenant", "show", "--json"])).unwrap();
        Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            url: cluster.url.clone(),
            operators: cluster.apis[0].clone(),
            token: cluster::token(first["id"].as_str().unwrap(), "root", "*"),
            admin: "root",
            client: Client::new(),
            process: None,
            settings: cluster.settings(),
            database: None,
        }
    }
}

/// Returns a token of the cluster's provider.
pub(super) fn mint(tenant: TenantId, user: &str, scopes: &[Scope]) -> String {
    let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    // Without any, the provider would not have limited it at all.
    let scope = if words.is_empty() { "elsewhere".to_owned() } else { words.join(" ") };
    cluster::token(&tenant.to_string(), user, &scope)
}
