//! From a token to a caller: verified, provisioned, not suspended.

use super::tenants::{self, NewUser};
use crate::Drive;
use crate::model::{Caller, Error, Result, UserStatus};

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
pub async fn authenticate(drive: &Drive, token: &str, request: RequestInfo) -> Result<Caller> {
    let identity = drive.identity.as_ref().ok_or_else(|| Error::internal("this drive takes no tokens"))?;
    let claims = identity.verify(token).await?;
    let unknown = Error::Unauthenticated { missing: false, reason: "The token's tenant is not known here" };
    let tenant = drive.read().await?.tenant(claims.tenant).await?.ok_or(unknown)?;
    if tenant.status != UserStatus::Active {
        return Err(Error::Suspended);
    }
    let mut caller = Caller {
        tenant: claims.tenant,
        user: claims.user,
        admin_role: None,
        scopes: claims.scopes,
        request_id: request.request_id,
        ip: request.ip,
        user_agent: request.user_agent,
        service_account: claims.service_account,
    };
    let profile = NewUser { email: claims.email, name: claims.name, ..NewUser::default() };
    let user = tenants::provision(drive, &caller, profile).await?;
    if user.status != UserStatus::Active {
        return Err(Error::Suspended);
    }
    caller.admin_role = user.admin_role;
    Ok(caller)
}
