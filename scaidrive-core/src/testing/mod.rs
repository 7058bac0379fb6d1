//! Contract suites for every port, builders, a fixed clock, faulty stores.
