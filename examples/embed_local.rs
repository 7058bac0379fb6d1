//! A drive inside a program: write, read, versions, trash, and the stream of changes.
//!
//! `cargo run --example embed_local -- DIR`

use futures_util::StreamExt;
use scaidrive_embed::{Result, ScaiDrive};

#[tokio::main]
async fn main() -> Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "./scaidrive-data".to_owned());
    let drive = ScaiDrive::open_dir(&dir).await?;
    let share = drive.create_share("Projects").await?;
    let mut changes = share.watch().await?;

    // Any reader will do; folders above the file appear by themselves.
    let file = share.write("plans/2026/a.txt", &b"first thoughts"[..]).await?;
    println!("wrote {} ({} bytes, sha256 {})", file.path, file.size, file.checksum_sha256);
    share.write_bytes("plans/2026/a.txt", "second thoughts").await?;
    println!(
        "its first six bytes: {:?}",
        String::from_utf8(share.read_range("plans/2026/a.txt", 0..6).await?)
    );

    share.restore("plans/2026/a.txt", 1).await?;
    for version in share.versions("plans/2026/a.txt").await? {
        println!("version {}: {} bytes", version.number, version.size);
    }

    share.copy("plans", "plans (copy)").await?;
    share.rename("plans/2026/a.txt", "b.txt").await?;
    share.remove("plans").await?;
    for found in share.walk("/").await? {
        println!("{}", found.path);
    }
    for item in share.trash().await? {
        println!("in the trash: {}", item.name);
    }

    println!("what a watcher saw:");
    while let Some(change) = changes.next().await {
        let change = change?;
        println!(
            "  {} {} {}",
            change.position(),
            change.change_type(),
            change.new_path().unwrap_or("(gone)")
        );
        if change.position() == share.position().await? {
            break;
        }
    }
    drive.close().await;
    Ok(())
}
