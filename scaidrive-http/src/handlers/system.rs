//! What the server says about itself.

use hyper::StatusCode;
use scaidrive_core::config::Environment;
use scaidrive_core::model::TenantSettings;
use serde_json::json;

use crate::errors::Failure;
use crate::openapi;
use crate::reply::{self, Answer};
use crate::request::Request;

/// The largest part of a resumable upload, in bytes.
pub(crate) const MAX_UPLOAD_CHUNK: u64 = 5 << 20;

pub(crate) async fn health(_request: Request) -> Answer {
    reply::ok(&json!({ "status": "healthy", "version": env!("CARGO_PKG_VERSION") }))
}

pub(crate) async fn ready(request: Request) -> Answer {
    let (ready, body) = request.app.health.ready().await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::json(status, &body)
}

pub(crate) async fn config(request: Request) -> Answer {
    let off = json!({
        "semantic_search": false, "external_sharing": false, "smb_connector": false, "sharepoint_connector": false,
    });
    let limits = json!({
        "max_file_size_bytes": TenantSettings::default().max_file_size_bytes,
        "max_upload_chunk_size_bytes": MAX_UPLOAD_CHUNK,
    });
    let chunking = request.app.drive.chunking;
    reply::ok(&json!({
        "version": env!("CARGO_PKG_VERSION"), "features": off, "limits": limits, "chunking": chunking,
    }))
}

pub(crate) async fn openapi(_request: Request) -> Answer {
    reply::ok(&*openapi::DOCUMENT)
}

pub(crate) async fn jwks(request: Request) -> Answer {
    let keys = request.app.drive.identity.as_ref().and_then(|identity| identity.jwks());
    reply::ok(&keys.ok_or_else(Failure::no_such_path)?)
}

/// The public address serves metrics in dev only: they tell of every tenant.
pub(crate) async fn metrics(request: Request) -> Answer {
    let app = &request.app;
    if !request.for_operators && app.config.environment == Environment::Production {
        return Err(Failure::no_such_path());
    }
    let text = app.metrics.text(&app.drive).await?;
    Ok(reply::bytes(StatusCode::OK, crate::metrics::CONTENT_TYPE, text))
}
