//! What mail says: a text and an HTML template for each letter, the first line of the text is what it is about.
//!
//! A mutation asks for a letter with its facts alone; it is written when it is sent.

mod address;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde::{Deserialize, Serialize};

pub(super) use self::address::is_address;
use super::mutation::Tx;
use crate::model::{Error, Principal, Quota, QuotaTarget, Result, TenantId, User, UserStatus};
use crate::ports::metadata::UserSearch;
use crate::ports::{Mail, Reads};

/// Administrators told of a tenant's quota.
const MOST_ADMINS: u32 = 20;

/// A letter's facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
pub enum Letter {
    /// Somebody is invited to a share.
    Invitation {
        /// What the share is called.
        share: String,
        /// Who invites.
        inviter: String,
        /// As what.
        role: String,
        /// Until when it can be accepted.
        until: String,
        /// A word to the recipient.
        message: Option<String>,
    },
    /// Somebody was let into a share.
    Shared {
        /// What the share is called.
        share: String,
        /// Who did it.
        sharer: String,
        /// As what.
        role: String,
        /// Until when.
        until: Option<String>,
    },
    /// Room is running out.
    Quota {
        /// Whose.
        what: String,
        /// Used, in percent of the limit.
        percent: i64,
        /// Used, in bytes.
        used: i64,
        /// The limit, in bytes.
        limit: u64,
    },
}

/// A letter and where it goes: what a job of mail carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Addressed {
    /// The recipient's address.
    pub to: String,
    /// What is told.
    #[serde(flatten)]
    pub letter: Letter,
}

impl Letter {
    const fn templates(&self) -> (&'static str, &'static str) {
        match self {
            Self::Invitation { .. } => (include_str!("invitation.txt"), include_str!("invitation.html")),
            Self::Shared { .. } => (include_str!("shared.txt"), include_str!("shared.html")),
            Self::Quota { .. } => (include_str!("quota.txt"), include_str!("quota.html")),
        }
    }
}

/// Writes a letter; `url` is where people reach the server, if that is known.
pub fn write(addressed: &Addressed, url: Option<&str>) -> Result<Mail> {
    let (text, html) = addressed.letter.templates();
    let mut templates = Environment::new();
    let blocks = SyntaxConfig::builder().trim_blocks(true).build();
    templates.set_syntax(blocks.map_err(broken)?);
    let facts = context! { url, ..Serde(&addressed.letter) };
    // Names decide what is escaped.
    let render = |name, template| templates.render_named_str(name, template, &facts);
    let (text, html) =
        (render("letter.txt", text).map_err(broken)?, render("letter.html", html).map_err(broken)?);
    let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
    Ok(Mail {
        to: addressed.to.clone(),
        // A name may hold what would begin another header field.
        subject: subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        text: text.to_owned(),
        html,
    })
}

fn broken(error: minijinja::Error) -> Error {
    Error::internal(format!("a letter cannot be written: {error}"))
}

/// Returns what a user is called in a letter.
pub(super) fn name_of(user: &User) -> String {
    let names = [&user.display_name, &user.name, &user.email];
    names.into_iter().flatten().find(|name| !name.is_empty()).cloned().unwrap_or_else(|| user.id.to_string())
}

/// Returns the error for a field `email` that holds none.
pub(super) fn no_address(text: &str) -> Error {
    Error::invalid("email", "must be an address like name@example.org", text)
}

/// Returns where letters reach a user; nothing if what an identity provider told is no address.
pub(super) fn address_of(user: User) -> Option<String> {
    user.email.filter(|email| is_address(email))
}

/// Returns what the caller is called in a letter.
pub(super) async fn name_of_caller(tx: &mut Tx<'_>) -> Result<String> {
    let user = tx.rows.user(tx.caller.tenant, &tx.caller.user).await?;
    Ok(user.as_ref().map_or_else(|| tx.caller.user.to_string(), name_of))
}

