//! Embeds ScaiDrive in a host program.
