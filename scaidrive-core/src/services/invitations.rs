//! Invitations: somebody known by address is asked into a share, and says yes or no.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use super::access::{self, Right};
use super::letters::{self, Addressed, Letter};
use super::members::{self, NewMember};
use super::mutation::{self, Mutation, Tx};
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Error, Invitation, InvitationId, InvitationStatus, Member, Principal,
    ResourceKind, Result, ShareId, ShareRole,
};
use crate::ports::metadata::UserSearch;

/// Days that an invitation can be accepted, unless its sender says otherwise.
pub const DAYS: u32 = 14;

/// The most days it may be.
const MOST_DAYS: u32 = 365;

/// An invitation to be.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// The recipient's address.
    pub email: String,
    /// As what.
    pub role: ShareRole,
    /// A word to the recipient.
    pub message: Option<String>,
    /// Days that it can be accepted.
    pub expires_in_days: u32,
}

/// Returns an address in the one spelling that addresses are compared in, or what is wrong with it.
fn address(text: &str) -> Result<String> {
    let address = text.trim().to_lowercase();
    if letters::is_address(&address) { Ok(address) } else { Err(letters::no_address(text)) }
}

/// Returns the invitations to a share, newest first, to those who may change its permissions.
pub async fn list(drive: &Drive, caller: &Caller, share: ShareId) -> Result<Vec<Invitation>> {
    let mut rows = drive.read().await?;
    access::share(&mut *rows, caller, share, Right::ManagePermissions).await?;
    rows.invitations(caller.tenant, share).await
}

/// Invites somebody to a share.
pub async fn create(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    new: NewInvitation,
) -> Result<Invitation> {
    members::check_role(new.role)?;
    if !(1..=MOST_DAYS).contains(&new.expires_in_days) {
        let message = format!("must be from 1 to {MOST_DAYS}");
        return Err(Error::invalid("expires_in_days", message, new.expires_in_days));
    }
    if new.message.as_ref().is_some_and(|message| message.len() > 2000) {
        return Err(Error::invalid("message", "has at most 2000 bytes", new.message));
    }
    let new = NewInvitation { email: address(&new.email)?, ..new };
    mutation::run(drive, caller, Create { share, new }).await
}

struct Create {
    share: ShareId,
    new: NewInvitation,
}

#[async_trait]
impl Mutation for Create {
    type Output = Invitation;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Invitation> {
        let (share, standpoint) = members::lock(tx, self.share).await?;
        members::check_rank(tx.caller, &standpoint, self.new.role, self.share)?;
        self.refuse_members(tx).await?;
        let lifetime = Duration::from_secs(u64::from(self.new.expires_in_days) * 86_400);
        let invitation = Invitation {
            id: InvitationId::new(tx.ulid()),
            share_id: self.share,
            email: self.new.email.clone(),
            role: self.new.role,
            message: self.new.message.clone(),
            status: InvitationStatus::Pending,
            invited_by: tx.caller.user.clone(),
            created_at: tx.now,
            expires_at: tx.now.plus(lifetime),
            answered_at: None,
        };
        tx.rows.insert_invitation(tx.caller.tenant, &invitation).await?;
        let letter = Letter::Invitation {
            share: share.name,
            inviter: letters::name_of_caller(tx).await?,
            role: invitation.role.to_string(),
            until: invitation.expires_at.to_string(),
            message: invitation.message.clone(),
        };
        tx.mail(&Addressed { to: invitation.email.clone(), letter })?;
        tell(tx, &invitation, "invitation.create");
        tx.created(invitation.id);
        Ok(invitation)
    }
}

impl Create {
    /// Fails for somebody who is a member, or has an open invitation.
    async fn refuse_members(&self, tx: &mut Tx<'_>) -> Result<()> {
        let tenant = tx.caller.tenant;
        let search = UserSearch { search: Some(self.new.email.clone()), limit: 100, ..UserSearch::default() };
        let (users, _) = tx.rows.search_users(tenant, &search).await?;
        let (members, _) = tx.rows.members(tenant, self.share, u32::MAX, 0).await?;
        let is_invited =
            |email: &Option<String>| email.as_ref().is_some_and(|e| e.to_lowercase() == self.new.email);
        let is_member = |member: &Member| {
            users
                .iter()
                .any(|user| is_invited(&user.email) && member.principal == Principal::User(user.id.clone()))
        };
        if members.iter().any(is_member) {
            return Err(Error::AlreadyExists { what: format!("member {}", self.new.email) });
        }
        let open = tx.rows.invitations_to(tenant, &self.new.email).await?;
        if open.iter().any(|other| other.share_id == self.share && other.expires_at > tx.now) {
            return Err(Error::AlreadyExists { what: format!("invitation of {}", self.new.email) });
        }
        Ok(())
    }
}

