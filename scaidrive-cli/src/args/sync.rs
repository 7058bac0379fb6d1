//! The command line of `scaidrive sync`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use scaidrive_client::http::Token;
use scaidrive_client::remote::Strategy;

/// Keeps a directory and a share of a server together.
///
/// What is remembered of the directory lies in `.scaidrive` in it; `.scaidriveignore` names what is left out. The signal
/// USR1 pauses it and lets it go on.
#[derive(Debug, ClapArgs)]
pub(crate) struct Sync {
    /// Directory, made where it is missing
    pub(crate) dir: PathBuf,
    /// Share, by name or id
    #[arg(long)]
    pub(crate) share: String,
    /// Address of the server, such as `https://drive.example.com`
    #[arg(long, env = "SCAIDRIVE_SERVER", value_name = "URL")]
    pub(crate) server: String,
    /// Bearer token; better given in the environment, where other users do not see it
    #[arg(long, env = "SCAIDRIVE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Token,
    /// End as soon as both sides agree
    #[arg(long)]
    pub(crate) once: bool,
    /// What this device is called in the names of conflict copies [default: the computer's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) device_name: Option<String>,
    /// What becomes of a file that was changed here and there
    #[arg(long, value_enum, default_value_t = Conflicts::KeepBoth)]
    pub(crate) conflicts: Conflicts,
    /// Delete on the server what is gone here, even if that is more than 100 files and more than half of them all
    #[arg(long)]
    pub(crate) allow_mass_delete: bool,
    /// Transfers on their way at once
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) jobs: u8,
}

/// What becomes of a file that was changed on both sides. No way loses anything.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Conflicts {
    /// Both are kept, one under another name
    KeepBoth,
    /// The later one counts; the other is in the history
    LastWriterWins,
    /// The one from here counts
    ClientWins,
    /// The server's counts
    ServerWins,
}

impl From<Conflicts> for Strategy {
    fn from(conflicts: Conflicts) -> Self {
        match conflicts {
            Conflicts::KeepBoth => Self::KeepBoth,
            Conflicts::LastWriterWins => Self::LastWriterWins,
            Conflicts::ClientWins => Self::ClientWins,
            Conflicts::ServerWins => Self::ServerWins,
        }
    }
}
