//! The scenario of every front door, through nginx and beside it.

#[path = "../scenario/files.rs"]
mod files;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use self::files::scenario;
use crate::answers::{Caller, Tally};
use crate::cluster::{Cluster, ran};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Writes every version of every file, each request to whichever api nginx picks.
async fn write(caller: &Caller, share: &str) {
    let mut folders: BTreeMap<String, String> = BTreeMap::new();
    for (path, versions) in scenario() {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (mut parent, mut way) = (None::<String>, String::new());
        for folder in above.split('/').filter(|folder| !folder.is_empty()) {
            way = format!("{way}/{folder}");
            if !folders.contains_key(&way) {
                let body = json!({ "share_id": share, "parent_id": parent, "name": folder });
                folders.insert(way.clone(), id(&caller.post("/folders", &body).await));
            }
            parent = Some(folders[&way].clone());
        }
        let upload = || {
            let form = Form::new().text("share_id", share.to_owned()).text("name", name.to_owned());
            let form = parent.iter().fold(form, |form, id| form.text("folder_id", id.clone()));
            caller
                .request(Method::POST, "/files")
                .multipart(form.part("file", Part::bytes(versions[0].clone())))
        };
        let content = format!("/files/{}/content", id(&caller.insist_on(upload).await));
        for bytes in &versions[1..] {
            caller.insist(|| caller.request(Method::PUT, &content).body(bytes.clone())).await;
        }
    }
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

/// Demands that a share holds every version of every file.
async fn check(caller: &Caller, share: &str) {
    for (path, versions) in scenario() {
        let mut at = "root".to_owned();
        for name in path.split('/') {
            let children = caller.get(&format!("/folders/{at}/children?share_id={share}")).await;
            let child = children["items"].as_array().unwrap().iter().find(|item| item["name"] == name);
            at = id(child.unwrap_or_else(|| panic!("{name} of {path} in {children}")));
        }
        let kept = caller.get(&format!("/files/{at}/versions")).await;
        assert_eq!(kept["versions"].as_array().unwrap().len(), versions.len(), "{path}: {kept}");
        for (number, bytes) in versions.iter().enumerate() {
            let content = format!("/files/{at}/content?version={}", number + 1);
            let got = caller.insist(|| caller.request(Method::GET, &content)).await;
            assert!(got == *bytes, "version {} of {path}", number + 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_through_nginx_is_read_through_every_door() {
    let Some(cluster) = Cluster::open() else { return };
    let (tenant, dir) = (cluster.tenant(), tempfile::tempdir().unwrap());
    let tally = Arc::new(Tally::default());
    let caller = Caller::new(&cluster.url, &tenant.token, &tally);
    let share = caller.share("Written").await;
    write(&caller, &share).await;
    for url in &cluster.apis {
        check(&Caller::new(url, &tenant.token, &tally), &share).await;
    }
    let out = dir.path().join("out");
    cluster.cli(&[
        "--tenant",
        &tenant.id,
        "--user",
        "boss",
        "export",
        out.to_str().unwrap(),
        "--share",
        "Written",
    ]);
    for (path, versions) in scenario() {
        assert!(std::fs::read(out.join(path)).unwrap() == *versions.last().unwrap(), "{path}");
    }
    // And back by the command line, version by version.
    let share = caller.share("Imported").await;
    let longest = scenario().iter().map(|(_, versions)| versions.len()).max().unwrap();
    for round in 0..longest {
        let source = dir.path().join(format!("round {round}"));
        for (path, versions) in scenario() {
            let Some(bytes) = versions.get(round) else { continue };
            std::fs::create_dir_all(source.join(path).parent().unwrap()).unwrap();
            std::fs::write(source.join(path), bytes).unwrap();
        }
        let source = source.to_str().unwrap();
        cluster.cli(&["--tenant", &tenant.id, "--user", "boss", "import", source, "--share", "Imported"]);
    }
    check(&caller, &share).await;
    let counted = tally.take();
    counted.check();
    assert_eq!(counted.failures(), BTreeMap::new());
    cluster.check();
}

#[test]
fn the_quickstart_and_the_example_work_through_nginx() {
    let Some(cluster) = Cluster::open() else { return };
    let (tenant, dir) = (cluster.tenant(), tempfile::tempdir().unwrap());
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- quickstart -->\n```\n").unwrap();
    let (script, _) = rest.split_once("```\n<!-- /quickstart -->").unwrap();
    let run = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.current_dir(dir.path()).env("SCAIDRIVE_URL", &cluster.url).env("TOKEN", &tenant.token);
        ran(command.args(args))
    };
    run("bash", &["-euo", "pipefail", "-c", script]);
    run(root().join("examples/rest_client").to_str().unwrap(), &[]);
}
