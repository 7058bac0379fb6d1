//! The same people, groups, members and entries through every front door: whoever made them, each door shows each
//! user the same tree, with the same rights.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Client;
use reqwest::multipart::{Form, Part};
use scaidrive_embed::{Principal, Right, ScaiDrive, ShareRole, UserId};
use serde_json::{Value, json};

use crate::{Server, cli};

/// A reader through a group, a contributor, and a contributor who is kept out of two folders.
const USERS: [&str; 3] = ["rita", "carl", "fay"];

/// Folder, then the name of a file in it; a folder comes after the one above it.
const FILES: [(&str, &str); 5] = [
    ("", "open.txt"),
    ("docs", "plan.txt"),
    ("docs/secret", "key.txt"),
    ("docs/secret/deep", "deeper.txt"),
    ("drafts", "idea.txt"),
];

/// Path to the bits of the rights, of everything that a user sees.
type View = BTreeMap<String, u64>;

/// Returns what each of [`USERS`] must see.
fn wanted() -> [View; 3] {
    let everybodys = ["/docs", "/docs/plan.txt", "/open.txt"];
    let others = [
        "/docs/secret",
        "/docs/secret/key.txt",
        "/docs/secret/deep",
        "/docs/secret/deep/deeper.txt",
        "/drafts",
        "/drafts/idea.txt",
    ];
    let view = |bits: u64, paths: &[&[&str]]| -> View {
        paths.concat().into_iter().map(|path| (path.to_owned(), bits)).collect()
    };
    [view(1, &[&everybodys, &others]), view(15, &[&everybodys, &others]), view(15, &[&everybodys])]
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    server.json(Client::new().post(format!("{}{path}", server.url)).json(&body)).await
}

/// Makes the files; returns the ids of their folders.
async fn files_through_http(server: &Server, share: &str) -> BTreeMap<&'static str, String> {
    let mut folders: BTreeMap<&str, String> = BTreeMap::new();
    for (folder, name) in FILES {
        if !folder.is_empty() {
            let (above, last) = folder.rsplit_once('/').unwrap_or(("", folder));
            let body = json!({ "share_id": share, "parent_id": folders.get(above), "name": last });
            let made = post(server, "/folders", body).await;
            folders.insert(folder, made["id"].as_str().unwrap().to_owned());
        }
        let mut form = Form::new().text("share_id", share.to_owned()).text("name", name);
        if let Some(id) = folders.get(folder) {
            form = form.text("folder_id", id.clone());
        }
        let form = form.part("file", Part::bytes(name.as_bytes()));
        server.json(Client::new().post(format!("{}/files", server.url)).multipart(form)).await;
    }
    folders
}

async fn through_http(dir: &Path) {
    let server = Server::start(dir);
    let share = post(&server, "/shares", json!({ "name": "S", "share_type": "project" })).await;
    let share = share["id"].as_str().unwrap();
    let folders = files_through_http(&server, share).await;
    for user in USERS {
        post(&server, "/admin/users", json!({ "id": user })).await;
    }
    post(&server, "/admin/groups", json!({ "id": "staff", "name": "Staff" })).await;
    post(&server, "/admin/groups/staff/members", json!({ "user_id": "rita" })).await;
    for (kind, id, role) in
        [("group", "staff", "reader"), ("user", "carl", "contributor"), ("user", "fay", "contributor")]
    {
        let body = json!({ "principal_type": kind, "principal_id": id, "role": role });
        post(&server, &format!("/shares/{share}/members"), body).await;
    }
    let secret = format!("/permissions/acl/folder/{}", folders["docs/secret"]);
    let fence = Client::new().put(format!("{}{secret}/inheritance", server.url));
    server.json(fence.json(&json!({ "inherit_from_parent": false }))).await;
    let entry = |kind: &str, id: &str, ace: &str, rights: &[&str]| json!({ "principal_type": kind, "principal_id": id, "ace_type": ace, "permissions": rights });
    post(&server, &secret, entry("group", "staff", "allow", &["READ"])).await;
    post(&server, &secret, entry("user", "carl", "allow", &["READ", "WRITE", "DELETE", "CREATE"])).await;
    let drafts = format!("/permissions/acl/folder/{}", folders["drafts"]);
    post(&server, &drafts, entry("user", "fay", "deny", &["READ"])).await;
    server.stop();
}

fn through_the_command_line(dir: &Path, source: &Path) {
    for (folder, name) in FILES {
        std::fs::create_dir_all(source.join(folder)).unwrap();
        std::fs::write(source.join(folder).join(name), name).unwrap();
    }
    cli(dir, &["init"]);
    cli(dir, &["share", "create", "S"]);
    cli(dir, &["import", source.to_str().unwrap(), "--share", "S"]);
    for user in USERS {
        cli(dir, &["user", "create", "--id", user]);
    }
    cli(dir, &["group", "create", "Staff", "--id", "staff"]);
    cli(dir, &["group", "add-member", "Staff", "user:rita"]);
    cli(dir, &["member", "add", "S", "group:Staff"]);
    cli(dir, &["member", "add", "S", "user:carl", "--role", "contributor"]);
    cli(dir, &["member", "add", "S", "user:fay", "--role", "contributor"]);
    cli(dir, &["acl", "inherit", "S:/docs/secret", "off"]);
    cli(dir, &["acl", "grant", "S:/docs/secret", "group:staff", "read-only"]);
    cli(dir, &["acl", "grant", "S:/docs/secret", "user:carl", "contribute"]);
    cli(dir, &["acl", "deny", "S:/drafts", "user:fay", "READ"]);
}

