//! The HTTP API, through a real server.
