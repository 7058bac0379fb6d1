//! From a token to a caller: verified, provisioned, not suspended; and who a caller is now.

use serde_json::json;

use super::journal;
use super::mutation::audit_row;
use super::tenants::{self, NewUser};
use super::transaction::{Transaction, transact};
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, AuditEventId, Caller, Error, GroupClaims, RateLimits, ResourceKind, Result,
    TenantId, Timestamp, User, UserId, UserStatus,
};
use crate::ports::metadata::{Account, AuditRow};
use crate::ports::{Claims, Identity, Outcome, Reads, Writes};

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
    /// What it asks for, as the audit says it if it is refused.
    pub tried: String,
}

/// Returns the caller behind a bearer token; its user is made at the first request.
///
/// One query tells whether the tenant and the user may act, and which groups the user is in; one more finds the tenant
/// where the token names it by an id that is not ours.
pub async fn authenticate(drive: &Drive, token: &str, request: RequestInfo) -> Result<Caller> {
    let identity = drive.identity.as_ref().ok_or_else(|| Error::internal("this drive takes no tokens"))?;
    let_in(drive, identity.as_ref(), token, request, "token").await
}

/// Lets in whom a token speaks for; `by` is how it came to us. Whoever is known but may not come in is noted.
pub(super) async fn let_in(
    drive: &Drive,
    identity: &dyn Identity,
    token: &str,
    request: RequestInfo,
    by: &'static str,
) -> Result<Caller> {
    const UNKNOWN: Error =
        Error::Unauthenticated { missing: false, reason: "The token's tenant is not known here" };
    let claims = identity.verify(token).await?;
    let mut rows = drive.read().await?;
    let tenant = tenants::find(&mut *rows, &claims.tenant).await?.ok_or(UNKNOWN)?;
    let Claims { user, email, name, groups, scopes, service_account, issued_at, expires_at, .. } = claims;
    let caller = Caller {
        scopes,
        expires_at: Some(expires_at),
        claims: Some(GroupClaims { groups, issued_at }),
        ip: request.ip,
        user_agent: request.user_agent,
        service_account,
        ..Caller::local(tenant, user, request.request_id)
    };
    let account = rows.account(&caller).await?.ok_or(UNKNOWN)?;
    drop(rows);
    let token = Token {
        profile: NewUser { email, name, ..NewUser::default() },
        issued_at: if issued_at == Timestamp::default() { expires_at } else { issued_at },
        is_our_own: identity.is_embedded(),
        by,
    };
    let outcome = admit(drive, &caller, account, token).await;
    outcome.inspect_err(|error| journal::note_refusal(drive, &caller, &request.tried, error))
}

/// A token that was verified.
struct Token {
    /// What it tells of its user.
    profile: NewUser,
    /// When it was issued; where the provider does not say that, its end stands for it.
    issued_at: Timestamp,
    /// Whether it was minted by who runs this installation.
    is_our_own: bool,
    by: &'static str,
}

async fn admit(drive: &Drive, caller: &Caller, account: Account, token: Token) -> Result<Caller> {
    if account.tenant_status != UserStatus::Active {
        return Err(Error::Suspended);
    }
    if !token.is_our_own && account.user.as_ref().is_some_and(User::is_bootstrap) {
        // Whom a provider happens to call by the same name is somebody else.
        return Err(Error::Unauthenticated {
            missing: false,
            reason: "The token is not valid or has expired",
        });
    }
    let user = match account.user.clone() {
        Some(user) => user,
        None => tenants::provision(drive, caller, token.profile.clone()).await?,
    };
    let user = if user.last_login_at.is_none() { tenants::sign_in_first(drive, caller).await? } else { user };
    let note = NoteLogin::of(drive, caller, (&account, &user), &token);
    let caller = known(caller.clone(), &Account { user: Some(user), ..account })?;
    if let Some(note) = note {
        transact(drive, note).await?;
    }
    Ok(caller)
}

/// What is noted of a user who comes in: when it did last, to the minute, and each sign-in.
///
/// A token has no session, but it has a time of issue. One that is newer than all the user came with before is a new
/// sign-in, and told once, whichever replica sees it first: the event is written with the change that makes the token
/// an old one. By the issuer's clock alone, so that no difference to ours counts. Tokens of the same second are one
/// sign-in, and a token that is first used after a newer one is none.
struct NoteLogin {
    tenant: TenantId,
    user: UserId,
    /// Nothing where it was noted less than a minute ago.
    at: Option<Timestamp>,
    /// The token's time of issue and the event, where it is newer.
    sign_in: Option<(Timestamp, AuditRow)>,
}

impl NoteLogin {
    /// Returns what is to be noted, if anything is.
    fn of(drive: &Drive, caller: &Caller, (account, user): (&Account, &User), token: &Token) -> Option<Self> {
        let now = drive.clock.now();
        let is_noted = user.last_login_at.is_some_and(|at| now.since(at) < LOGIN_AGE);
        let issued = token.issued_at;
        let is_new = account.last_token_at.is_none_or(|last| last < issued);
        let event = || {
            let id = AuditEventId::new(drive.ids.ulid());
            let event =
                AuditEvent::new(AuditCategory::Authentication, "user.sign_in", ResourceKind::User, &user.id);
            audit_row(event.with(json!({ "by": token.by, "issued_at": issued })), id, caller, now)
        };
        (is_new || !is_noted).then(|| Self {
            tenant: caller.tenant,
            user: caller.user.clone(),
            at: (!is_noted).then_some(now),
            sign_in: is_new.then(|| (issued, event())),
        })
    }
}

#[async_trait::async_trait]
impl Transaction for NoteLogin {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        if let Some(at) = self.at {
            rows.note_login(self.tenant, &self.user, at).await?;
        }
        if let Some((issued, event)) = &self.sign_in
            && rows.note_token(self.tenant, &self.user, *issued).await?
        {
            rows.append_audit(self.tenant, std::slice::from_ref(event)).await?;
        }
        Ok((Outcome::Commit, ()))
    }

    /// When somebody was here last harms nobody if it is lost; that somebody signed in must be known.
    fn may_be_lost(&self) -> bool {
        self.sign_in.is_none()
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
