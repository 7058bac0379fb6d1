//! From a token to a caller: verified, provisioned, not suspended; and who a caller is now.

use super::tenants::{self, NewUser};
use super::transaction::{Transaction, transact};
use crate::Drive;
use crate::model::{
    Caller, Error, GroupClaims, RateLimits, Result, TenantId, Timestamp, User, UserId, UserStatus,
};
use crate::ports::metadata::Account;
use crate::ports::{Outcome, Reads, Writes};

/// How old a noted sign-in grows before it is noted again.
const LOGIN_AGE: std::time::Duration = std::time::Duration::from_secs(60);

/// What a request tells about itself, for audit and the log.
#[derive(Clone, Debug, Default)]
pub struct RequestInfo {
    /// Its id.
    pub request_id: String,
    /// The caller's address.
    pub ip: Option<String>,
    /// The caller's program.
    pub user_agent: Option<String>,
}

/// Returns the caller behind a bearer token; its user is made at the first request.
///
/// One query tells whether the tenant and the user may act, and which groups the user is in.
pub async fn authenticate(drive: &Drive, token: &str, request: RequestInfo) -> Result<Caller> {
    let identity = drive.identity.as_ref().ok_or_else(|| Error::internal("this drive takes no tokens"))?;
    let claims = identity.verify(token).await?;
    let mut caller = Caller {
        scopes: claims.scopes,
        claims: Some(GroupClaims { groups: claims.groups, issued_at: claims.issued_at }),
        ip: request.ip,
        user_agent: request.user_agent,
        service_account: claims.service_account,
        ..Caller::local(claims.tenant, claims.user, request.request_id)
    };
    let account = drive.read().await?.account(&caller).await?;
    let unknown = Error::Unauthenticated { missing: false, reason: "The token's tenant is not known here" };
    let account = account.ok_or(unknown)?;
    if account.tenant_status != UserStatus::Active {
        return Err(Error::Suspended);
    }
    let user = if let Some(user) = account.user.clone() {
        user
    } else {
        let profile = NewUser { email: claims.email, name: claims.name, ..NewUser::default() };
        tenants::provision(drive, &caller, profile).await?
    };
    let user =
        if user.last_login_at.is_none() { tenants::sign_in_first(drive, &caller).await? } else { user };
    let now = drive.clock.now();
    let is_noted = user.last_login_at.is_some_and(|at| now.since(at) < LOGIN_AGE);
    caller = known(caller, &Account { user: Some(user), ..account })?;
    if !is_noted {
        transact(drive, NoteLogin { tenant: caller.tenant, user: caller.user.clone(), at: now }).await?;
    }
    Ok(caller)
}

/// Losing one in a power cut harms nobody.
struct NoteLogin {
    tenant: TenantId,
    user: UserId,
    at: Timestamp,
}

#[async_trait::async_trait]
impl Transaction for NoteLogin {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        rows.note_login(self.tenant, &self.user, self.at).await?;
        Ok((Outcome::Commit, ()))
    }

    fn may_be_lost(&self) -> bool {
        true
    }
}

/// Returns the caller as it is by now: its role and groups may have changed since it was let in, and it may have
/// been suspended.
pub async fn refreshed(rows: &mut dyn Reads, caller: &Caller) -> Result<Caller> {
    if caller.is_system {
        return Ok(caller.clone());
    }
    let account = rows.account(caller).await?.ok_or(Error::NotFound)?;
    known(caller.clone(), &account)
}

fn known(caller: Caller, account: &Account) -> Result<Caller> {
    let acts = |user: &&User| user.status == UserStatus::Active;
    if account.tenant_status != UserStatus::Active {
        return Err(Error::Suspended);
    }
    let user = account.user.as_ref().filter(acts).ok_or(Error::Suspended)?;
    let rate_limits = RateLimits::of(&account.settings);
    Ok(Caller { admin_role: user.admin_role, groups: account.groups.clone(), rate_limits, ..caller })
}
