//! Starting the program under test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The program under test.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_scaidrive-server"))
}

/// Starts the program, wrapped in another one where a test wants to look over its shoulder.
pub(crate) fn launch(
    dir: &Path,
    settings: &[(String, String)],
    wrapper: &[String],
) -> (Child, String, String, Option<String>) {
    let operators = format!("127.0.0.1:{}", free_port());
    let mut command = match wrapper.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program());
            command
        }
        None => Command::new(program()),
    };
    let log = std::fs::File::options().create(true).append(true).open(dir.join("server.log")).unwrap();
    let mut process = command
        .arg("serve")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("SCAIDRIVE_DATA_DIR", dir)
        .env("SCAIDRIVE_LISTEN", "127.0.0.1:0")
        .env("SCAIDRIVE_METRICS_LISTEN", &operators)
        .envs(settings.iter().cloned())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_else(|| {
        panic!("the server did not start: {}", std::fs::read_to_string(dir.join("server.log")).unwrap())
    });
    let url = first.strip_prefix("ScaiDrive listens on ").unwrap().to_owned();
    // Tokens of an identity provider are not ours to print.
    let fresh =
        !dir.join("started").exists() && !settings.iter().any(|(name, _)| name == "SCAIDRIVE_SCAIKEY_URL");
    std::fs::write(dir.join("started"), "").unwrap();
    let token =
        fresh.then(|| lines.next().unwrap().unwrap().strip_prefix("Admin token: ").unwrap().to_owned());
    (process, url, format!("http://{operators}"), token)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
