//! `scaidrive`: administers a drive from a terminal, directly through the core.

mod args;
mod commands;
mod exit;
mod output;
mod session;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    let level = if args.verbose { "info,sqlx=warn" } else { "error" };
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(&args)) {
        Ok(code) => code.into(),
        Err(error) => exit::report(&error, args.verbose).into(),
    }
}
