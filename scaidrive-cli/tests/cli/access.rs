//! Who there is and who may do what: tenants, users, groups, members, permissions.

use serde_json::{Value, json};

use crate::program::Drive;

/// Makes a drive where `S` holds `docs/plan.txt` and `docs/secret/key.txt`, with these users in no share.
fn drive_with(users: &[&str]) -> Drive {
    let drive = Drive::new();
    let source = drive.path("source");
    std::fs::create_dir_all(source.join("docs/secret")).unwrap();
    std::fs::write(source.join("docs/plan.txt"), "plan").unwrap();
    std::fs::write(source.join("docs/secret/key.txt"), "key").unwrap();
    drive.run(&["import", source.to_str().unwrap(), "--share", "S"]).done();
    for user in users {
        drive.run(&["user", "create", "--id", user, "--email", &format!("{user}@example.com")]).done();
    }
    drive
}

/// Returns the paths that a user sees in `S`.
fn tree(drive: &Drive, user: &str) -> Vec<String> {
    let list = drive.json(&["ls", "S", "-R", "--user", user]);
    list["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect()
}

/// Returns the ids or names of a list.
fn column(list: &Value, of: &str, key: &str) -> Vec<String> {
    list[of].as_array().unwrap().iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn users_are_found_suspended_promoted_and_removed() {
    let drive = drive_with(&["ann", "bob"]);
    assert_eq!(column(&drive.json(&["user", "list", "--search", "ANN@"]), "users", "id"), ["ann"]);
    drive.run(&["user", "suspend", "bob"]).done();
    assert_eq!(column(&drive.json(&["user", "list", "--status", "suspended"]), "users", "id"), ["bob"]);
    drive.run(&["share", "list", "--user", "bob"]).ended(7);
    drive.run(&["user", "activate", "bob"]).done();
    drive.run(&["share", "list", "--user", "bob"]).done();
    drive.run(&["user", "set-role", "bob", "tenant_admin"]).done();
    assert_eq!(column(&drive.json(&["user", "list", "--admins"]), "users", "id"), ["admin", "bob"]);
    assert_eq!(drive.json(&["user", "show", "bob"])["admin_role"], "tenant_admin");
    // One administrator does not make a greater one, nor unmake itself.
    drive.run(&["user", "set-role", "ann", "super_admin", "--user", "bob"]).ended(7);
    drive.run(&["user", "set-role", "bob", "none", "--user", "bob"]).ended(2);
    drive.run(&["user", "set-role", "bob", "none"]).done();
    drive.run(&["user", "list", "--user", "bob"]).ended(7);
    drive.run(&["user", "remove", "ann"]).done();
    assert_eq!(drive.json(&["user", "show", "ann"])["status"], "deleted");
    assert!(drive.run(&["user", "show", "nobody"]).ended(5).contains("user nobody"));
    drive.run(&["user", "suspend", "nobody"]).ended(5);
    drive.run(&["user", "set-role", "bob", "king"]).ended(2);
}

#[test]
fn nobody_is_locked_out_of_a_drive_at_hand() {
    let drive = drive_with(&["ann"]);
    drive.run(&["user", "set-role", "ann", "super_admin"]).done();
    drive.run(&["user", "suspend", "admin", "--user", "ann"]).done();
    drive.run(&["share", "list"]).ended(7);
    drive.run(&["user", "activate", "admin"]).done();
    drive.run(&["share", "list"]).done();
    // A second tenant begins without anybody.
    drive.run(&["tenant", "create", "Second"]).done();
    drive.run(&["user", "create", "--id", "eve", "--admin", "--tenant", "Second"]).done();
    drive.run(&["group", "create", "Team", "--tenant", "Second", "--user", "eve"]).done();
    assert_eq!(drive.json(&["group", "list"])["total"], 0, "the first tenant has none");
    // Nor does a user of the first administrator's name change that, whoever brought it.
    drive.run(&["user", "create", "--id", "admin", "--tenant", "Second"]).done();
    drive.run(&["user", "set-role", "eve", "none", "--tenant", "Second"]).done();
    assert_eq!(column(&drive.json(&["user", "list", "--tenant", "Second"]), "users", "id"), ["admin", "eve"]);
}

#[test]
fn a_tenant_is_made_and_named_by_the_providers_id() {
    let drive = Drive::new();
    let acme = drive.json(&["tenant", "create", "Acme", "--id", "acme|7"]);
    assert_eq!(acme["external_id"], "acme|7");
    assert_ne!(acme["id"], "acme|7");
    let ours = "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert_eq!(drive.json(&["tenant", "create", "Kept", "--id", ours])["id"], ours);
    for taken in ["acme|7", ours, acme["id"].as_str().unwrap()] {
        assert!(drive.run(&["tenant", "create", "Again", "--id", taken]).ended(6).contains(taken));
    }
    drive.run(&["tenant", "create", "Wrong", "--id", "tnt_acme"]).ended(2);
    drive.run(&["tenant", "create", "Wrong", "--id", ""]).ended(2);
    for name in ["acme|7", "Acme", acme["id"].as_str().unwrap()] {
        assert_eq!(drive.json(&["tenant", "show", "--tenant", name])["id"], acme["id"], "{name}");
    }
    // An id is an id, even where somebody has it for a name.
    drive.run(&["tenant", "create", "acme|7"]).done();
    assert_eq!(drive.json(&["tenant", "show", "--tenant", "acme|7"])["id"], acme["id"]);
    assert!(drive.run(&["tenant", "list"]).done().contains("acme|7"));
    drive.run(&["user", "create", "--id", "ann", "--admin", "--tenant", "acme|7"]).done();
    assert_eq!(drive.json(&["user", "list", "--tenant", "Acme"])["total"], 1);
}

#[test]
fn a_tenant_is_shown_and_set() {
    let drive = drive_with(&["ann"]);
    let set = drive.json(&[
        "tenant",
        "set",
        "trash_retention_days=7",
        "users_create_project_shares=false",
        "display_name=The Firm",
        "version_retention_days=90",
    ]);
    assert_eq!(
        (&set["settings"]["trash_retention_days"], &set["display_name"]),
        (&json!(7), &json!("The Firm"))
    );
    drive.run(&["share", "create", "Own", "--user", "ann"]).ended(7);
    let set =
        drive.json(&["tenant", "set", "trash_retention_days=", "version_retention_days=", "display_name="]);
    assert_eq!(set["settings"]["trash_retention_days"], 30);
    assert_eq!(
        (&set["settings"]["version_retention_days"], &set["display_name"]),
        (&Value::Null, &Value::Null)
    );
    assert!(drive.run(&["tenant", "show"]).done().contains("trash_retention_days"));
    assert!(drive.run(&["tenant", "set", "trash_days=7"]).ended(2).contains("trash_retention_days"));
    drive.run(&["tenant", "set", "trash_retention_days=soon"]).ended(2);
    drive.run(&["tenant", "set", "trash_retention_days"]).ended(2);
    drive.run(&["tenant", "set", "name="]).ended(2);
    drive.run(&["tenant", "set", "name=Mine", "--user", "ann"]).ended(7);
    drive.run(&["tenant", "show", "--user", "ann"]).ended(7);
}

#[test]
fn groups_hold_users_and_groups() {
    let drive = drive_with(&["ann"]);
    let outer = drive.run(&["group", "create", "Everybody", "--id", "all", "--description", "us"]).done();
    assert_eq!(outer.trim(), "all");
    let inner = drive.json(&["group", "create", "Builders"])["id"].as_str().unwrap().to_owned();
    drive.run(&["group", "add-member", "all", "group:Builders"]).done();
    drive.run(&["group", "add-member", "builders", "user:ann@example.com"]).done();
    drive.run(&["group", "add-member", &inner, "user:ann"]).ended(6);
    drive.run(&["group", "add-member", &inner, "group:all"]).ended(6);
    drive.run(&["group", "add-member", &inner, "user:nobody"]).ended(2);
    drive.run(&["group", "add-member", &inner, "ann"]).ended(2);
    drive.run(&["group", "add-member", "nothing", "user:ann"]).ended(5);
    let shown = drive.json(&["group", "show", "all"]);
    assert_eq!(
        (&shown["members"][0]["principal_id"], &shown["members"][0]["name"]),
        (&json!(inner), &json!("Builders"))
    );
    assert!(drive.run(&["group", "show", "builders"]).done().contains("user:ann"));
    // What the inner one holds, the outer one holds.
    drive.run(&["member", "add", "S", "group:Everybody"]).done();
    assert_eq!(tree(&drive, "ann").len(), 4);
    drive.run(&["group", "remove-member", "Builders", "user:ann"]).done();
    drive.run(&["ls", "S", "--user", "ann"]).ended(5);
    drive.run(&["group", "remove-member", "Builders", "user:ann"]).ended(5);
    drive.run(&["group", "rename", "Builders", "Makers"]).done();
    assert_eq!(column(&drive.json(&["group", "list", "--search", "mak"]), "groups", "name"), ["Makers"]);
    drive.run(&["group", "remove", "Makers"]).done();
    assert_eq!(drive.json(&["group", "list"])["total"], 1);
    // Two of one name are told apart by their ids.
    drive.run(&["group", "create", "everybody"]).done();
    assert!(drive.run(&["group", "show", "Everybody"]).ended(2).contains("give the id"));
    drive.run(&["group", "list", "--user", "ann"]).ended(7);
}

#[test]
fn members_come_change_and_go() {
    let drive = drive_with(&["ann", "bob"]);
    drive.run(&["ls", "S", "--user", "ann"]).ended(5);
    let added = drive.json(&["member", "add", "S", "user:ann", "--role", "contributor", "--expires", "30d"]);
    assert!(added["expires_at"].is_string(), "{added}");
    assert_eq!(tree(&drive, "ann").len(), 4);
    drive.run(&["member", "add", "S", "user:ann"]).ended(6);
    drive.run(&["member", "add", "S", "user:bob", "--user", "ann"]).ended(7);
    drive.run(&["member", "add", "S", "user:bob", "--expires", "2020-01-01T00:00:00Z"]).ended(2);
    drive.run(&["member", "add", "S", "user:bob", "--expires", "soon"]).ended(2);
    drive.run(&["member", "add", "S", "user:bob", "--role", "owner"]).ended(2);
    drive.run(&["member", "add", "Nothing", "user:bob"]).ended(5);
    let set =
        drive.json(&["member", "set", "S", "user:ann@example.com", "--role", "admin", "--expires", "never"]);
    assert_eq!((&set["role"], &set["expires_at"]), (&json!("admin"), &Value::Null));
    drive.run(&["member", "add", "S", "user:bob", "--user", "ann"]).done();
    drive.run(&["member", "set", "S", "user:bob"]).ended(2);
    let members = drive.json(&["member", "list", "S", "--user", "bob"]);
    assert_eq!(column(&members, "members", "principal_id"), ["admin", "ann", "bob"]);
    assert!(drive.run(&["member", "list", "S"]).done().contains("user:ann"));
    drive.run(&["member", "remove", "S", "user:admin"]).ended(7);
    drive.run(&["member", "remove", "S", "user:ann", "--user", "bob"]).ended(7);
    drive.run(&["member", "remove", "S", "user:ann"]).done();
    drive.run(&["ls", "S", "--user", "ann"]).ended(5);
    assert!(drive.run(&["member", "remove", "S", "user:ann"]).ended(5).contains("user:ann of share S"));
}

#[test]
fn a_share_is_handed_over() {
    let drive = drive_with(&["ann", "bob"]);
    drive.run(&["share", "create", "Own", "--user", "ann"]).done();
    drive.run(&["member", "add", "Own", "user:bob", "--role", "admin", "--user", "ann"]).done();
    drive.run(&["share", "transfer", "Own", "bob", "--user", "bob"]).ended(7);
    drive.run(&["share", "transfer", "Own", "nobody", "--user", "ann"]).ended(2);
    drive.run(&["share", "transfer", "Own", "bob", "--user", "ann"]).done();
    drive.run(&["ls", "Own", "--user", "ann"]).ended(5);
    drive.run(&["group", "create", "Team"]).done();
    drive.run(&["group", "add-member", "Team", "user:ann"]).done();
    drive.run(&["share", "transfer", "Own", "group:Team", "--user", "bob"]).done();
    drive.run(&["member", "add", "Own", "user:bob", "--user", "ann"]).done();
}

#[test]
fn entries_grant_deny_and_are_explained() {
    let drive = drive_with(&["ann", "bob"]);
    drive.run(&["group", "create", "Staff", "--id", "staff"]).done();
    drive.run(&["group", "add-member", "staff", "user:ann"]).done();
    drive.run(&["member", "add", "S", "group:staff"]).done();
    drive.run(&["acl", "deny", "S:/docs/secret", "group:staff", "full"]).done();
    assert_eq!(tree(&drive, "ann"), ["/docs", "/docs/plan.txt"]);
    drive.run(&["acl", "deny", "S:/docs/secret", "group:staff", "read"]).ended(6);
    let granted = drive.json(&["acl", "grant", "S:/docs", "user:ann", "write,create", "--this-only"]);
    assert_eq!(granted["permissions"], json!(["WRITE", "CREATE"]));
    assert_eq!(granted["inherit_to_children"], false);
    drive.run(&["acl", "grant", "S", "everyone", "READ"]).done();
    assert_eq!(tree(&drive, "bob").len(), 4);
    let told = drive.run(&["acl", "show", "S:/docs/secret"]).done();
    assert!(told.contains("deny   group:staff  Staff"), "{told}");
    assert!(told.lines().any(|line| line.contains("everyone") && line.ends_with("  S")), "{told}");
    let told = drive.run(&["acl", "explain", "S:/docs/secret/key.txt", "--as", "ann"]).done();
    let line =
        |right: &str| told.lines().find(|line| line.trim_start().starts_with(right)).unwrap().to_owned();
    assert!(
        line("READ").contains("no")
            && line("READ").ends_with("deny for group:staff on S:/docs/secret, inherited")
    );
    let why = drive.json(&["acl", "explain", "S:/docs/plan.txt", "--as", "bob@example.com"]);
    assert_eq!((&why["can_read"], &why["can_write"]), (&json!(true), &json!(false)));
    assert_eq!(why["explanation"][0]["entry"]["resource_path"], "S");
    assert_eq!(why["explanation"][1]["decided_by"], "nothing");
    // Everybody may ask about itself, and only who may change permissions about others.
    drive.run(&["acl", "explain", "S:/docs", "--user", "ann"]).done();
    drive.run(&["acl", "explain", "S:/docs", "--as", "bob", "--user", "ann"]).ended(7);
    drive.run(&["acl", "explain", "S:/docs/secret", "--user", "ann"]).ended(5);
    drive.run(&["acl", "show", "S:/docs", "--user", "ann"]).ended(7);
    drive.run(&["user", "suspend", "bob"]).done();
    let told = drive.run(&["acl", "explain", "S", "--as", "bob"]).done();
    assert!(told.contains("may not act at all") && !told.contains("yes"), "{told}");
}

#[test]
fn entries_are_removed_one_at_a_time() {
    let drive = drive_with(&["ann"]);
    drive.run(&["acl", "grant", "S:/docs", "user:ann", "contribute"]).done();
    drive.run(&["acl", "deny", "S:/docs", "user:ann", "delete"]).done();
    assert!(drive.run(&["acl", "remove", "S:/docs", "user:ann"]).ended(2).contains("--type"));
    drive.run(&["acl", "remove", "S:/docs", "user:ann", "--type", "deny"]).done();
    drive.run(&["acl", "remove", "S:/docs", "user:ann", "--type", "deny"]).ended(5);
    drive.run(&["acl", "remove", "S:/docs", "user:ann"]).done();
    drive.run(&["acl", "remove", "S:/docs", "user:ann"]).ended(5);
    assert_eq!(drive.json(&["acl", "show", "S:/docs"])["entries"], json!([]));
    for (principal, rights) in [
        ("ann", "full"),
        ("user:nobody", "full"),
        ("user:ann", "all"),
        ("user:ann", ""),
        ("user:ann", "READ,,"),
    ] {
        drive.run(&["acl", "grant", "S:/docs", principal, rights]).ended(2);
    }
    drive.run(&["acl", "grant", "S:/nothing", "user:ann", "full"]).ended(5);
}

#[test]
fn a_fence_keeps_out_whoever_is_not_named() {
    let drive = drive_with(&["ann", "bob"]);
    drive.run(&["member", "add", "S", "user:ann", "--role", "contributor"]).done();
    drive.run(&["member", "add", "S", "user:bob"]).done();
    let fenced = drive.json(&["acl", "inherit", "S:/docs/secret", "off"]);
    assert_eq!((&fenced["inherit_from_parent"], &fenced["narrowed"]), (&json!(false), &json!([])));
    assert_eq!(tree(&drive, "ann"), ["/docs", "/docs/plan.txt"]);
    drive.run(&["acl", "grant", "S:/docs/secret", "user:ann", "read-only"]).done();
    assert_eq!((tree(&drive, "ann").len(), tree(&drive, "bob").len()), (4, 2));
    drive.run(&["acl", "inherit", "S:/docs/secret", "on"]).done();
    assert_eq!(tree(&drive, "bob").len(), 4);
    drive.run(&["acl", "inherit", "S:/docs/secret", "on", "--copy"]).ended(2);
    drive.run(&["acl", "inherit", "S", "off"]).ended(2);
    drive.run(&["acl", "inherit", "S:/docs", "maybe"]).ended(2);
    // Merged into one level a farther deny beats what a nearer entry gave, and that is told.
    drive.run(&["acl", "deny", "S", "user:bob", "write"]).done();
    drive.run(&["acl", "grant", "S:/docs", "user:bob", "write"]).done();
    let told = drive.run(&["acl", "inherit", "S:/docs/secret", "off", "--copy"]).done();
    assert!(told.contains("Narrowed: user:bob may not WRITE any more"), "{told}");
    assert_eq!((tree(&drive, "ann").len(), tree(&drive, "bob").len()), (4, 4));
}

#[test]
fn another_user_is_charged_for_a_file() {
    let drive = drive_with(&["ann"]);
    drive.run(&["member", "add", "S", "user:ann"]).done();
    let moved = drive.json(&["owner", "S:/docs/plan.txt", "ann@example.com"]);
    assert_eq!((&moved["owner_id"], &moved["path"]), (&json!("ann"), &json!("/docs/plan.txt")));
    drive.run(&["owner", "S:/docs", "admin", "--user", "ann"]).ended(7);
    drive.run(&["owner", "S:/docs", "nobody"]).ended(2);
    drive.run(&["owner", "S", "ann"]).ended(2);
    drive.run(&["owner", "S:/nothing", "ann"]).ended(5);
    assert!(drive.run(&["fsck"]).done().contains("clean"));
}

#[test]
fn who_manages_without_reading_names_things_by_id() {
    let drive = drive_with(&["ann"]);
    drive.run(&["share", "create", "Own", "--user", "ann"]).done();
    let id = drive.json(&["share", "list", "--user", "ann"])["shares"][0]["id"].as_str().unwrap().to_owned();
    drive.run(&["acl", "deny", "Own", "everyone", "full", "--user", "ann"]).done();
    drive.run(&["acl", "show", "Own", "--user", "ann"]).ended(5);
    drive.run(&["acl", "show", &id, "--user", "ann"]).done();
    drive.run(&["acl", "remove", &id, "everyone", "--user", "ann"]).done();
    drive.run(&["ls", "Own", "--user", "ann"]).done();
}
