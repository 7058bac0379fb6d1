//! The world behind the ports: databases, object stores, clocks, fan-out, the token issuer.

#[cfg(feature = "blobs")]
pub mod blobs;
#[cfg(feature = "issuer")]
pub mod issuer;
pub mod limiter;
pub mod local;
#[cfg(feature = "oidc")]
pub mod oidc;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "scaisend")]
pub mod scaisend;
#[cfg(feature = "sql")]
pub mod sql;
