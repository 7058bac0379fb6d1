//! The core on real parts: contracts of the ports, races, failures, layers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod audit;
mod backends;
mod contracts;
mod cost;
mod failures;
mod layers;
mod quotas;
mod races;
mod schema;
mod services;
mod uploads;
mod webhooks;
