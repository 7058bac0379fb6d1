//! The program, as people and scripts use it: real processes on data directories of their own.

mod commands;
mod program;
mod transfer;
