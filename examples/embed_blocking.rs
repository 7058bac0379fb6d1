//! A drive inside a program without an async runtime.
//!
//! `cargo run --example embed_blocking -- FILE`

use std::fs::File;
use std::io;

use scaidrive_embed::blocking::ScaiDrive;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = std::env::args().nth(1).unwrap_or_else(|| "Cargo.toml".to_owned());
    let dir = std::env::temp_dir().join(format!("scaidrive-example-{}", std::process::id()));
    let drive = ScaiDrive::open_dir(&dir)?;
    let share = drive.create_share("Backups")?;
    let file = share.write("today/copy", File::open(&source)?)?;
    println!("{source} is stored: {} bytes, sha256 {}", file.size, file.checksum_sha256);
    let copied = io::copy(&mut share.read("today/copy")?, &mut io::sink())?;
    println!("{copied} bytes read back, every chunk verified");
    drop(share);
    drive.close();
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
