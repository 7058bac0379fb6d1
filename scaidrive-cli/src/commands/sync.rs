//! `scaidrive sync`: a directory and a share of a server, kept together through the published API.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use scaidrive_client::fs::RealFs;
use scaidrive_client::http::HttpRemote;
use scaidrive_client::model::ShareId;
use scaidrive_client::remote::{Patience, Remote, Retrying};
use scaidrive_client::state::FileLog;
use scaidrive_client::system::Computer;
use scaidrive_client::watch::Watch;
use scaidrive_client::{Controller, Engine, Error, Event, Observer, Options, Ports, Result, Round};
use serde::Serialize;

use super::skipped::{self, Skipped};
use crate::args::{Args, Sync};
use crate::exit::{self, Code};
use crate::output::{Output, printable, size};

/// How long after a server could not be reached at all it is tried again.
const PAUSE: Duration = Duration::from_secs(30);

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Items that changed in the directory.
    changed_here: u64,
    /// Items that changed on the server.
    changed_there: u64,
    /// Bytes of files that were sent; not those that were known there.
    sent_bytes: u64,
    /// Bytes of files that were fetched; not those that were known here.
    received_bytes: u64,
    /// What cannot be synced as it is.
    skipped: Vec<Skipped>,
}

pub(crate) async fn run(args: &Args, what: &Sync) -> exit::Result<Code> {
    let out = Output { json: args.json };
    match sync(args, what).await {
        Ok(Some(summary)) => {
            out.print(&summary, || text(&summary))?;
            Ok(skipped::tell(&summary.skipped, out))
        }
        Ok(None) => Ok(Code::Done),
        Err(error) => Ok(report(&error)),
    }
}

fn text(done: &Summary) -> String {
    format!(
        "in step: {} changes here, {} on the server; {} sent, {} received, {} skipped",
        done.changed_here,
        done.changed_there,
        size(done.sent_bytes),
        size(done.received_bytes),
        done.skipped.len(),
    )
}

/// Returns what was done; nothing where it went on until somebody stopped it.
async fn sync(args: &Args, what: &Sync) -> Result<Option<Summary>> {
    let system = Arc::new(Computer);
    let remote = Arc::new(HttpRemote::new(&what.server, what.token.clone())?);
    let remote: Arc<dyn Remote> = Arc::new(Retrying::new(remote, system.clone(), Patience::default()));
    let fs = open(what)?;
    let share = find_share(&*remote, what).await?;
    let (root, log) = (fs.root().to_owned(), fs.state_folder().join("state.log"));
    let log = Box::new(FileLog::open(&log).map_err(|error| Error::State(error.to_string()))?);
    let teller = Arc::new(Teller::new(args));
    let ports = Ports { remote, fs: Arc::new(fs), system, observer: Arc::<Teller>::clone(&teller) as _ };
    let options = Options {
        device_name: what.device_name.clone().unwrap_or_else(computer),
        strategy: what.conflicts.into(),
        transfers: what.jobs.into(),
        may_delete_many: what.allow_mass_delete,
    };
    let (controller, control) = Controller::new();
    let mut engine = Engine::open(ports, log, share, options, control)?;
    tokio::spawn(listen(controller));
    if what.once {
        let round = engine.settle_or_stop().await?;
        return Ok(Some(teller.summary(&round)));
    }
    // Without a watch, changes here are found by looking now and then.
    let (_watch, nudge) = match Watch::over(&root) {
        Ok((watch, nudge)) => (Some(watch), nudge),
        Err(error) => {
            eprintln!("warning: the directory cannot be watched: {error}");
            (None, tokio::sync::watch::channel(0).1)
        }
    };
    engine.run(nudge, |settled| teller.tell(settled)).await.map(|()| None)
}

/// Finds the share; who goes on until it is stopped may be started before there is a network.
async fn find_share(remote: &dyn Remote, what: &Sync) -> Result<ShareId> {
    loop {
        match share(remote, &what.share).await {
            Err(error) if error.is_passing() && !what.once => eprintln!("waiting: {error}"),
            found => return found,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Finds a share by id or name.
async fn share(remote: &dyn Remote, wanted: &str) -> Result<ShareId> {
    let shares = remote.shares().await?;
    let by_id = shares.iter().find(|share| share.id.as_str() == wanted);
    let mut by_name = shares.iter().filter(|share| share.name == wanted);
    match (by_id, by_name.next(), by_name.next()) {
        (Some(share), _, _) | (None, Some(share), None) => Ok(share.id.clone()),
        (None, Some(_), Some(_)) => {
            Err(Error::NotFound(format!("several shares are called {wanted}; give the id")))
        }
        (None, None, _) => Err(Error::NotFound(format!("share {wanted}"))),
    }
}

fn open(what: &Sync) -> Result<RealFs> {
    RealFs::open(&what.dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::ResourceBusy => Error::Locked,
        _ => Error::local(&[what.dir.display().to_string()].into_iter().collect(), error),
    })
}

/// Returns what this computer calls itself.
fn computer() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "this computer".to_owned() } else { name.to_owned() }
}

