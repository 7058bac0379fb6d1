//! Rows of batches and conflicts.

use super::{Endpoint, GET, POST, READ, Route, WRITE};
use crate::handlers::apply;

pub(super) fn apply_routes() -> Vec<Route> {
    vec![
        route!(WRITE POST "/api/v1/sync/apply" 2 apply::apply)
            .does("Applies what a device did, each change with its own outcome")
            .takes("Batch")
            .gives(200, "BatchOutcome"),
        route!(READ GET "/api/v1/sync/conflicts" 2 apply::list)
            .does("Returns the caller's conflicts, newest first")
            .reads(&["?device_id", "?share_id", "include_resolved", "limit≤1000", "after"])
            .gives(200, "Conflicts"),
        route!(WRITE POST "/api/v1/sync/conflicts/{id}/resolve" 2 apply::resolve)
            .does("Settles a conflict that waits")
            .reads(&["resolution"])
            .gives(200, "Conflict"),
    ]
}
