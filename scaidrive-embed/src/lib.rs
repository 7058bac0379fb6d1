//! ScaiDrive inside another program: versioned, deduplicated, durable files, by share and path.
//!
//! ```
//! use scaidrive_embed::ScaiDrive;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let drive = ScaiDrive::open_dir(dir).await?;
//! let share = drive.create_share("Projects").await?;
//! share.write_bytes("plans/a.txt", "first").await?;
//! share.write_bytes("plans/a.txt", "second").await?;
//! assert_eq!(share.read_to_vec("plans/a.txt").await?, b"second");
//! share.restore("plans/a.txt", 1).await?;
//! assert_eq!(share.read_range("plans/a.txt", 0..3).await?, b"fir");
//! drive.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Programs without an async runtime use [`blocking`]. A host that keeps its bytes or rows elsewhere brings its own
//! [`ports`](scaidrive_core::ports) to [`ScaiDrive::from_ports`].

mod acting;
pub mod blocking;
mod drive;
mod item;
mod people;
mod permissions;
mod share;
mod watch;

pub use drive::ScaiDrive;
pub use item::{FileReader, Item};
pub use scaidrive_core::config::Config;
pub use scaidrive_core::model::acl::AceType;
pub use scaidrive_core::model::{
    ChangeKind, Error, FeedRow, FileInfo, FolderInfo, Group, GroupId, NodeId, Principal, Result, Right,
    Rights, ShareId, ShareRole, ShareType, Timestamp, Trustee, User, UserId, Version,
};
pub use scaidrive_core::services::acl::{AclInfo, EntryInfo, Inheritance, NewEntry};
pub use scaidrive_core::services::folders::{Child, Walked};
pub use scaidrive_core::services::groups::GroupMember;
pub use scaidrive_core::services::members::MemberInfo;
pub use scaidrive_core::services::permissions::Effective;
pub use scaidrive_core::services::trash::TrashItem;
pub use share::Share;
