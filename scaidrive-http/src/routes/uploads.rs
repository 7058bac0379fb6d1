//! Rows of resumable uploads.

use super::{DELETE, Endpoint, GET, POST, PUT, READ, Route, WRITE};
use crate::handlers::uploads;

pub(super) fn upload_routes() -> Vec<Route> {
    vec![
        route!(WRITE POST "/api/v1/uploads" 2 uploads::create)
            .does("Begins an upload in parts")
            .takes("NewUpload")
            .gives(201, "UploadCreated")
            .again("session_id", |caller, request| Box::pin(uploads::created(caller, request))),
        route!(READ GET "/api/v1/uploads/{session_id}" 1 uploads::get)
            .does("Returns where an upload stands, and which parts are missing")
            .gives(200, "UploadStatus"),
        route!(WRITE DELETE "/api/v1/uploads/{session_id}" 2 uploads::abort)
            .does("Gives an upload up")
            .gives(204, ""),
        route!(WRITE PUT "/api/v1/uploads/{session_id}/chunks/{index}" 5 uploads::put_part)
            .does("Stores a part; parts may come in any order, at once and again")
            .reads(&["X-Chunk-SHA256"])
            .takes("bytes")
            .gives(200, "UploadPart"),
        route!(WRITE POST "/api/v1/uploads/{session_id}/complete" 5 uploads::complete)
            .does("Makes the file; asking again answers the same")
            .gives(200, "UploadCompleted"),
    ]
}
