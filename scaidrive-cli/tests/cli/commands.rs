//! Every command but the transfers: what it prints, and how it ends.

use scaidrive_core::model::SharePath;
use scaidrive_core::services::access::Right;
use scaidrive_core::services::{paths, tenants, trash};
use serde_json::Value;

use crate::program::{Drive, Ran, program};

#[test]
fn init_makes_a_drive_once() {
    let drive = Drive::new();
    let first = drive.json(&["tenant", "list"]);
    assert_eq!(first["total"], 1);
    assert_eq!(drive.json(&["init"])["created"], false);
    assert_eq!(drive.json(&["tenant", "list"]), first);
    assert!(drive.run(&["migrate"]).done().contains("up to date"));
}

#[test]
fn without_a_drive_nothing_is_made_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("no drive");
    for command in
        [&["ls", "S"][..], &["stats"], &["gc"], &["fsck"], &["share", "list"], &["token", "create"]]
    {
        let output = program(command).env("SCAIDRIVE_DATA_DIR", &place).output().unwrap();
        assert!(Ran(output).ended(2).contains("scaidrive init"));
    }
    assert!(!place.exists());
}

#[test]
fn tenants_users_and_shares_are_made_and_listed() {
    let drive = Drive::new();
    drive.run(&["tenant", "create", "Second"]).done();
    assert_eq!(drive.json(&["tenant", "list"])["tenants"][1]["name"], "Second");
    drive.run(&["user", "create", "--id", "usr_1", "--email", "a@example.com", "--admin"]).done();
    drive.run(&["user", "create", "--id", "usr_1"]).ended(6);
    let users = drive.json(&["user", "list"]);
    assert_eq!(users["users"][1]["admin_role"], "tenant_admin");
    drive
        .run(&["share", "create", "Other", "--type", "central", "--owner", "usr_1", "--quota-bytes", "5"])
        .done();
    drive.run(&["share", "create", "Other", "--type", "odd"]).ended(2);
    drive.run(&["share", "create", "Other", "--owner", "nobody"]).ended(2);
    let shares = drive.json(&["share", "list"]);
    assert_eq!((&shares["total"], &shares["shares"][0]["quota_bytes"]), (&Value::from(2), &Value::from(5)));
    assert!(drive.run(&["share", "list"]).done().contains("Other"));
    let told = drive.run(&["share", "list", "--user", "nobody"]).ended(5);
    assert!(told.contains("error: user nobody: Not found") && told.contains("hint:"), "{told}");
    drive.run(&["share", "list", "--tenant", "nobody"]).ended(5);
    drive.run(&["share", "list", "--tenant", "Second", "--user", "system:x"]).ended(5);
}

#[test]
fn a_token_has_three_parts_and_known_scopes() {
    let drive = Drive::new();
    assert_eq!(drive.run(&["token", "create"]).done().trim().split('.').count(), 3);
    let token = drive.json(&["token", "create", "--scope", "files:read", "--lifetime", "15m"]);
    assert_eq!((&token["expires_in"], &token["scopes"][0]), (&Value::from(900), &Value::from("files:read")));
    drive.run(&["token", "create", "--scope", "everything"]).ended(2);
    drive.run(&["token", "create", "--lifetime", "long"]).ended(2);
    drive.run(&["token", "create", "--user", "nobody"]).ended(5);
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let run = |args: &[&str]| {
        let mut command = program(args);
        command.env("SCAIDRIVE_S3_SECRET_KEY", "very-secret").env("SCAIDRIVE_LOG_LEVEL", "LOUD");
        Ran(command.output().unwrap())
    };
    let shown = run(&["config", "check"]).ended(2);
    assert!(!shown.contains("very-secret"), "{shown}");
    for fault in ["SCAIDRIVE_S3_ENDPOINT", "SCAIDRIVE_S3_BUCKET", "SCAIDRIVE_LOG_LEVEL"] {
        assert!(shown.contains(&format!("fault: {fault}")), "{fault} in {shown}");
    }
    let json: Value = serde_json::from_slice(&run(&["config", "check", "--json"]).0.stdout).unwrap();
    assert_eq!(json["variables"]["SCAIDRIVE_S3_SECRET_KEY"], "(set, masked)");
    assert_eq!(json["faults"].as_array().unwrap().len(), 4);
    assert!(Ran(program(&["config", "check"]).output().unwrap()).done().contains("SCAIDRIVE_DATA_DIR"));
}

