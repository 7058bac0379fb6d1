//! The embedding API, as a host program uses it.
