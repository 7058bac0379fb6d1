//! The server's program: reads the command line and the environment, and plays a role.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use scaidrive_core::config::{Config, VARIABLES};
use scaidrive_core::model::Error;
use scaidrive_http::roles::{self, Role};
use scaidrive_http::telemetry::Telemetry;

/// Exit code for a configuration that does not hold.
const MISCONFIGURED: u8 = 2;

/// Where glibc's allocator is tuned; it reads it once, before `main`.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Blocks from 1 MiB on are the kernel's and go back to it at once. Left to itself, glibc raises that bound whenever a
/// larger block is freed, up to 32 MiB, and keeps the parts of uploads: twice the memory (BENCHMARKS.md).
const LARGE_BLOCKS: &str = "glibc.malloc.mmap_threshold=1048576";

fn main() -> ExitCode {
    start_again_tuned();
    let matches = command().get_matches();
    let Some((role, flags)) = matches.subcommand() else { return ExitCode::from(MISCONFIGURED) };
    match play(role_of(role), flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::from(if matches!(error, Error::Config { .. }) { MISCONFIGURED } else { 1 })
        }
    }
}

/// Replaces this process by itself with a tuned allocator, unless it is tuned already or cannot be: then it goes on.
#[cfg(target_env = "gnu")]
fn start_again_tuned() {
    use std::os::unix::process::CommandExt;

    if std::env::var_os(TUNABLES).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let mut arguments = std::env::args_os();
        let mut again = std::process::Command::new(program);
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        // Returns only if it failed.
        let _failure = again.args(arguments).env(TUNABLES, LARGE_BLOCKS).exec();
    }
}

#[cfg(not(target_env = "gnu"))]
fn start_again_tuned() {}

fn play(role: Role, flags: &ArgMatches) -> Result<(), Error> {
    let config = Config::from_lookup(|name| flags.get_one::<String>(name).cloned())?;
    let telemetry = Telemetry::start(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(roles::run(role, config));
    telemetry.stop();
    outcome
}

/// Every variable of the configuration is a flag of every role: `SCAIDRIVE_DATA_DIR` is `--data-dir`.
fn command() -> Command {
    let flags: Vec<Arg> = VARIABLES
        .iter()
        .map(|variable| {
            let flag = variable.name.trim_start_matches("SCAIDRIVE_").to_lowercase().replace('_', "-");
            let help = if variable.default.is_empty() {
                variable.help.to_owned()
            } else {
                format!("{} [default: {}]", variable.help, variable.default)
            };
            Arg::new(variable.name)
                .long(flag)
                .env(variable.name)
                .hide_env_values(true)
                .value_name("VALUE")
                .help(help)
        })
        .collect();
    let role = |name: &'static str, about: &'static str| Command::new(name).about(about).args(flags.clone());
    Command::new("scaidrive-server")
        .about("Enterprise file sync and share: the server")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            role("serve", "Brings the schema up to date, then serves the API and runs jobs in one process"),
            role("api", "Serves the API"),
            role("worker", "Runs jobs"),
            role("migrate", "Brings the schema up to date, then ends"),
        ])
}

fn role_of(name: &str) -> Role {
    match name {
        "api" => Role::Api,
        "worker" => Role::Worker,
        "migrate" => Role::Migrate,
        _ => Role::Serve,
    }
}
