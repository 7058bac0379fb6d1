//! Import and export: bit for bit, and honest about what cannot be represented.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::program::Drive;

/// Fills a directory with what trees hold: small, large, empty, deep, odd names, old times.
fn plant(dir: &Path) {
    std::fs::create_dir_all(dir.join("deep/er/and/deeper")).unwrap();
    std::fs::create_dir(dir.join("empty")).unwrap();
    std::fs::write(dir.join("no bytes"), "").unwrap();
    for number in 0..300 {
        let place = if number % 2 == 0 { "deep/er" } else { "deep/er/and/deeper" };
        std::fs::write(dir.join(place).join(format!("{number}.txt")), format!("content {}", number % 250))
            .unwrap();
    }
    let large: Vec<u8> =
        (0..6_000_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(dir.join("large.bin"), large).unwrap();
    for odd in ["-rf", "a:b*c", "😀", "e\u{301}clair", "trailing ", "CON"] {
        std::fs::write(dir.join(odd), odd).unwrap();
    }
    let old = SystemTime::UNIX_EPOCH + Duration::from_micros(981_173_106_789_123);
    let file = std::fs::File::options().write(true).open(dir.join("no bytes")).unwrap();
    file.set_modified(old).unwrap();
}

/// Asserts that two trees hold the same names and bytes.
fn assert_same(a: &Path, b: &Path) {
    let diff = Command::new("diff").arg("-r").args([a, b]).output().unwrap();
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
}

fn round_trip(drive: &Drive) {
    let (source, target) = (drive.path("source"), drive.path("target"));
    plant(&source);
    // NFD becomes NFC on the way: the one name that comes back in another spelling.
    std::fs::rename(source.join("e\u{301}clair"), source.join("\u{e9}clair")).unwrap();
    let summary = drive.json(&["import", source.to_str().unwrap(), "--share", "S", "--to", "/in/side"]);
    assert_eq!((summary["files"].as_u64(), summary["created"].as_u64()), (Some(308), Some(308)), "{summary}");
    drive.run(&["export", target.to_str().unwrap(), "--share", "S", "--from", "in/side"]).done();
    assert_same(&source, &target);
    for name in ["no bytes", "large.bin", "deep/er/0.txt"] {
        let modified = |dir: &Path| dir.join(name).metadata().unwrap().modified().unwrap();
        let apart = modified(&source).duration_since(modified(&target)).unwrap();
        assert!(apart < Duration::from_micros(1), "{name}: {apart:?}");
    }
    let again = drive.json(&["import", source.to_str().unwrap(), "--share", "S", "--to", "/in/side"]);
    assert_eq!(
        (again["unchanged"].as_u64(), again["new_chunk_bytes"].as_i64()),
        (Some(308), Some(0)),
        "{again}"
    );
    let read =
        drive.json(&["import", source.to_str().unwrap(), "--share", "S", "--to", "/in/side", "--checksum"]);
    assert_eq!(
        (read["unchanged"].as_u64(), read["new_chunk_bytes"].as_i64()),
        (Some(308), Some(0)),
        "{read}"
    );
    assert!(drive.run(&["fsck", "--deep"]).done().contains("clean"));
}

#[test]
fn what_goes_in_comes_out_bit_for_bit() {
    round_trip(&Drive::new());
}

#[test]
fn the_same_on_mariadb_and_s3() {
    #[expect(clippy::disallowed_methods, reason = "tests learn from it where their services are")]
    let var = |name: &str| std::env::var(format!("SCAIDRIVE_TEST_{name}")).ok();
    let (Some(mysql), Some(endpoint)) = (var("MYSQL_URL"), var("S3_ENDPOINT")) else {
        eprintln!("SKIPPED: SCAIDRIVE_TEST_MYSQL_URL or SCAIDRIVE_TEST_S3_ENDPOINT is not set");
        return;
    };
    let socket = var("MYSQL_SOCKET").unwrap();
    let database = format!("cli_{}", std::process::id());
    let create = format!("CREATE DATABASE {database} CHARACTER SET utf8mb4");
    let mariadb = Command::new("mariadb")
        .args(["--no-defaults", "-uroot", "--socket", &socket, "-e", &create])
        .status();
    assert!(mariadb.unwrap().success());
    let mut settings = vec![
        ("SCAIDRIVE_DATABASE_URL".to_owned(), format!("{mysql}{database}")),
        ("SCAIDRIVE_S3_ENDPOINT".to_owned(), endpoint),
    ];
    for name in ["S3_BUCKET", "S3_REGION", "S3_ACCESS_KEY", "S3_SECRET_KEY"] {
        settings.push((format!("SCAIDRIVE_{name}"), var(name).unwrap()));
    }
    round_trip(&Drive::with(settings));
}

#[test]
fn what_cannot_be_represented_is_skipped_and_told() {
    let drive = Drive::new();
    let source = drive.path("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("Name"), "upper").unwrap();
    std::fs::write(source.join("name"), "lower").unwrap();
    std::fs::write(source.join("good"), "good").unwrap();
    std::fs::write(source.join(OsStr::from_bytes(b"bad\xff")), "x").unwrap();
    std::fs::write(source.join("line\nbreak"), "x").unwrap();
    std::os::unix::fs::symlink("good", source.join("link")).unwrap();
    std::os::unix::fs::symlink("..", source.join("up")).unwrap();
    assert!(Command::new("mkfifo").arg(source.join("fifo")).status().unwrap().success());
    let told = drive.run(&["import", source.to_str().unwrap(), "--share", "S"]).ended(3);
    for skipped in
        ["bad", "link: a symbolic link", "up: a symbolic link", "fifo: neither", "name: a sibling", "line"]
    {
        assert!(told.contains(skipped), "{skipped} in {told}");
    }
    let listed = drive.json(&["ls", "S"]);
    let names: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["good", "Name"]);
    let summary = drive.json(&["import", source.to_str().unwrap(), "--share", "S"]);
    assert_eq!(summary["skipped"].as_array().unwrap().len(), 6, "{summary}");
}

#[test]
fn a_changed_file_gets_a_version_and_a_clash_is_told() {
    let drive = Drive::new();
    let source = drive.path("source");
    std::fs::create_dir_all(source.join("folder")).unwrap();
    std::fs::write(source.join("a"), "one").unwrap();
    std::fs::write(source.join("folder/b"), "b").unwrap();
    let import = || drive.json(&["import", source.to_str().unwrap(), "--share", "S"]);
    assert_eq!(import()["created"], 2);
    std::fs::write(source.join("a"), "two!").unwrap();
    assert_eq!(import()["updated"], 1);
    // A file where the share has a folder, and a folder where it has a file.
    std::fs::remove_dir_all(source.join("folder")).unwrap();
    std::fs::write(source.join("folder"), "now a file").unwrap();
    std::fs::remove_file(source.join("a")).unwrap();
    std::fs::create_dir(source.join("a")).unwrap();
    std::fs::write(source.join("a/inside"), "x").unwrap();
    std::fs::write(source.join("c"), "fine").unwrap();
    let summary = import();
    assert_eq!(
        (summary["created"].as_u64(), summary["skipped"].as_array().unwrap().len()),
        (Some(1), 3),
        "{summary}"
    );
    assert!(drive.run(&["fsck", "--deep"]).done().contains("clean"));
}

#[test]
fn a_second_export_writes_only_what_differs() {
    let drive = Drive::new();
    let (source, target) = (drive.path("source"), drive.path("target"));
    std::fs::create_dir(&source).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(source.join(name), name).unwrap();
    }
    drive.run(&["import", source.to_str().unwrap(), "--share", "S"]).done();
    let export =
        |more: &[&str]| drive.json(&[&["export", target.to_str().unwrap(), "--share", "S"], more].concat());
    assert_eq!(export(&[])["written"], 3);
    std::fs::write(target.join("b"), "another size").unwrap();
    // Same size, same time, other bytes: only --checksum sees it.
    let at = target.join("c").metadata().unwrap().modified().unwrap();
    std::fs::write(target.join("c"), "X").unwrap();
    std::fs::File::options().write(true).open(target.join("c")).unwrap().set_modified(at).unwrap();
    let second = export(&[]);
    assert_eq!((&second["written"], &second["unchanged"]), (&1.into(), &2.into()), "{second}");
    assert_eq!(export(&["--checksum"])["written"], 3);
    assert_same(&source, &target);
}

