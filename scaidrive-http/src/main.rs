//! Serves ScaiDrive over HTTP.
fn main() {}