#[test]
fn gc_removes_what_nothing_needs_and_fsck_finds_damage() {
    let drive = Drive::new();
    let source = drive.path("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("a"), "some bytes").unwrap();
    drive.run(&["import", source.to_str().unwrap(), "--share", "S"]).done();
    assert!(drive.run(&["fsck", "--deep"]).done().contains("clean"));
    let would = drive.json(&["gc", "--dry-run", "--grace", "0"]);
    assert_eq!(would["tenants"][0]["collected"]["chunks"], 0);
    let object = find_object(&drive.path("drive").join("objects"));
    std::fs::write(&object, "other bytes").unwrap();
    assert!(drive.run(&["fsck"]).ended(4).contains("corrupt"));
    assert_eq!(drive.json(&["fsck"])["clean"], false);
    drive.run(&["export", drive.path("out").to_str().unwrap(), "--share", "S"]).ended(4);
    std::fs::remove_file(&object).unwrap();
    assert!(drive.run(&["fsck"]).ended(4).contains("missing"));
    drive.run(&["gc", "--grace", "soon"]).ended(2);
}

/// Runs services of the core on a drive that no program has open.
fn in_core<T, F: Future<Output = T>>(drive: &Drive, work: impl FnOnce(scaidrive_core::Drive) -> F) -> T {
    let config = scaidrive_core::config::Config::embedded(drive.path("drive"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let core = scaidrive_core::open::open(&config).await.unwrap();
        let done = work(core.clone()).await;
        core.meta.close().await;
        done
    })
}

#[test]
fn gc_removes_what_was_purged_and_keeps_the_rest() {
    let drive = Drive::new();
    let source = drive.path("source");
    std::fs::create_dir(&source).unwrap();
    for name in ["purged", "kept"] {
        std::fs::write(source.join(name), name).unwrap();
    }
    drive.run(&["import", source.to_str().unwrap(), "--share", "S"]).done();
    in_core(&drive, async |core| {
        let tenant = tenants::first(&core).await.unwrap();
        let admin = tenants::FIRST_ADMIN.parse().unwrap();
        let caller = tenants::caller_for(&core, tenant.id, &admin).await.unwrap();
        let share = paths::share_named(&core, &caller, "S").await.unwrap();
        let path = SharePath::parse("purged").unwrap();
        let node = paths::node(&core, &caller, share.id, &path, Right::Delete).await.unwrap().node().id;
        trash::delete(&core, &caller, node, true).await.unwrap();
    });
    let objects = || files_below(&drive.path("drive").join("objects"));
    assert_eq!(objects(), 2);
    assert!(drive.run(&["gc", "--grace", "1s"]).ended(2).contains("--force"));
    let would = drive.json(&["gc", "--dry-run", "--grace", "0"]);
    assert_eq!(would["tenants"][0]["collected"]["contents"], 1, "{would}");
    assert_eq!(objects(), 2);
    // The content goes first; its chunk was needed until then.
    let removed = drive.json(&["gc", "--grace", "0", "--force"]);
    assert_eq!(removed["tenants"][0]["collected"]["contents"], 1, "{removed}");
    drive.run(&["gc", "--grace", "0", "--force"]).done();
    assert_eq!(objects(), 1);
    assert!(drive.run(&["fsck", "--deep"]).done().contains("clean"));
}

fn files_below(dir: &std::path::Path) -> usize {
    let below = |entry: std::fs::DirEntry| {
        if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }
    };
    std::fs::read_dir(dir).unwrap().map(|entry| below(entry.unwrap())).sum()
}