/// Returns the letters that warn of a quota: to the user, to the owner of the share, or to the tenant's
/// administrators; to nobody where no address is known.
pub(super) async fn warnings(
    rows: &mut dyn Reads,
    tenant: TenantId,
    quota: &Quota,
    used: i64,
) -> Result<Vec<Addressed>> {
    let Some(limit) = quota.limits.limit_bytes else { return Ok(Vec::new()) };
    let (what, concerned) = match &quota.target {
        QuotaTarget::User(id) => {
            let user = rows.user(tenant, id).await?;
            (user.as_ref().map(name_of).unwrap_or_default(), user.into_iter().collect())
        }
        QuotaTarget::Share(id) => {
            let Some(share) = rows.share(tenant, *id).await? else { return Ok(Vec::new()) };
            let owner = match &share.owner {
                Principal::User(user) => rows.user(tenant, user).await?,
                Principal::Group(_) => None,
            };
            (share.name, owner.into_iter().collect())
        }
        QuotaTarget::Tenant | QuotaTarget::Group(_) => {
            let admins = UserSearch { is_admin: Some(true), limit: MOST_ADMINS, ..UserSearch::default() };
            let tenant_name = rows.tenant(tenant).await?.map(|tenant| tenant.name).unwrap_or_default();
            let (users, _) = rows.search_users(tenant, &admins).await?;
            (tenant_name, users)
        }
    };
    let percent = used.saturating_mul(100) / i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
    let letter = Letter::Quota { what, percent, used, limit };
    let addressed = |user: User| Some(Addressed { to: address_of(user)?, letter: letter.clone() });
    let reachable = concerned
        .into_iter()
        .filter(|user: &User| matches!(user.status, UserStatus::Active | UserStatus::Pending));
    Ok(reachable.filter_map(addressed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(share: &str) -> Addressed {
        let letter = Letter::Shared {
            share: share.to_owned(),
            sharer: "Ann".to_owned(),
            role: "reader".to_owned(),
            until: None,
        };
        Addressed { to: "bob@example.org".to_owned(), letter }
    }

    #[test]
    fn names_are_text_in_text_and_escaped_in_html() {
        let mail = write(&shared("R&D <b>"), Some("https://drive.example")).unwrap();
        assert_eq!(mail.subject, "Ann shared R&D <b> with you");
        assert!(mail.text.starts_with("Ann made you reader of the share \"R&D <b>\".\n"), "{}", mail.text);
        assert!(mail.html.contains("R&amp;D &lt;b&gt;"), "{}", mail.html);
        assert!(mail.html.contains("<a href=\"https:"), "{}", mail.html);
    }

    #[test]
    fn a_name_begins_no_header_field_of_its_own() {
        let mail = write(&shared("x\r\nBcc: eve@example.org"), None).unwrap();
        assert!(!mail.subject.contains(['\r', '\n']), "{:?}", mail.subject);
        assert!(!mail.text.contains("http") && !mail.html.contains("href"), "{mail:?}");
    }

    #[test]
    fn a_letter_survives_its_job() {
        let addressed = shared("s");
        let payload = serde_json::to_value(&addressed).unwrap();
        assert_eq!(serde_json::from_value::<Addressed>(payload).unwrap(), addressed);
        let quota = Letter::Quota { what: "Ann".into(), percent: 85, used: 85, limit: 100 };
        let mail = write(&Addressed { to: "a@b".into(), letter: quota }, None).unwrap();
        assert_eq!(mail.subject, "Ann: 85 % of the storage is used");
        let invitation = Letter::Invitation {
            share: "s".into(),
            inviter: "Ann".into(),
            role: "reader".into(),
            until: "2026-12-24".into(),
            message: Some("come in\nplease".into()),
        };
        let mail = write(&Addressed { to: "a@b".into(), letter: invitation }, None).unwrap();
        assert!(mail.text.contains("come in\nplease") && mail.html.contains("come in\nplease"), "{mail:?}");
    }
}
