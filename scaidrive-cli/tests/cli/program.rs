//! The program under test on a data directory of its own.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A drive of a test.
pub(crate) struct Drive {
    pub(crate) dir: tempfile::TempDir,
    settings: Vec<(String, String)>,
}

impl Drive {
    /// Makes a drive on SQLite and local files, with a share named `S`.
    pub(crate) fn new() -> Self {
        Self::with(Vec::new())
    }

    /// Makes a drive with these variables set.
    pub(crate) fn with(settings: Vec<(String, String)>) -> Self {
        let drive = Self { dir: tempfile::tempdir().unwrap(), settings };
        drive.run(&["init"]).done();
        drive.run(&["share", "create", "S"]).done();
        drive
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let output = program(&[])
            .env("SCAIDRIVE_DATA_DIR", self.path("drive"))
            .envs(self.settings.iter().cloned())
            .args(args)
            .output()
            .unwrap();
        Ran(output)
    }

    /// Runs a command with `--json` and returns what it printed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(&[args, &["--json"]].concat());
        serde_json::from_slice(&ran.0.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }
}

/// Returns the program with an empty environment.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scaidrive"));
    command.env_clear().args(args);
    command
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    /// Asserts that it went well; returns what it printed.
    pub(crate) fn done(self) -> String {
        self.ended(0)
    }

    /// Asserts how it ended; returns both outputs.
    pub(crate) fn ended(self, code: i32) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&self.0.stdout), text(&self.0.stderr));
        assert_eq!(self.0.status.code(), Some(code), "{out}\n{err}");
        out + &err
    }
}