#[test]
fn who_may_not_is_refused_with_a_code_of_its_own() {
    let drive = Drive::new();
    drive.run(&["user", "create", "--id", "plain"]).done();
    drive.run(&["share", "create", "Central", "--type", "central", "--user", "plain"]).ended(7);
    drive.run(&["stats", "--user", "plain"]).done();
    // A share of somebody else is not there for those who may not see it.
    drive.run(&["ls", "S", "--user", "plain"]).ended(5);
    assert_eq!(drive.json(&["share", "list", "--user", "plain"])["total"], 0);
}

#[test]
fn a_provider_of_identities_mints_the_tokens_itself() {
    let drive = Drive::new();
    let mut command = program(&["token", "create"]);
    command.env("SCAIDRIVE_DATA_DIR", drive.path("drive"));
    command.env("SCAIDRIVE_SCAIKEY_URL", "https://id.example.com");
    assert!(Ran(command.output().unwrap()).ended(2).contains("SCAIDRIVE_SCAIKEY_URL"));
}

fn find_object(dir: &std::path::Path) -> std::path::PathBuf {
    let mut entry = std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    while entry.is_dir() {
        entry = std::fs::read_dir(&entry).unwrap().next().unwrap().unwrap().path();
    }
    entry
}

#[test]
fn stats_and_lists_are_json_when_asked() {
    let drive = Drive::new();
    for command in [
        &["stats"][..],
        &["share", "list"],
        &["user", "list"],
        &["tenant", "list"],
        &["ls", "S"],
        &["gc"],
        &["fsck"],
    ] {
        assert!(drive.json(command).is_object(), "{command:?}");
        assert!(!drive.run(command).done().is_empty(), "{command:?}");
    }
    drive.run(&["ls", "Nothing"]).ended(5);
    drive.run(&["ls", "S:/nothing"]).ended(5);
    drive.run(&["no-such-command"]).ended(2);
}

/// Every command that has a help of its own.
const COMMANDS: &[&str] = &[
    "",
    "init",
    "migrate",
    "token",
    "token create",
    "tenant",
    "tenant create",
    "tenant list",
    "tenant show",
    "tenant set",
    "user",
    "user create",
    "user list",
    "user show",
    "user suspend",
    "user activate",
    "user set-role",
    "user remove",
    "group",
    "group create",
    "group list",
    "group show",
    "group rename",
    "group remove",
    "group add-member",
    "group remove-member",
    "share",
    "share create",
    "share list",
    "share transfer",
    "member",
    "member list",
    "member add",
    "member set",
    "member remove",
    "acl",
    "acl show",
    "acl grant",
    "acl deny",
    "acl remove",
    "acl inherit",
    "acl explain",
    "owner",
    "import",
    "export",
    "sync",
    "ls",
    "stats",
    "gc",
    "fsck",
    "audit",
    "audit list",
    "audit export",
    "audit head",
    "audit verify",
    "jobs",
    "jobs list",
    "jobs retry",
    "jobs drop",
    "quota",
    "quota show",
    "quota set",
    "quota remove",
    "quota exempt",
    "quota usage",
    "backup",
    "backup verify",
    "restore",
    "restore finish",
    "config",
    "config check",
];

/// The reference of the command line is a file, so that it cannot go stale.
#[test]
fn the_help_is_as_agreed() {
    let mut all = String::new();
    for subcommand in COMMANDS {
        let mut args: Vec<&str> = subcommand.split_whitespace().collect();
        args.push("--help");
        let text = Ran(program(&args).output().unwrap()).done();
        all.push_str(&format!("$ scaidrive {}\n{text}\n", args.join(" ")));
    }
    let agreed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/help.txt");
    #[expect(clippy::disallowed_methods, reason = "the switch that writes the reference anew")]
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        std::fs::write(agreed, &all).unwrap();
    }
    // Line by line: a failure shows the difference and not the whole reference twice.
    let before = std::fs::read_to_string(agreed).unwrap_or_default();
    let (now, before): (Vec<&str>, Vec<&str>) = (all.lines().collect(), before.lines().collect());
    for (now, before) in now.iter().zip(&before) {
        assert_eq!(now, before, "if meant: UPDATE_SNAPSHOTS=1");
    }
    assert_eq!(now.len(), before.len(), "if meant: UPDATE_SNAPSHOTS=1");
}
