//! The processes of the cluster: killed, stopped and started again by whoever thinks of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What takes longer than this will never be: a test that waits for it tells what it waited for.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until something is so.
pub(crate) fn await_that(what: &str, is_so: impl FnMut() -> bool) {
    await_that_or_tell(is_so, || what.to_owned());
}

/// Waits until something is so, or tells what is not.
pub(crate) fn await_that_or_tell(mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "in vain for {PATIENCE:?}: {}", what());
        std::thread::sleep(LOOK);
    }
}

/// A part of the cluster, by the name of its script and its pid file.
pub(crate) struct Part {
    pub(crate) name: String,
    dir: PathBuf,
}

impl Part {
    pub(crate) fn of(dir: &Path, name: &str) -> Self {
        let part = Self { name: name.to_owned(), dir: dir.to_owned() };
        assert!(part.script().exists(), "{name} is no part of the cluster in {}", dir.display());
        part
    }

    fn script(&self) -> PathBuf {
        self.dir.join(format!("start-{}", self.name))
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join(format!("{}.pid", self.name))
    }

    fn pid(&self) -> Option<String> {
        fs::read_to_string(self.pid_file()).ok().map(|text| text.trim().to_owned())
    }

    /// Tells whether its process runs; one that only waits to be buried does not.
    pub(crate) fn runs(&self) -> bool {
        let Some(home) = self.pid().map(|pid| Path::new("/proc").join(pid)) else { return false };
        let stat = fs::read_to_string(home.join("stat")).unwrap_or_default();
        // The state follows the program's name, which stands in parentheses. Its other threads may outlive the first, and
        // what it listened on lives as long as they.
        let is_first_dead = stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z'));
        let threads = fs::read_dir(home.join("task")).map_or(0, Iterator::count);
        !stat.is_empty() && (!is_first_dead || threads > 1)
    }

    fn signal(&self, signal: &str) {
        self.signal_too(signal, &[]);
    }

    fn signal_too(&self, signal: &str, others: &[String]) {
        let pid = self.pid().unwrap_or_else(|| panic!("{} was never started", self.name));
        let sent = Command::new("kill").arg(signal).arg(pid).args(others).status().unwrap();
        assert!(sent.success(), "{}", self.name);
    }

    /// Returns the processes that it started.
    fn children(&self) -> Vec<String> {
        let home = Path::new("/proc").join(self.pid().unwrap_or_default());
        let tasks = fs::read_dir(home.join("task")).into_iter().flatten().flatten();
        let told = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        told.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Kills it without a warning, and what it started.
    pub(crate) fn kill(&self) {
        self.signal_too("-KILL", &self.children());
        self.await_end();
    }

    /// Asks it to stop.
    pub(crate) fn tell_to_stop(&self) {
        self.signal("-TERM");
    }

    /// Asks it to read its configuration again.
    pub(crate) fn reload(&self) {
        self.signal("-HUP");
    }

    pub(crate) fn await_end(&self) {
        await_that(&format!("the end of {}", self.name), || !self.runs());
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&self) {
        if self.runs() {
            return;
        }
        let mut process =
            Command::new(self.script()).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        fs::write(self.pid_file(), process.id().to_string()).unwrap();
        // It outlives the test; where it ends before, somebody must take note of that.
        std::thread::spawn(move || process.wait());
    }
}
