//! Values and pure rules: ids, names, times, hashes, the objects of the product and what may be done
//! with them. Nothing here is async, does I/O or reads a clock.

pub mod acl;
mod caller;
mod change;
mod chunk;
mod error;
mod id;
mod member;
mod name;
mod node;
mod path;
mod quota;
mod range;
mod share;
mod text;
mod time;
mod token;
mod upload;
mod usage;
mod webhook;

pub use acl::{Principal, Right, Rights, Trustee};
pub use caller::{Caller, GroupClaims, Once, RateLimits, Scope};
pub use change::{
    AuditCategory, AuditEvent, Change, ChangeKind, FeedRow, LoggedChange, ResourceKind, Severity, Tombstone,
};
pub use chunk::{Chunk, ChunkHash, ChunkState, ChunkingParams, ContentId, InvalidHash, Sha256Hash};
pub use error::{Error, FieldError, Result};
pub use id::{
    AceId, AuditEventId, ChangeId, ConflictId, FileId, FolderId, GroupId, InvalidId, InvitationId, JobId,
    MemberId, NodeId, ParentId, PartnerId, QuotaId, ResourceId, ShareId, TenantId, UploadId, UserId,
    VersionId,
};
pub use member::{AclEntry, Group, Invitation, InvitationStatus, Member};
pub use name::{FileName, MAX_NAME_BYTES, NameKey};
pub use node::{FileFacts, FileInfo, FolderInfo, MimeType, Node, NodeKind, Version};
pub use path::{MAX_DEPTH, MAX_PATH_BYTES, SharePath};
pub use quota::{LimitType, Limits, Quota, QuotaTarget, Verdict};
pub use range::{ByteRange, RangeError, parse_ranges};
pub use share::{AdminRole, Share, ShareRole, ShareType, Tenant, TenantSettings, User, UserStatus};
pub(crate) use text::text_enum;
pub use text::{UnknownWord, tidy};
pub use time::Timestamp;
pub use token::ScopelessTokens;
pub use upload::{Layout, MAX_PARTS, PART_SIZES, UploadStatus};
pub use usage::{Usage, UsageChanges, UsageDelta, UsageTarget};
pub use webhook::{EventKind, EventResource, WebhookEvent, WebhookHead, WebhookOutcome};
