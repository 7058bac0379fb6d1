//! A device: a disk that stays, and sessions of the client that come and go.

use std::sync::Arc;

use scaidrive_client::remote::Remote;
use scaidrive_client::state::Store;
use scaidrive_client::{Control, Engine, Error, Options, Ports, Result, Round, Silent, model};
use scaidrive_core::model::UserId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::chance::Fate;
use crate::disk::{Disk, DiskLog, Faults, Power};
use crate::line::{Line, Passage, Waiting};

/// How a session went on when it was let.
pub(crate) enum Progress {
    /// It waits on the line.
    Waiting(&'static str),
    /// It ended by itself.
    Ended(Result<Round>),
    /// Its power failed.
    PowerLost,
}

struct Session {
    task: JoinHandle<Result<Round>>,
    waiting: mpsc::UnboundedReceiver<Waiting>,
    pending: Option<Waiting>,
    power: Arc<Power>,
}

pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) user: UserId,
    pub(crate) disk: Disk,
    pub(crate) is_online: bool,
    server: Arc<dyn Remote>,
    share: model::ShareId,
    session: Option<Session>,
}

impl Device {
    pub(crate) fn new(
        name: String,
        user: UserId,
        (server, share): (Arc<dyn Remote>, model::ShareId),
        disk: Disk,
    ) -> Self {
        Self { name, user, disk, is_online: true, server, share, session: None }
    }

    /// Tells what the session waits for.
    pub(crate) fn waits_for(&self) -> Option<&'static str> {
        self.session.as_ref()?.pending.as_ref().map(|(name, _)| *name)
    }

    /// Starts a session, unless there is one; the disk has these faults then.
    pub(crate) async fn start(&mut self, seed: u64, faults: Faults) -> Progress {
        assert!(self.session.is_none(), "{} has a session already", self.name);
        let power = Power::new(faults);
        let (sender, waiting) = mpsc::unbounded_channel();
        let ports = Ports {
            remote: Arc::new(Line { server: Arc::clone(&self.server), waiting: sender }),
            fs: self.disk.powered(&power),
            system: Arc::new(Fate::new(self.disk.clock.clone(), seed)),
            observer: Arc::new(Silent),
        };
        let log = Box::new(DiskLog { disk: self.disk.clone(), power: Arc::clone(&power) });
        let options = Options { device_name: self.name.clone(), transfers: 1, ..Options::default() };
        let share = self.share.clone();
        let task =
            tokio::spawn(
                async move { Engine::open(ports, log, share, options, Control::free())?.settle().await },
            );
        self.session = Some(Session { task, waiting, pending: None, power });
        self.wait().await
    }

    /// Returns what the client remembers, for whoever has to find out what went wrong.
    pub(crate) fn known(&self) -> String {
        let power = Power::new(Faults::Nothing);
        let store = Store::open(Box::new(DiskLog { disk: self.disk.clone(), power })).unwrap();
        let state = store.state();
        let remote = state.remote.iter().map(|item| format!("there: {item:?}"));
        let synced = state.synced.iter().map(|item| format!("agreed: {item:?}"));
        remote.chain(synced).collect::<Vec<_>>().join("\n")
    }

    /// Lets the session's call pass.
    pub(crate) async fn pass(&mut self, passage: Passage) -> Progress {
        let session = self.session.as_mut().expect("a session");
        let (_, sender) = session.pending.take().expect("a call that waits");
        sender.send(passage).expect("somebody who waits");
        self.wait().await
    }

    /// Waits until the session waits, or ends.
    async fn wait(&mut self) -> Progress {
        let session = self.session.as_mut().expect("a session");
        if let Some(waiting) = session.waiting.recv().await {
            let name = waiting.0;
            session.pending = Some(waiting);
            return Progress::Waiting(name);
        }
        let session = self.session.take().expect("a session");
        let outcome = session.task.await.expect("no panic in the client");
        if session.power.is_gone() { Progress::PowerLost } else { Progress::Ended(outcome) }
    }

    /// The process dies while it waits.
    pub(crate) async fn kill(&mut self) {
        if let Some(session) = self.session.take() {
            session.task.abort();
            assert!(session.task.await.is_err_and(|error| error.is_cancelled()), "it only waited");
        }
    }
}

/// Tells whether a session may end like this: the line was closed, the share taken away, or the disk refused.
pub(crate) fn is_expected(error: &Error) -> bool {
    matches!(
        error,
        Error::Offline(_) | Error::ShareLost | Error::Local { .. } | Error::RootMissing | Error::State(_)
    )
}
