//! Groups, members of shares, invitations and entries of access control lists: the rows that permissions come from.

use serde::Serialize;

use super::acl::{Ace, AceType, Principal, Rights, Trustee};
use super::{
    AceId, GroupId, InvitationId, MemberId, ResourceId, ShareId, ShareRole, TenantId, Timestamp, UserId,
    text_enum,
};

/// A group of a tenant; groups may hold groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The identity provider's id, or ours.
    pub id: GroupId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its name.
    pub name: String,
    /// In words.
    pub description: Option<String>,
    /// Who made it: `local`, or the identity provider.
    pub provisioning_source: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the identity provider told of it last.
    pub scaikey_synced_at: Option<Timestamp>,
}

/// A membership in a share.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// The share.
    pub share: ShareId,
    /// Who is a member.
    pub principal: Principal,
    /// As what.
    pub role: ShareRole,
    /// From when on it counts for nothing.
    pub expires_at: Option<Timestamp>,
    /// Who made it.
    pub added_by: UserId,
    /// When.
    pub created_at: Timestamp,
}

/// An entry of an access control list.
#[derive(Clone, Debug, PartialEq)]
pub struct AclEntry {
    /// Its id.
    pub id: AceId,
    /// The resource that carries it.
    pub resource: ResourceId,
    /// The share that holds the resource.
    pub share: ShareId,
    /// Whom it is about.
    pub trustee: Trustee,
    /// Gives or takes.
    pub kind: AceType,
    /// Which rights.
    pub rights: Rights,
    /// Whether it counts for what lies below, too.
    pub inherits: bool,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
}

impl AclEntry {
    /// Returns what the evaluation needs of it.
    pub const fn ace(&self) -> Ace {
        Ace { kind: self.kind, rights: self.rights, inherits: self.inherits }
    }
}

text_enum! {
    /// What became of an invitation.
    pub enum InvitationStatus {
        /// Nobody has answered yet.
        Pending = "pending",
        /// The recipient is a member.
        Accepted = "accepted",
        /// The recipient said no.
        Declined = "declined",
        /// It was taken back.
        Revoked = "revoked",
    }
}

/// An invitation of somebody, known by address, to a share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The share.
    pub share_id: ShareId,
    /// The recipient's address, in lower case.
    pub email: String,
    /// As what.
    pub role: ShareRole,
    /// A word to the recipient.
    pub message: Option<String>,
    /// What became of it.
    pub status: InvitationStatus,
    /// Who invites.
    pub invited_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
}
