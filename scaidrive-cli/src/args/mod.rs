//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use scaidrive_core::model::JobId;

use crate::exit;

mod access;
mod people;
mod sync;

pub(crate) use access::{Acl, Entry, Member, Owner};
pub(crate) use people::{Group, Tenant, User};
pub(crate) use sync::Sync;

/// Administers ScaiDrive: on a data directory, or on the production configuration of the environment.
#[derive(Debug, Parser)]
#[command(name = "scaidrive", version, after_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Args {
    /// Directory of an embedded drive
    #[arg(long, global = true, env = "SCAIDRIVE_DATA_DIR", hide_env_values = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Tenant to work in, by id or name [default: the first]
    #[arg(long, global = true, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// User to act as
    #[arg(long, global = true, value_name = "USER", default_value = "admin")]
    pub(crate) user: String,
    /// Print one JSON document instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show causes of failures, and the log
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a drive, its first tenant and its administrator; does nothing where they are there
    Init,
    /// Bring the database's schema up to date
    Migrate,
    /// Make bearer tokens of the embedded issuer
    #[command(subcommand)]
    Token(Token),
    /// Create, list and change tenants
    #[command(subcommand)]
    Tenant(Tenant),
    /// Create, list and change users
    #[command(subcommand)]
    User(User),
    /// Create, list and change groups
    #[command(subcommand)]
    Group(Group),
    /// Create, list and hand over shares
    #[command(subcommand)]
    Share(Share),
    /// Say who is what in a share
    #[command(subcommand)]
    Member(Member),
    /// Say who may do what to a share, folder or file, and why
    #[command(subcommand)]
    Acl(Acl),
    /// Charge another user for a folder or file; nobody's rights change
    Owner(Owner),
    /// Copy a directory or file into a share
    Import(Import),
    /// Copy a share or a folder of it into a directory
    Export(Export),
    /// Keep a directory and a share of a server together
    Sync(Sync),
    /// List a folder
    Ls(Ls),
    /// Show what is used, logically and in the store
    Stats,
    /// Remove chunks that nothing needs any more
    Gc(Gc),
    /// Check that everything the database names is there, and every count exact
    Fsck(Fsck),
    /// Look at background work, and decide about what failed too often
    #[command(subcommand)]
    Jobs(Jobs),
    /// Look at the audit, and check that nobody changed it
    #[command(subcommand)]
    Audit(Audit),
    /// Set and show how much may be used
    #[command(subcommand)]
    Quota(Quota),
    /// Look whether what a backup must hold is there
    #[command(subcommand)]
    Backup(Backup),
    /// Make a restored database fit to be used
    #[command(subcommand)]
    Restore(Restore),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
}

/// Looks at background work.
#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// List jobs that wait or run, 1,000 at a time
    List {
        /// Those that failed too often instead
        #[arg(long)]
        dead: bool,
        /// Only what comes after this job
        #[arg(long, value_name = "ID")]
        after: Option<JobId>,
    },
    /// Try dead jobs again, as often as new ones
    Retry {
        /// Which
        #[arg(required = true, value_name = "ID")]
        ids: Vec<JobId>,
    },
    /// Remove dead jobs: what they were to do stays undone
    Drop {
        /// Which
        #[arg(required = true, value_name = "ID")]
        ids: Vec<JobId>,
    },
}

/// Makes tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Print a token for the user given with --user
    Create {
        /// What the token allows: files:read, files:write, tenant:admin, partner:admin, admin:*, *
        #[arg(long = "scope", value_name = "SCOPE", default_values_t = [String::from("*")])]
        scopes: Vec<String>,
        /// How long it is good: 90s, 15m, 24h, 7d
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        lifetime: String,
    },
}

/// Creates, lists and hands over shares.
#[derive(Debug, Subcommand)]
pub(crate) enum Share {
    /// Create a share
    Create {
        /// Its name
        name: String,
        /// What it is for: central, personal, project
        #[arg(long = "type", default_value = "project", value_name = "TYPE")]
        share_type: String,
        /// Who owns it [default: who acts]
        #[arg(long)]
        owner: Option<String>,
        /// What it is for, in words
        #[arg(long)]
        description: Option<String>,
        /// Hard limit in bytes
        #[arg(long)]
        quota_bytes: Option<u64>,
    },
    /// List the shares that the user can see
    List,
    /// Hand a share over: the rights of its owner so far end
    Transfer {
        /// Share, by name or id
        share: String,
        /// New owner: user:ID, group:ID, or the id alone
        owner: String,
    },
}