fn tell(tx: &mut Tx<'_>, invitation: &Invitation, action: &'static str) {
    let payload = json!({ "invitation": invitation.id, "email": invitation.email, "role": invitation.role });
    let event = AuditEvent::new(AuditCategory::Sharing, action, ResourceKind::Share, invitation.share_id);
    tx.audit(event.with(payload));
}

/// Takes an invitation back.
pub async fn revoke(drive: &Drive, caller: &Caller, share: ShareId, id: InvitationId) -> Result<()> {
    mutation::run(drive, caller, Revoke { share, id }).await
}

struct Revoke {
    share: ShareId,
    id: InvitationId,
}

#[async_trait]
impl Mutation for Revoke {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        members::lock(tx, self.share).await?;
        let found = tx.rows.invitation(tx.caller.tenant, self.id).await?;
        let invitation = found.filter(|found| found.share_id == self.share).ok_or(Error::NotFound)?;
        answer(tx, invitation, InvitationStatus::Revoked).await?;
        Ok(())
    }
}

/// Writes an answer; one that was given before stays.
async fn answer(tx: &mut Tx<'_>, mut invitation: Invitation, status: InvitationStatus) -> Result<Invitation> {
    invitation.status = status;
    invitation.answered_at = Some(tx.now);
    if !tx.rows.answer_invitation(tx.caller.tenant, &invitation).await? {
        return Err(Error::AlreadyExists { what: "an answer to this invitation".to_owned() });
    }
    tell(
        tx,
        &invitation,
        match status {
            InvitationStatus::Accepted => "invitation.accept",
            InvitationStatus::Declined => "invitation.decline",
            InvitationStatus::Revoked | InvitationStatus::Pending => "invitation.revoke",
        },
    );
    Ok(invitation)
}

/// An invitation as its recipient sees it.
#[derive(Clone, Debug, Serialize)]
pub struct MyInvitation {
    /// The invitation.
    #[serde(flatten)]
    pub invitation: Invitation,
    /// What the share is called.
    pub share_name: String,
}

/// Returns the caller's own address as invitations spell it.
async fn own_address(rows: &mut dyn crate::ports::Reads, caller: &Caller) -> Result<Option<String>> {
    let user = rows.user(caller.tenant, &caller.user).await?.ok_or(Error::NotFound)?;
    Ok(user.email.and_then(|email| address(&email).ok()))
}

/// Returns the invitations to the caller that wait for an answer, newest first.
pub async fn mine(drive: &Drive, caller: &Caller) -> Result<Vec<MyInvitation>> {
    let mut rows = drive.read().await?;
    let Some(email) = own_address(&mut *rows, caller).await? else { return Ok(Vec::new()) };
    let now = drive.clock.now();
    let mut found = Vec::new();
    for invitation in rows.invitations_to(caller.tenant, &email).await? {
        let share = rows.share(caller.tenant, invitation.share_id).await?;
        if let Some(share) = share.filter(|share| !share.is_deleted && invitation.expires_at > now) {
            found.push(MyInvitation { invitation, share_name: share.name });
        }
    }
    Ok(found)
}

/// Says yes or no to an invitation; yes makes the caller a member.
pub async fn reply(drive: &Drive, caller: &Caller, id: InvitationId, accepts: bool) -> Result<Invitation> {
    mutation::run(drive, caller, Reply { id, accepts }).await
}

struct Reply {
    id: InvitationId,
    accepts: bool,
}

#[async_trait]
impl Mutation for Reply {
    type Output = Invitation;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Invitation> {
        let tenant = tx.caller.tenant;
        let email = own_address(tx.rows, tx.caller).await?.ok_or(Error::NotFound)?;
        let found = tx.rows.invitation(tenant, self.id).await?.filter(|found| found.email == email);
        let invitation = found.ok_or(Error::NotFound)?;
        let share = tx.rows.lock_tree(tenant, invitation.share_id).await?.ok_or(Error::NotFound)?;
        if invitation.status != InvitationStatus::Pending {
            return Err(Error::AlreadyExists { what: "an answer to this invitation".to_owned() });
        }
        if invitation.expires_at <= tx.now || share.is_deleted {
            return Err(Error::Gone { what: format!("invitation/{}", self.id) });
        }
        if !self.accepts {
            return answer(tx, invitation, InvitationStatus::Declined).await;
        }
        let principal = Principal::User(tx.caller.user.clone());
        let new = NewMember { principal, role: invitation.role, expires_at: None };
        let invitation = answer(tx, invitation, InvitationStatus::Accepted).await?;
        members::insert(tx, &share, &new).await?;
        Ok(invitation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_one_spelling() {
        assert_eq!(address(" Ada@Example.ORG ").unwrap(), "ada@example.org");
        for wrong in ["", "ada", "@example.org", "ada@", "a da@example.org", "ada@exa\nmple.org"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
