//! One file a command; each talks to the services of the core and prints what they say.

mod acl;
mod audit;
mod config;
mod export;
mod fsck;
mod gc;
mod groups;
mod import;
mod init;
mod jobs;
mod ls;
mod members;
mod owner;
mod places;
mod principals;
mod progress;
mod quotas;
mod restore;
mod shares;
mod skipped;
mod stats;
mod sync;
mod tenants;
mod token;
mod users;

use scaidrive_core::services::journal;

use crate::args::{Args, Backup, Command, Restore};
use crate::exit::{Code, Result};
use crate::session::Session;

/// Runs the command of a command line.
pub(crate) async fn run(args: &Args) -> Result<Code> {
    match &args.command {
        Command::Config(command) => return config::run(args, command),
        Command::Sync(what) => return sync::run(args, what).await,
        Command::Init | Command::Migrate => {
            let session = Session::open_new(args).await?;
            let outcome = match args.command {
                Command::Init => init::init(&session).await,
                _ => init::migrate(&session).await,
            };
            return close(&session, outcome).await;
        }
        _ => {}
    }
    let session = Session::open(args).await?;
    let outcome = on_a_drive(&session, args).await;
    close(&session, outcome).await
}

async fn on_a_drive(session: &Session, args: &Args) -> Result<Code> {
    match &args.command {
        Command::Token(command) => token::run(session, args, command).await,
        Command::Tenant(command) => tenants::run(session, args, command).await,
        Command::User(command) => users::run(session, args, command).await,
        Command::Group(command) => groups::run(session, args, command).await,
        Command::Share(command) => shares::run(session, args, command).await,
        Command::Member(command) => members::run(session, args, command).await,
        Command::Acl(command) => acl::run(session, args, command).await,
        Command::Restore(Restore::Finish) => restore::finish(session).await,
        Command::Jobs(command) => jobs::run(session, command).await,
        Command::Owner(what) => owner::run(session, args, what).await,
        Command::Import(what) => import::run(session, args, what).await,
        Command::Export(what) => export::run(session, args, what).await,
        Command::Ls(what) => ls::run(session, args, what).await,
        Command::Stats => stats::run(session, args).await,
        Command::Gc(what) => gc::run(session, args, what).await,
        Command::Fsck(what) | Command::Backup(Backup::Verify(what)) => fsck::run(session, args, what).await,
        Command::Audit(command) => audit::run(session, args, command).await,
        Command::Quota(command) => quotas::run(session, args, command).await,
        Command::Init | Command::Migrate | Command::Config(_) | Command::Sync(_) => Ok(Code::Done),
    }
}

/// Lets the drive finish what is under way.
async fn close(session: &Session, outcome: Result<Code>) -> Result<Code> {
    journal::flush(&session.drive).await?;
    session.drive.meta.close().await;
    outcome
}
