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
mod readers;
mod replicas;
mod restarts;
mod restore;
mod scenario;
#[path = "../torture/tree.rs"]
mod tree;
mod writers;

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Returns bytes that look random, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