/// Does what signals say: `USR1` pauses and lets go on, `TERM` and `INT` end it before its next step.
#[cfg(unix)]
async fn listen(controller: Controller) {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::user_defined1(), SignalKind::terminate(), SignalKind::interrupt()];
    let [Ok(mut toggled), Ok(mut terminated), Ok(mut interrupted)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    let mut is_paused = false;
    loop {
        tokio::select! {
            _ = toggled.recv() => {}
            _ = terminated.recv() => return controller.stop(),
            _ = interrupted.recv() => return controller.stop(),
        }
        is_paused = !is_paused;
        if is_paused {
            eprintln!("paused");
            controller.pause();
        } else {
            eprintln!("going on");
            controller.resume();
        }
    }
}

/// Where there are no signals, only the end of the process stops it.
#[cfg(not(unix))]
async fn listen(controller: Controller) {
    if tokio::signal::ctrl_c().await.is_ok() {
        controller.stop();
    }
}

/// Says what went wrong, and what to do about it; returns the code for it.
fn report(error: &Error) -> Code {
    eprintln!("error: {error}");
    let (code, hint) = match error {
        Error::NotFound(_) | Error::ShareLost => {
            (Code::NotFound, Some("who owns the share can let you in again"))
        }
        Error::Unauthenticated(_) => (Code::Denied, Some("get a new token")),
        Error::Denied(_) | Error::Full(_) => (Code::Denied, None),
        Error::Locked => (Code::Unavailable, None),
        error if error.is_passing() => (Code::Unavailable, Some("try again later")),
        Error::TooManyDeletions { .. } => (Code::Conflict, Some("--allow-mass-delete confirms it")),
        Error::OtherShare(_) | Error::Refused { status: 0, .. } => (Code::Usage, None),
        Error::Stopped => (Code::Failed, Some("it goes on where it stopped when it is started again")),
        _ => (Code::Failed, None),
    };
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    code
}

/// Counts what is done, and shows it to whoever looks.
#[derive(Debug)]
struct Teller {
    verbose: bool,
    bar: ProgressBar,
    here: AtomicU64,
    there: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Teller {
    fn new(args: &Args) -> Self {
        let is_watched = !args.json && std::io::stderr().is_terminal();
        let bar = if is_watched { super::progress::bar(0, false) } else { ProgressBar::hidden() };
        let zero = || AtomicU64::new(0);
        Self { verbose: args.verbose, bar, here: zero(), there: zero(), sent: zero(), received: zero() }
    }

    fn summary(&self, round: &Round) -> Summary {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Summary {
            changed_here: read(&self.here),
            changed_there: read(&self.there),
            sent_bytes: read(&self.sent),
            received_bytes: read(&self.received),
            skipped: round
                .notes
                .iter()
                .map(|note| Skipped::new(note.path.to_string(), note.reason.clone()))
                .collect(),
        }
    }

    /// Tells people how it goes.
    fn tell(&self, settled: &Result<Round>) {
        match settled {
            Ok(round) if round.taken > 0 => {
                let summary = self.summary(round);
                self.bar.suspend(|| println!("{}", text(&summary)));
                for skipped in &summary.skipped {
                    self.bar
                        .suspend(|| eprintln!("skipped: {}: {}", printable(&skipped.path), skipped.reason));
                }
            }
            Err(error) if error.is_passing() => self.bar.suspend(|| eprintln!("waiting: {error}")),
            Ok(_) | Err(_) => {}
        }
    }

    fn say(&self, what: &str, path: &impl ToString) {
        if self.verbose {
            let path = path.to_string();
            self.bar.suspend(|| eprintln!("{what}: {}", printable(&path)));
        }
    }
}

impl Observer for Teller {
    fn event(&self, event: &Event<'_>) {
        let add = |count: &AtomicU64, bytes: u64| {
            count.fetch_add(bytes, Ordering::Relaxed);
        };
        match event {
            Event::Planned { upload_bytes, download_bytes, .. } => {
                self.bar.inc_length(upload_bytes + download_bytes);
            }
            Event::Sent(moved) => {
                add(&self.sent, moved.travelled);
                self.bar.inc(moved.bytes);
            }
            Event::Received(moved) => {
                add(&self.received, moved.travelled);
                self.bar.inc(moved.bytes);
            }
            Event::Here(verb, path) => {
                add(&self.here, 1);
                self.say(&format!("{verb} here"), path);
            }
            Event::There(verb, path) => {
                add(&self.there, 1);
                self.say(&format!("{verb} on the server"), path);
            }
            Event::ServerWentBack => {
                let text = "the server was restored from a backup: what is here is sent again";
                self.bar.suspend(|| eprintln!("warning: {text}"));
            }
        }
    }
}
