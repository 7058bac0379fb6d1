//! The core on real parts: contracts of the ports, races, failures, layers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod apply;
mod audit;
mod backends;
mod contracts;
mod cost;
mod delta;
mod devices;
mod edges;
mod failures;
mod feed;
mod feed_cursors;
mod feed_races;
mod galera;
mod identity;
mod layers;
#[path = "../../../tests/noise.rs"]
mod noise;
mod quotas;
mod races;
mod replica;
mod replicas;
mod schema;
mod secrecy;
mod services;
mod snapshot;
mod sweeps;
mod uploads;
mod views;
mod webhooks;
