//! A cluster of real parts, as `tests/run --cluster` starts it: three api behind nginx, two workers, MariaDB and one that
//! replicates it, Redis, Garage and an identity provider; and what must hold while any of them is killed, restarted or
//! restored. Without a cluster every test says so and passes.
//!
//! The tests break what they share, so they run one after the other: `--test-threads=1`. What was measured is told on
//! standard error. `SCAIDRIVE_CLUSTER_OUTAGE` says for how many seconds Redis stays away.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
#[expect(dead_code, reason = "tests elsewhere need more of it")]
mod cluster;
mod kills;
mod ledger;
mod load;
mod migrations;
#[path = "../noise.rs"]
mod noise;
mod readers;
mod replicas;
mod restarts;
mod restore;
mod scenario;
#[path = "../torture/tree.rs"]
mod tree;
mod writers;

use scaidrive_core::model::Sha256Hash;

use self::noise::noise;

fn sha256(bytes: &[u8]) -> String {
    Sha256Hash::of(bytes).to_string()
}
