//! The processes: a server on a drive of its own, or a cluster that is there, and the devices that sync with it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::cluster::{Cluster, Part, ran, variable};
use crate::line::Line;

/// Returns one of the programs, as they were built beside this test or as it was told.
fn program(name: &str) -> Command {
    let here = Path::new(env!("CARGO_BIN_EXE_scaidrive")).with_file_name(name);
    let path = variable("SCAIDRIVE_TEST_PROGRAMS").map_or(here, |dir| Path::new(&dir).join(name));
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first", path.display());
    let mut command = Command::new(path);
    command.env_clear().env("PATH", variable("PATH").unwrap_or_default());
    command
}

/// A process that may be killed and started again, by whoever thinks of it.
#[derive(Default)]
struct Process(Mutex<Option<Child>>);

impl Process {
    fn set(&self, child: Child) {
        assert!(self.0.lock().unwrap().replace(child).is_none(), "it runs already");
    }

    /// Kills it without a warning.
    fn kill(&self) {
        if let Some(mut child) = self.0.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks it to stop, and waits until it has; it must end well, or what it said is told.
    fn stop(&self, log: &Path) {
        let Some(mut child) = self.0.lock().unwrap().take() else { return };
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        let ended = child.wait().unwrap();
        let said = fs::read_to_string(log).unwrap();
        let last: Vec<&str> = said.lines().rev().take(20).collect();
        assert!(ended.success(), "{ended}; the last it said, backwards: {last:#?}");
    }
}

impl Drop for Process {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        if let Some(child) = self.0.get_mut().ok().and_then(Option::as_mut) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A server and two devices, in one temporary directory.
pub(crate) struct House {
    // First, so that they end before the directory goes.
    server: Process,
    /// The cluster that is there in the place of the server, and how many of its parts were killed.
    cluster: Option<(Cluster, AtomicUsize)>,
    pub(crate) first: Device,
    pub(crate) second: Device,
    port: Arc<AtomicU16>,
    dir: tempfile::TempDir,
}

impl House {
    /// Returns a house at the cluster that the tests are told of, or else one with a server of its own.
    pub(crate) fn new() -> Self {
        if variable("SCAIDRIVE_CLUSTER").is_some() { Self::at_a_cluster() } else { Self::alone() }
    }

    fn at_a_cluster() -> Self {
        let (dir, cluster) = (tempfile::tempdir().unwrap(), Cluster::open().unwrap());
        let tenant = cluster.tenant();
        cluster.cli(&["--tenant", &tenant.id, "--user", "boss", "share", "create", "S"]);
        let port = Arc::new(AtomicU16::new(cluster.url.rsplit(':').next().unwrap().parse().unwrap()));
        let device = |name| Device::new(name, dir.path(), &tenant.token, Line::open(Arc::clone(&port)));
        let (first, second) = (device("first"), device("second"));
        let cluster = Some((cluster, AtomicUsize::new(0)));
        Self { server: Process::default(), cluster, first, second, port, dir }
    }

    fn alone() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        ran(admin(&data).args(["init"]));
        ran(admin(&data).args(["share", "create", "S"]));
        // Devices that do so much in a minute are not what limits are for here.
        for limit in ["token", "user", "tenant"] {
            ran(admin(&data).args(["tenant", "set", &format!("rate_limit_{limit}=10000000")]));
        }
        let token = ran(admin(&data).args(["token", "create"])).trim().to_owned();
        let port = Arc::new(AtomicU16::new(0));
        let device = |name| Device::new(name, dir.path(), &token, Line::open(Arc::clone(&port)));
        let (first, second) = (device("first"), device("second"));
        let house = Self { server: Process::default(), cluster: None, first, second, port, dir };
        house.start_server();
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn devices(&self) -> impl Iterator<Item = &Device> {
        [&self.first, &self.second].into_iter()
    }

    pub(crate) fn start_server(&self) {
        if let Some((cluster, killed)) = &self.cluster {
            return Self::next_api(cluster, killed.fetch_add(1, Ordering::SeqCst)).start();
        }
        let mut child = program("scaidrive-server")
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .env("SCAIDRIVE_DATA_DIR", self.path("data"))
            .stdout(Stdio::piped())
            .stderr(log(self.dir.path(), "server"))
            .spawn()
            .unwrap();
        let first = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let port = first.rsplit(':').next().unwrap().parse().unwrap();
        self.port.store(port, Ordering::SeqCst);
        self.server.set(child);
    }

    pub(crate) fn kill_server(&self) {
        match &self.cluster {
            Some((cluster, killed)) => Self::next_api(cluster, killed.load(Ordering::SeqCst)).kill(),
            None => self.server.kill(),
        }
    }

    /// Returns the api whose turn it is.
    fn next_api(cluster: &Cluster, killed: usize) -> Part {
        cluster.part(["api-1", "api-2", "api-3"][killed % 3])
    }

    /// Demands that `diff` finds nothing.
    pub(crate) fn diff(&self) {
        let mut diff = Command::new("diff");
        diff.args(["-r", "--no-dereference", "-x", ".scaidrive"]).args([self.first.dir(), self.second.dir()]);
        assert_eq!(ran(&mut diff), "");
    }

    /// Stops the server, and checks what it holds; a cluster goes on meanwhile.
    pub(crate) fn fsck(&self) {
        if let Some((cluster, _)) = &self.cluster {
            return cluster.check();
        }
        self.server.stop(&self.path("server.log"));
        ran(admin(&self.path("data")).args(["fsck", "--deep"]));
    }
}

fn admin(data: &Path) -> Command {
    let mut command = program("scaidrive");
    command.env("SCAIDRIVE_DATA_DIR", data);
    command
}

fn log(dir: &Path, name: &str) -> File {
    File::options().create(true).append(true).open(dir.join(format!("{name}.log"))).unwrap()
}

/// A directory that is synced, by a process of its own.
pub(crate) struct Device {
    process: Process,
    pub(crate) name: &'static str,
    pub(crate) line: Line,
    dir: PathBuf,
    token: String,
    logs: PathBuf,
}

impl Device {
    fn new(name: &'static str, beside: &Path, token: &str, line: Line) -> Self {
        let dir = beside.join(name);
        std::fs::create_dir(&dir).unwrap();
        Self {
            process: Process::default(),
            name,
            line,
            dir,
            token: token.to_owned(),
            logs: beside.to_owned(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn command(&self) -> Command {
        let mut command = program("scaidrive");
        command
            .arg("sync")
            .arg(&self.dir)
            .args([
                "--share",
                "S",
                "--device-name",
                self.name,
                "--server",
                &self.line.url(),
                "--allow-mass-delete",
            ])
            .env("SCAIDRIVE_TOKEN", &self.token);
        command
    }

    pub(crate) fn start(&self) {
        let (out, err) = (log(&self.logs, self.name), log(&self.logs, self.name));
        self.process.set(self.command().stdout(out).stderr(err).spawn().unwrap());
    }

    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    pub(crate) fn stop(&self) {
        self.process.stop(&self.logs.join(format!("{}.log", self.name)));
    }

    /// Syncs once more; returns what was done.
    pub(crate) fn sync_once(&self) -> Value {
        serde_json::from_str(&ran(self.command().args(["--once", "--json"]))).unwrap()
    }
}