/// Copies a directory or file into a share.
#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// Directory whose content is imported, or one file
    pub(crate) source: PathBuf,
    /// Share, by name or id
    #[arg(long)]
    pub(crate) share: String,
    /// Folder in the share, made where it is missing
    #[arg(long, default_value = "/", value_name = "PATH")]
    pub(crate) to: String,
    /// Batches of small files, and large files, on their way at once
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) jobs: u8,
    /// Read every file, even where size and time say that it did not change
    #[arg(long)]
    pub(crate) checksum: bool,
}

/// Copies a share or folder into a directory.
#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Directory to fill, made where it is missing
    pub(crate) target: PathBuf,
    /// Share, by name or id
    #[arg(long)]
    pub(crate) share: String,
    /// Folder in the share
    #[arg(long, default_value = "/", value_name = "PATH")]
    pub(crate) from: String,
    /// Write every file, even where size and time say that it is there
    #[arg(long)]
    pub(crate) checksum: bool,
}

/// Lists a folder.
#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// SHARE or SHARE:/PATH, the share by name or id
    pub(crate) place: String,
    /// Everything below, too
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
    /// What is in the folder's trash, too
    #[arg(long)]
    pub(crate) deleted: bool,
}

/// Collects chunks.
#[derive(Debug, ClapArgs)]
pub(crate) struct Gc {
    /// Only tell what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Keep what was needed more recently than this [default: SCAIDRIVE_GC_GRACE]
    ///
    /// A shorter grace than the configured one needs --force.
    #[arg(long, value_name = "DURATION")]
    pub(crate) grace: Option<String>,
    /// Accept a shorter grace than the configured one
    ///
    /// Safe only while nothing writes, no server runs, and no older backup of the database will be restored.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Checks.
#[derive(Debug, ClapArgs)]
pub(crate) struct Fsck {
    /// Read every chunk and compare its hash, too
    #[arg(long)]
    pub(crate) deep: bool,
}

/// Looks at a backup that was restored elsewhere.
#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Check that every chunk that the database names is in the store, and every count exact
    Verify(Fsck),
}

/// Ends a restore.
#[derive(Debug, Subcommand)]
pub(crate) enum Restore {
    /// Run once after a restore or a lossy failover, before clients come: they will look at everything anew
    Finish,
}

/// Looks at the audit.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Print the latest events
    List {
        /// Only of this user
        #[arg(long, value_name = "USER")]
        by: Option<String>,
        /// Only of this action, such as file.create
        #[arg(long)]
        action: Option<String>,
        /// Only about this thing
        #[arg(long, value_name = "ID")]
        about: Option<String>,
        /// Not before this time, such as 2026-11-24T10:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Write every event with its seal, oldest first
    Export {
        /// csv or ndjson
        #[arg(long, default_value = "ndjson")]
        format: String,
        /// File to write [default: standard output]
        file: Option<PathBuf>,
    },
    /// Print where the chain of seals ends: keep it elsewhere
    Head,
    /// Seal what waits, then check the whole chain; exit code 4 where it does not hold
    Verify {
        /// A head that was kept, NUMBER:MAC; needs --tenant where there are several
        #[arg(long)]
        head: Option<String>,
    },
}

/// Sets and shows quotas. A target reads `tenant`, `share:NAME`, `user:ID` or `group:ID`.
#[derive(Debug, Subcommand)]
pub(crate) enum Quota {
    /// Show a quota
    Show {
        /// Whose
        target: String,
    },
    /// Set a quota
    Set {
        /// Whose
        target: String,
        /// Bytes, with K, M, G, T for powers of 1024; `none` for no limit
        limit: String,
        /// Let it be passed a little, for a while
        #[arg(long)]
        soft: bool,
    },
    /// Remove a quota
    Remove {
        /// Whose
        target: String,
    },
    /// Say that a quota is not applied, or that it is again
    Exempt {
        /// Whose
        target: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Apply it again
        #[arg(long)]
        off: bool,
    },
    /// Show what the tenant and its users use
    Usage {
        /// Count everything anew, and mend the books if they are wrong
        #[arg(long)]
        recalculate: bool,
    },
}

/// Looks at the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print every variable with its effective value, secrets masked, and every fault
    Check,
}
