//! One scenario through every front door: HTTP, command line, embedding. Whoever wrote it, the tree, the versions
//! and the bytes are the same, and each door reads what another one wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "scenario/files.rs"]
mod files;
#[path = "scenario/permissions.rs"]
mod permissions;
#[path = "scenario/sync_client.rs"]
mod sync_client;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use reqwest::multipart::{Form, Part};
use scaidrive_embed::ScaiDrive;
use serde_json::{Value, json};

use crate::files::scenario;

/// Path to number of versions, size and checksum of the current one.
type State = BTreeMap<String, (usize, u64, String)>;

async fn state(dir: &Path) -> State {
    let drive = ScaiDrive::open_dir(dir).await.unwrap();
    let share = drive.share("S").await.unwrap();
    let mut state = State::new();
    for found in share.walk("/").await.unwrap() {
        let path = found.path.to_string();
        let (versions, checksum) = match &found.node.file {
            Some(facts) => (share.versions(&path).await.unwrap().len(), facts.checksum.to_string()),
            None => (0, String::new()),
        };
        state.insert(path, (versions, found.node.size(), checksum));
    }
    drive.close().await;
    state
}

/// Returns a program that was built beside this test.
fn program(name: &str) -> PathBuf {
    let dir = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let path = dir.join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}

fn cli(dir: &Path, args: &[&str]) -> String {
    let output =
        Command::new(program("scaidrive")).env("SCAIDRIVE_DATA_DIR", dir).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

struct Server {
    process: Child,
    url: String,
    token: String,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let mut process = Command::new(program("scaidrive-server"))
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .env("SCAIDRIVE_DATA_DIR", dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let first = BufReader::new(process.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let url = first.strip_prefix("ScaiDrive listens on ").unwrap().to_owned() + "/api/v1";
        let token = cli(dir, &["token", "create"]).trim().to_owned();
        Self { process, url, token }
    }

    async fn json(&self, request: reqwest::RequestBuilder) -> Value {
        let reply = request.bearer_auth(&self.token).send().await.unwrap();
        assert!(reply.status().is_success(), "{}", reply.status());
        reply.json().await.unwrap()
    }

    fn stop(mut self) {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    /// A test that fails leaves no process behind; one that was stopped is gone already.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn through_http(dir: &Path) {
    let (server, client) = (Server::start(dir), Client::new());
    let create =
        client.post(format!("{}/shares", server.url)).json(&json!({ "name": "S", "share_type": "project" }));
    let share = server.json(create).await["id"].as_str().unwrap().to_owned();
    let mut folders: BTreeMap<String, String> = BTreeMap::new();
    for (path, versions) in scenario() {
        let (mut above, mut parent) = (String::new(), None::<String>);
        let mut names: Vec<&str> = path.split('/').collect();
        let name = names.pop().unwrap();
        for folder in names {
            above = format!("{above}/{folder}");
            if !folders.contains_key(&above) {
                let body = json!({ "share_id": share, "parent_id": parent, "name": folder });
                let made = server.json(client.post(format!("{}/folders", server.url)).json(&body)).await;
                folders.insert(above.clone(), made["id"].as_str().unwrap().to_owned());
            }
            parent = Some(folders[&above].clone());
        }
        let mut form = Form::new().text("share_id", share.clone()).text("name", name.to_owned());
        if let Some(parent) = parent {
            form = form.text("folder_id", parent);
        }
        let form = form.part("file", Part::bytes(versions[0].clone()));
        let file = server.json(client.post(format!("{}/files", server.url)).multipart(form)).await;
        for bytes in &versions[1..] {
            let url = format!("{}/files/{}/content", server.url, file["id"].as_str().unwrap());
            server.json(client.put(url).body(bytes.clone())).await;
        }
    }
    server.stop();
}

fn through_the_command_line(dir: &Path, scratch: &Path) {
    cli(dir, &["init"]);
    cli(dir, &["share", "create", "S"]);
    let longest = scenario().iter().map(|(_, versions)| versions.len()).max().unwrap();
    for round in 0..longest {
        let source = scratch.join(format!("round {round}"));
        for (path, versions) in scenario() {
            if let Some(bytes) = versions.get(round) {
                let target = source.join(path);
                std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                std::fs::write(target, bytes).unwrap();
            }
        }
        cli(dir, &["import", source.to_str().unwrap(), "--share", "S"]);
    }
}

async fn through_embedding(dir: &Path) {
    let drive = ScaiDrive::open_dir(dir).await.unwrap();
    let share = drive.create_share("S").await.unwrap();
    for (path, versions) in scenario() {
        for bytes in versions {
            share.write_bytes(path, bytes).await.unwrap();
        }
    }
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_leads_to_the_same_house() {
    let dir = tempfile::tempdir().unwrap();
    let [http, command_line, embedding] = ["http", "cli", "embed"].map(|name| dir.path().join(name));
    through_http(&http).await;
    through_the_command_line(&command_line, dir.path());
    through_embedding(&embedding).await;
    let wanted = state(&embedding).await;
    assert_eq!(wanted.len(), 4 + 3, "four files and three folders");
    assert_eq!(wanted["/docs/plan.odt"].0, 3);
    assert_eq!(state(&http).await, wanted);
    assert_eq!(state(&command_line).await, wanted);
    for (number, written) in [&http, &command_line, &embedding].into_iter().enumerate() {
        let out = dir.path().join(format!("out {number}"));
        cli(written, &["export", out.to_str().unwrap(), "--share", "S"]);
        let server = Server::start(written);
        let shares = server.json(Client::new().get(format!("{}/users/me/shares", server.url))).await;
        let share = shares["shares"][0]["id"].as_str().unwrap().to_owned();
        for (path, versions) in scenario() {
            assert!(
                std::fs::read(out.join(path)).unwrap() == *versions.last().unwrap(),
                "{path} by the command line"
            );
            let bytes = read_by_http(&server, &share, path).await;
            assert!(bytes == *versions.last().unwrap(), "{path} by HTTP");
        }
        server.stop();
        cli(written, &["fsck", "--deep"]);
    }
}

async fn read_by_http(server: &Server, share: &str, path: &str) -> Vec<u8> {
    let client = Client::new();
    let mut id = "root".to_owned();
    for name in path.split('/') {
        let url = format!("{}/folders/{id}/children?share_id={share}", server.url);
        let children = server.json(client.get(url)).await;
        let items = children["items"].as_array().unwrap();
        let child = items.iter().find(|item| item["name"] == name).unwrap();
        id = child["id"].as_str().unwrap().to_owned();
    }
    let url = format!("{}/files/{id}/content", server.url);
    client.get(url).bearer_auth(&server.token).send().await.unwrap().bytes().await.unwrap().to_vec()
}

/// Files that are imported beside the running server.
const IMPORTED: usize = 3000;

#[tokio::test(flavor = "multi_thread")]
async fn an_import_beside_a_running_server_starves_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (data, source) = (dir.path().join("data"), dir.path().join("source"));
    for number in 0..IMPORTED {
        let folder = source.join(format!("{}", number % 50));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{number}.txt")), format!("imported {number}")).unwrap();
    }
    let server = std::sync::Arc::new(Server::start(&data));
    // The clients ask for more in a minute than a tenant's usual limits allow.
    let limits = json!({ "settings": { "rate_limit_token": 1_000_000, "rate_limit_user": 1_000_000 } });
    server.json(Client::new().patch(format!("{}/admin/tenant", server.url)).json(&limits)).await;
    let create = json!({ "name": "S", "share_type": "project" });
    let share = server.json(Client::new().post(format!("{}/shares", server.url)).json(&create)).await;
    let share = share["id"].as_str().unwrap().to_owned();
    let import = {
        let data = data.clone();
        let source = source.clone();
        tokio::task::spawn_blocking(move || {
            cli(&data, &["import", source.to_str().unwrap(), "--share", "S", "--to", "in"])
        })
    };
    let clients: Vec<_> = (0..4)
        .map(|client| tokio::spawn(work(std::sync::Arc::clone(&server), share.clone(), client)))
        .collect();
    import.await.unwrap();
    let mut written = 0;
    for client in clients {
        written += client.await.unwrap();
    }
    eprintln!("{written} files were written and read by HTTP beside the import");
    std::sync::Arc::into_inner(server).unwrap().stop();
    let drive = ScaiDrive::open_dir(&data).await.unwrap();
    let found = drive.share("S").await.unwrap().walk("/").await.unwrap();
    let files = found.iter().filter(|found| found.node.file.is_some()).count();
    assert_eq!(files, IMPORTED + written);
    drive.close().await;
    cli(&data, &["fsck", "--deep"]);
}

/// Writes files and reads each one back, as fast as the server lets it; returns how many.
async fn work(server: std::sync::Arc<Server>, share: String, client: usize) -> usize {
    const FILES: usize = 40;
    let http = Client::new();
    for number in 0..FILES {
        let bytes = format!("client {client} file {number}").repeat(1000).into_bytes();
        let form = Form::new().text("share_id", share.clone()).text("name", format!("{client}-{number}"));
        let form = form.part("file", Part::bytes(bytes.clone()));
        let file = server.json(http.post(format!("{}/files", server.url)).multipart(form)).await;
        let url = format!("{}/files/{}/content", server.url, file["id"].as_str().unwrap());
        let got = http.get(url).bearer_auth(&server.token).send().await.unwrap().bytes().await.unwrap();
        assert!(got == bytes, "{client}-{number}");
    }
    FILES
}
