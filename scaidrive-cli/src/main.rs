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
    let filter = EnvFilter::new(format!("{},sqlx=warn", session::log_level(&args)));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(&args)) {
        Ok(code) => code.into(),
        Err(failure) => exit::report(&failure, args.verbose).into(),
    }
}
