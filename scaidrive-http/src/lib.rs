//! Serves the core over HTTP.
