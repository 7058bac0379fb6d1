//! Checks that what the rows say is so.
