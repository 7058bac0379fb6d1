//! Convergence: simulated devices and a real core, everything on one seed.
//!
//! People edit, rename, move, delete and re-create on their devices and on the server; rights are given and taken;
//! devices are offline, crash at any operation, lose answers and send twice. Then all comes to rest, and every device
//! must have the tree that the server shows its user, and whatever anybody wrote and nobody wrote over or removed
//! must be in it, or still on the disk of who may not send it.
//!
//! `SCAIDRIVE_SIM_RUNS` says how many runs there are, `SCAIDRIVE_SIM_SEED` where they begin; with
//! `SCAIDRIVE_SIM_RUNS=endless` they go on until one fails. A run that failed is told by its seed: add it to
//! `regressions.txt`, where it stays.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chance;
mod device;
mod disk;
mod here;
mod house;
mod ledger;
mod line;
mod rights;
mod server;
mod stories;
mod there;
mod world;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use house::House;
use world::World;

/// Runs, unless somebody says otherwise.
const RUNS: u64 = 2000;

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how much is to be simulated")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs one seed; returns what happened.
async fn run(house: &House, seed: u64) -> Vec<String> {
    let mut world = World::build(house, seed).await;
    // Most of what goes wrong goes wrong early.
    let most = if world.dice.u32(..20) == 0 { 160 } else { 32 };
    let steps = world.dice.usize(8..most);
    let outcome = AssertUnwindSafe(async {
        for _ in 0..steps {
            world.step().await;
        }
        let rounds = world.rest().await;
        world.check(&rounds).await;
        if seed.is_multiple_of(16) {
            world.check_server().await;
        }
    })
    .catch_unwind()
    .await;
    if let Err(panic) = outcome {
        eprintln!("{}\nseed {seed} failed: add it to regressions.txt", world.trace.join("\n"));
        std::panic::resume_unwind(panic);
    }
    world.trace
}

/// Runs every second seed, so that two processes share the work.
fn run_all(parity: u64) {
    let first = variable("SCAIDRIVE_SIM_SEED").map_or(0, |text| text.parse().unwrap());
    let runs = match variable("SCAIDRIVE_SIM_RUNS").as_deref() {
        Some("endless") => u64::MAX - first,
        Some(text) => text.parse().unwrap(),
        None => RUNS,
    };
    runtime().block_on(async {
        let house = House::build().await;
        for seed in (first..first + runs).filter(|seed| seed % 2 == parity) {
            run(&house, seed).await;
        }
    });
}

#[test]
fn all_devices_come_to_agree_and_nothing_is_lost_on_even_seeds() {
    run_all(0);
}

#[test]
fn all_devices_come_to_agree_and_nothing_is_lost_on_odd_seeds() {
    run_all(1);
}

#[test]
fn seeds_that_once_failed_do_not_fail_again() {
    let seeds = include_str!("regressions.txt").lines().filter(|line| !line.starts_with('#'));
    runtime().block_on(async {
        let house = House::build().await;
        for seed in seeds {
            run(&house, seed.parse().unwrap()).await;
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    runtime().block_on(async {
        let house = House::build().await;
        for seed in [1, 2, 3] {
            let (one, other) = (run(&house, seed).await, run(&house, seed).await);
            assert_eq!(one, other);
        }
    });
}
