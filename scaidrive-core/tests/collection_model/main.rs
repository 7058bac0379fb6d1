//! A model of the collection protocol (design §5): every order in which writers, removers, collectors, late
//! requests and the clock can interleave, within small bounds. The right protocol loses nothing in any of them;
//! each classic mistake, put in deliberately, is caught.

mod protocol;

use protocol::{Mistake, Protocol, World};
use stateright::{Checker, Model};

/// Returns how many states there are, and whether the checker found a loss.
fn explore(world: World, mistake: Option<Mistake>) -> (usize, bool) {
    let checker = Protocol { world, mistake }.checker().threads(2).spawn_bfs().join();
    let lost = checker.discovery(protocol::NOTHING_IS_LOST).is_some();
    if mistake.is_none() {
        if let Some(path) = checker.discovery(protocol::NOTHING_IS_LOST) {
            panic!("a loss: {path:?}");
        }
        // Were these out of reach, the model would prove nothing.
        let besides: &[&str] = match world {
            World::Contents => &[protocol::HAPPENS_TO_SENDERS],
            World::Sessions => &protocol::HAPPENS_TO_SESSIONS,
        };
        for name in protocol::HAPPENS.iter().chain(besides) {
            assert!(checker.discovery(name).is_some(), "never in the model: {name}");
        }
    }
    (checker.unique_state_count(), lost)
}

#[test]
fn the_protocol_loses_nothing() {
    for world in [World::Contents, World::Sessions] {
        let (states, _) = explore(world, None);
        eprintln!("{world:?}: {states} states");
        assert!(states > 10_000, "only {states} states: the model has become too small to prove anything");
    }
}

#[test]
fn every_classic_mistake_is_caught() {
    for (world, mistake) in Mistake::ALL {
        let (states, lost) = explore(world, Some(mistake));
        eprintln!("{mistake:?}: {}", if lost { "caught" } else { "missed" });
        assert!(lost, "{mistake:?} was not caught in {states} states");
    }
}
