//! Administers a ScaiDrive from a terminal.
