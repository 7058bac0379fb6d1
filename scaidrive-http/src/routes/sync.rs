//! Rows of sync: the feed, snapshots, devices and how far they are.

use super::{DELETE, Endpoint, GET, POST, PUT, READ, Route, WRITE};
use crate::handlers::sync;

pub(super) fn sync_routes() -> Vec<Route> {
    vec![
        route!(READ GET "/api/v1/sync/changes" 2 sync::changes)
            .does("Returns what changed after a cursor, or waits for it")
            .reads(&["cursor", "?share_id", "limit≤5000", "wait"])
            .gives(200, "Changes"),
        route!(READ GET "/api/v1/sync/snapshot" 5 sync::snapshot)
            .does("Returns a cursor, and then all a share holds, a line each")
            .reads(&["share_id"])
            .gives(200, "ndjson"),
        route!(READ GET "/api/v1/sync/devices" 2 sync::devices)
            .does("Returns the caller's devices")
            .gives(200, "Devices"),
        route!(WRITE POST "/api/v1/sync/devices" 2 sync::register)
            .does("Registers a device, or changes what is said of it (200)")
            .takes("NewDevice")
            .gives(201, "Device")
            .again("device_id", |caller, request| Box::pin(sync::device(caller, request))),
        route!(WRITE DELETE "/api/v1/sync/devices/{device_id}" 2 sync::remove)
            .does("Removes a device with its cursors")
            .gives(204, ""),
        route!(READ GET "/api/v1/sync/status" 1 sync::status)
            .does("Returns how a device stands in a share")
            .reads(&["share_id", "device_id"])
            .gives(200, "SyncStatus"),
        route!(WRITE POST "/api/v1/sync/cursor" 2 sync::set_cursor)
            .does("Says how far a device is in a share")
            .reads(&["share_id", "device_id", "position"])
            .gives(200, "Cursor"),
        route!(READ GET "/api/v1/sync/preferences" 1 sync::preferences)
            .does("Returns what a device wants to have of a share")
            .reads(&["share_id", "device_id"])
            .gives(200, "SyncPreferences"),
        route!(WRITE PUT "/api/v1/sync/preferences" 2 sync::set_preferences)
            .does("Says what a device wants to have of a share")
            .reads(&["share_id", "device_id"])
            .takes("SyncPreferences")
            .gives(200, "SyncPreferences"),
        route!(socket READ "/api/v1/sync/ws/{device_id}" 2 sync::follow)
            .does("Becomes a socket that tells a device of changes in every share of its user")
            .reads(&["token"])
            .gives(101, ""),
        route!(socket READ "/api/v1/realtime/ws" 2 sync::watch)
            .does("Becomes a socket that tells what goes on in the shares that its client names")
            .reads(&["token"])
            .gives(101, ""),
    ]
}
