//! The core on real parts: contracts of the ports, races, failures, layers.

mod backends;
mod contracts;
mod failures;
mod layers;
mod races;
mod schema;
mod services;
