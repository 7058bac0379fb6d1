//! Rows of delta transfer.

use super::{Endpoint, GET, POST, PUT, READ, Route, WRITE};
use crate::frames;
use crate::handlers::delta;

pub(super) fn delta_routes() -> Vec<Route> {
    vec![
        route!(READ GET "/api/v1/sync/manifest/{file_id}" 1 delta::manifest)
            .does("Returns how a file is cut into chunks")
            .reads(&["version"])
            .gives(200, "Manifest"),
        route!(READ POST "/api/v1/sync/chunks/check" 1 delta::check)
            .does("Tells which chunks must be sent")
            .takes("ChunkQuestion")
            .gives(200, "MissingChunks"),
        route!(WRITE PUT "/api/v1/sync/chunks/{sha256}" 1 delta::put_chunk)
            .does("Takes a chunk, which the sender may name for 24 hours; 200 if it was sent before")
            .reads(&["share_id"])
            .takes("bytes")
            .by_bytes(0)
            .gives(201, "SentChunk"),
        route!(WRITE POST "/api/v1/sync/chunks" 1 delta::put_chunks)
            .does(
                "Takes many chunks: SHA-256 (32 bytes), length (32 bits, big endian), bytes, repeated; at most \
                 64 MiB and 65,536 frames. Frames before one that is cut off are kept, and the answer is 400",
            )
            .reads(&["share_id"])
            .takes("bytes")
            .by_bytes(frames::MOST_BYTES)
            .gives(200, "SentChunks"),
        route!(READ POST "/api/v1/sync/fetch" 1 delta::fetch)
            .does(
                "Returns the contents of files in the same framing and in the order asked for, each under its \
                 checksum; 36 zero bytes stand for one that is not there, not for the caller, or of 4 GiB and more",
            )
            .takes("FileIds")
            .by_bytes(0)
            .gives(200, "bytes"),
        route!(READ GET "/api/v1/sync/download/{file_id}" 1 delta::download)
            .does("Returns a file's bytes; `range_start` and `range_end`, which counts, say which")
            .reads(&["version", "range_start", "range_end", "Range", "If-None-Match", "If-Range"])
            .by_bytes(0)
            .gives(200, "bytes"),
    ]
}