async fn through_embedding(dir: &Path) {
    let drive = ScaiDrive::open_dir(dir).await.unwrap();
    let share = drive.create_share("S").await.unwrap();
    for (folder, name) in FILES {
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        share.write_bytes(&path, name).await.unwrap();
    }
    for user in USERS {
        drive.create_user(Some(user.parse().unwrap()), None).await.unwrap();
    }
    let [rita, carl, fay] = USERS.map(|user| Principal::User(user.parse().unwrap()));
    let staff = drive.create_group("Staff").await.unwrap().id;
    drive.add_group_member(&staff, &rita).await.unwrap();
    let staff = Principal::Group(staff);
    share.add_member(&staff, ShareRole::Reader, None).await.unwrap();
    share.add_member(&carl, ShareRole::Contributor, None).await.unwrap();
    share.add_member(&fay, ShareRole::Contributor, None).await.unwrap();
    share.set_inheritance("docs/secret", false, false).await.unwrap();
    share.grant("docs/secret", staff, Right::Read).await.unwrap();
    share.grant("docs/secret", carl, ShareRole::Contributor.rights()).await.unwrap();
    share.deny("drafts", fay, Right::Read).await.unwrap();
    drive.close().await;
}

async fn seen_by_http(server: &Server, dir: &Path, user: &str) -> View {
    let token = cli(dir, &["token", "create", "--user", user]).trim().to_owned();
    let get = async |path: String| {
        let request = Client::new().get(format!("{}{path}", server.url)).bearer_auth(&token);
        let reply = request.send().await.unwrap();
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
        reply.json::<Value>().await.unwrap()
    };
    let shares = get("/shares".to_owned()).await;
    let found = shares["shares"].as_array().unwrap().iter().find(|share| share["name"] == "S");
    let share = found.unwrap()["id"].as_str().unwrap();
    let mut view = View::new();
    let mut folders = vec!["root".to_owned()];
    while let Some(folder) = folders.pop() {
        let children = get(format!("/folders/{folder}/children?share_id={share}")).await;
        for child in children["items"].as_array().unwrap() {
            let (kind, id) = (child["type"].as_str().unwrap(), child["id"].as_str().unwrap());
            let item = get(format!("/{kind}s/{id}")).await;
            let told = get(format!("/permissions/effective?resource_type={kind}&resource_id={id}")).await;
            let bits = told["permissions"].as_u64().unwrap();
            view.insert(item["path"].as_str().unwrap().to_owned(), bits);
            folders.extend((kind == "folder").then(|| id.to_owned()));
        }
    }
    view
}

fn seen_by_the_command_line(dir: &Path, user: &str) -> View {
    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&cli(dir, &[args, &["--json", "--user", user]].concat())).unwrap()
    };
    let list = json(&["ls", "S", "-R"]);
    let row = |item: &Value| {
        let path = item["path"].as_str().unwrap().to_owned();
        let told = json(&["acl", "explain", &format!("S:{path}")]);
        (path, told["permissions"].as_u64().unwrap())
    };
    list["items"].as_array().unwrap().iter().map(row).collect()
}

async fn seen_by_embedding(drive: &ScaiDrive, user: &str) -> View {
    let user: UserId = user.parse().unwrap();
    let share = drive.as_user(&user).await.unwrap().share("S").await.unwrap();
    let mut view = View::new();
    for found in share.walk("/").await.unwrap() {
        let path = found.path.to_string();
        let bits = share.effective(&path).await.unwrap().bits();
        view.insert(path, bits.into());
    }
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_shows_each_user_the_same_house() {
    let dir = tempfile::tempdir().unwrap();
    let [http, command_line, embedding] = ["http", "cli", "embed"].map(|name| dir.path().join(name));
    through_http(&http).await;
    through_the_command_line(&command_line, &dir.path().join("source"));
    through_embedding(&embedding).await;
    for made in [&http, &command_line, &embedding] {
        let server = Server::start(made);
        let drive = ScaiDrive::open_dir(made).await.unwrap();
        for (user, wanted) in USERS.into_iter().zip(wanted()) {
            let shown = made.display();
            assert_eq!(seen_by_http(&server, made, user).await, wanted, "{user} in {shown} by HTTP");
            assert_eq!(seen_by_the_command_line(made, user), wanted, "{user} in {shown} by the command line");
            assert_eq!(seen_by_embedding(&drive, user).await, wanted, "{user} in {shown} by embedding");
        }
        drive.close().await;
        server.stop();
        cli(made, &["fsck"]);
    }
}
