//! Values and pure rules: ids, names, times, hashes, the objects of the product and what may be done
//! with them. Nothing here is async, does I/O or reads a clock.

pub mod acl;
mod caller;
mod change;
mod chunk;
pub mod conflict;
mod device;
mod error;
mod id;
mod member;
mod name;
mod node;
mod path;
mod queue;
mod quota;
mod range;
mod refusal;
mod share;
mod tenant_ref;
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
pub use chunk::{
    CUT_BY_CLIENT, Chunk, ChunkHash, ChunkState, ChunkingParams, ContentId, InvalidHash, RecordedChunking,
    RecordedParams, Sha256Hash,
};
pub use conflict::{Conflict, ConflictStatus, ConflictType, Strategy};
pub use device::{Cursor, Device, DeviceId, MAX_DEVICE_ID, Preferences, SyncMode};
pub use error::{Error, FieldError, Result};
pub use id::{
    AceId, AuditEventId, ChangeId, ConflictId, ExternalTenantId, FileId, FolderId, GroupId, InvalidId,
    InvitationId, JobId, MemberId, NodeId, ParentId, PartnerId, QuotaId, RegistrationId, ResourceId, ShareId,
    TenantId, UploadId, UserId, VersionId,
};
pub use member::{AclEntry, Group, Invitation, InvitationStatus, Member};
pub use name::{FileName, MAX_NAME_BYTES, NameKey, is_unsafe_somewhere};
pub use node::{FileFacts, FileInfo, FolderInfo, MimeType, Node, NodeKind, Version};
pub use path::{MAX_DEPTH, MAX_PATH_BYTES, SharePath};
pub use queue::{JobState, Queue};
pub use quota::{LimitType, Limits, Quota, QuotaTarget, Verdict};
pub use range::{ByteRange, RangeError, parse_ranges};
pub use refusal::Hidden;
pub use share::{AdminRole, Share, ShareRole, ShareType, Tenant, TenantSettings, User, UserStatus};
pub use tenant_ref::TenantRef;
pub(crate) use text::text_enum;
pub use text::{UnknownWord, check_description, check_settings, tidy};
pub use time::Timestamp;
pub use token::ScopelessTokens;
pub use upload::{Layout, MAX_PARTS, PART_SIZES, UploadStatus};
pub use usage::{Usage, UsageChanges, UsageDelta, UsageTarget};
pub use webhook::{EventKind, EventResource, WebhookEvent, WebhookHead, WebhookOutcome};
