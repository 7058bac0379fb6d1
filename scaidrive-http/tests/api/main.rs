//! The HTTP API, through a real server process: each test starts its own, and checks the invariants when it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod apply;
mod audit;
mod backups;
mod bad_input;
#[expect(dead_code, unused_imports, reason = "the tests of the cluster need more of it")]
#[path = "../../../tests/cluster/cluster.rs"]
mod cluster;
mod conditions;
mod databases;
mod delta;
mod denials;
mod files;
mod folders;
mod hostile_sync;
mod lifecycle;
mod limits;
mod mail;
#[path = "../../../tests/noise.rs"]
mod noise;
mod oidc;
mod oidc_tenants;
mod people;
mod proxied;
mod replicas;
mod reports;
mod scaisend;
mod server;
mod shares;
mod sharing;
mod sign_ins;
mod sockets;
mod sync;
mod system;
#[cfg(feature = "otel")]
mod traces;
mod transfers;
mod upload_orders;
mod uploads;
mod walls;
mod webhooks;
mod workers;
