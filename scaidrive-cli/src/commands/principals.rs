//! Users and groups, as the command line names them.

use scaidrive_core::model::{Caller, Error, GroupId, Principal, Trustee, UserId};
use scaidrive_core::services::users;

use crate::exit::Result;
use crate::session::Session;

/// How many bearers of a name are looked through for one of exactly that name.
const FOUND: u32 = 1000;

/// Reads `user:ID` or `group:ID`. Instead of an id, a user's address and a group's name do where only one has it.
pub(crate) async fn principal(session: &Session, caller: &Caller, text: &str) -> Result<Principal> {
    match text.split_once(':') {
        Some(("user", user)) => Ok(Principal::User(self::user(session, caller, user).await?)),
        Some(("group", group)) => Ok(Principal::Group(self::group(session, caller, group).await?)),
        _ => Err(Error::invalid("principal", "must read user:ID or group:ID", text).into()),
    }
}

/// Reads `everyone`, or what [`principal`] reads.
pub(crate) async fn trustee(session: &Session, caller: &Caller, text: &str) -> Result<Trustee> {
    if text == "everyone" {
        return Ok(Trustee::Everyone);
    }
    Ok(Trustee::Principal(principal(session, caller, text).await?))
}

/// Returns the user of an id, or else of an address; an id that nobody has is for the service to refuse.
pub(crate) async fn user(session: &Session, caller: &Caller, text: &str) -> Result<UserId> {
    let id = user_id(text)?;
    // Never an address before an id: anybody may have any address.
    if session.drive.read().await?.user(caller.tenant, &id).await?.is_some() {
        return Ok(id);
    }
    let found = users::search(&session.drive, caller, text, Some("user"), FOUND).await?.users;
    let named = |email: &Option<String>| email.as_deref().is_some_and(|email| is_same(email, text));
    let named = found.into_iter().filter(|user| named(&user.email)).map(|user| user.id);
    Ok(only(named, "user", text)?.unwrap_or(id))
}

/// Returns the group of an id, or else of a name; an id that none has is for the service to refuse.
pub(crate) async fn group(session: &Session, caller: &Caller, text: &str) -> Result<GroupId> {
    let wrong = |_| Error::invalid("group", "not the id or name of a group", text);
    let id: GroupId = text.parse().map_err(wrong)?;
    if session.drive.read().await?.group(caller.tenant, &id).await?.is_some() {
        return Ok(id);
    }
    let found = users::search(&session.drive, caller, text, Some("group"), FOUND).await?.groups;
    let named = found.into_iter().filter(|group| is_same(&group.name, text)).map(|group| group.id);
    Ok(only(named, "group", text)?.unwrap_or(id))
}

/// Reads the id of a user.
pub(crate) fn user_id(text: &str) -> Result<UserId> {
    let message = "a user's id has 1 to 255 bytes, no control characters";
    Ok(text.parse().map_err(|_| Error::invalid("id", message, text))?)
}

fn is_same(name: &str, text: &str) -> bool {
    name.to_lowercase() == text.to_lowercase()
}

fn only<T>(mut found: impl Iterator<Item = T>, field: &'static str, text: &str) -> Result<Option<T>> {
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Error::invalid(field, "several have this name; give the id", text).into()),
        (only, None) => Ok(only),
    }
}
