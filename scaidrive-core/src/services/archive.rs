//! Archives of a folder, streamed as they are made.