#[test]
fn a_damaged_file_is_left_out_and_the_others_come() {
    let drive = Drive::new();
    let (source, target) = (drive.path("source"), drive.path("target"));
    std::fs::create_dir(&source).unwrap();
    let large: Vec<u8> =
        (0..1_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(source.join("large"), &large).unwrap();
    std::fs::write(source.join("small"), "small").unwrap();
    drive.run(&["import", source.to_str().unwrap(), "--share", "S"]).done();
    // Every object but that of the small file: the large one breaks off, and leaves nothing behind.
    let damage = "find drive/objects -type f -size +2k -exec truncate -s 10 {} +";
    let sh = Command::new("sh").arg("-c").arg(damage).current_dir(drive.dir.path()).status();
    assert!(sh.unwrap().success());
    let told = drive.run(&["export", target.to_str().unwrap(), "--share", "S"]).ended(4);
    assert!(told.contains("large: its stored content is damaged"), "{told}");
    let left: Vec<_> = std::fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["small"]);
}

#[test]
fn a_file_that_cannot_be_read_is_skipped() {
    use std::os::unix::fs::PermissionsExt;

    let drive = Drive::new();
    let source = drive.path("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("good"), "good").unwrap();
    std::fs::write(source.join("secret"), "secret").unwrap();
    std::fs::set_permissions(source.join("secret"), std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(source.join("secret")).is_ok() {
        eprintln!("SKIPPED: root reads everything");
        return;
    }
    let told = drive.run(&["import", source.to_str().unwrap(), "--share", "S"]).ended(3);
    assert!(told.contains("secret: "), "{told}");
}

#[test]
fn one_file_goes_in_alone() {
    let drive = Drive::new();
    std::fs::write(drive.path("only"), "one").unwrap();
    drive.run(&["import", drive.path("only").to_str().unwrap(), "--share", "S"]).done();
    assert_eq!(drive.json(&["ls", "S"])["items"][0]["path"], "only");
    drive.run(&["import", drive.path("nothing").to_str().unwrap(), "--share", "S"]).ended(2);
}

#[test]
fn an_export_writes_through_no_link() {
    let drive = Drive::new();
    let (source, target, outside) = (drive.path("source"), drive.path("target"), drive.path("outside"));
    std::fs::create_dir_all(source.join("dir")).unwrap();
    std::fs::write(source.join("dir/file"), "x").unwrap();
    drive.run(&["import", source.to_str().unwrap(), "--share", "S"]).done();
    for dir in [&target, &outside] {
        std::fs::create_dir(dir).unwrap();
    }
    std::os::unix::fs::symlink(&outside, target.join("dir")).unwrap();
    drive.run(&["export", target.to_str().unwrap(), "--share", "S"]).ended(2);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}
