//! Who may do what to a resource: the one function that decides, pure, from entries, roles and the way up.
//!
//! Windows semantics (permissions.md): explicit deny, explicit allow, inherited deny, inherited allow, nearer
//! ancestors before farther. A tree is judged from its root down: [`Inherited`] is what a resource passes on, and
//! [`decide`] needs that and the resource's own entries alone. So a listing of a thousand children costs one walk
//! up, whatever the depth, and a walk down costs one step a node.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::{GroupId, InvalidId, ShareRole, UserId, text_enum};

text_enum! {
    /// What somebody may do to a resource.
    pub enum Right {
        /// See it and its content.
        Read = "READ",
        /// Change content, name, metadata.
        Write = "WRITE",
        /// Put it in the trash, or remove it.
        Delete = "DELETE",
        /// Put something inside.
        Create = "CREATE",
        /// Make links for people outside.
        Share = "SHARE",
        /// Change who may do what.
        ManagePermissions = "MANAGE_PERMISSIONS",
    }
}

/// A set of rights.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rights(u8);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Every right.
    pub const ALL: Self = Self(63);

    /// Returns the set with these bits, unless it has others than those of rights.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits <= Self::ALL.0 { Some(Self(bits)) } else { None }
    }

    /// Returns the bits: READ 1, WRITE 2, DELETE 4, CREATE 8, SHARE 16, MANAGE_PERMISSIONS 32.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Tells whether a right is in the set.
    pub const fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u8) != 0
    }

    /// Tells whether the set holds nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the rights in the set, in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.iter().copied().filter(move |right| self.has(*right))
    }
}

impl From<Right> for Rights {
    fn from(right: Right) -> Self {
        Self(1 << right as u8)
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        rights.into_iter().fold(Self::NONE, |all, right| all | right.into())
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Rights {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Rights {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Rights {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl ShareRole {
    /// Returns what a role allows where nothing else decides.
    pub const fn rights(self) -> Rights {
        match self {
            Self::Reader => Rights(1),
            Self::Contributor => Rights(15),
            Self::Admin | Self::Owner => Rights::ALL,
        }
    }

    /// Tells whether nothing that is inherited can lock this role out.
    pub const fn is_manager(self) -> bool {
        matches!(self, Self::Admin | Self::Owner)
    }
}

/// A user or a group: who can be a member, or own a share.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A user.
    User(UserId),
    /// A group, for all who are in it.
    Group(GroupId),
}

impl Principal {
    /// Returns `user` or `group`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Group(_) => "group",
        }
    }

    /// Returns the id alone.
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Group(id) => id.as_str(),
        }
    }

    /// Returns the principal of a kind and an id.
    pub fn of(kind: &str, id: &str) -> Result<Self, InvalidId> {
        match kind {
            "user" => id.parse().map(Self::User),
            "group" => id.parse().map(Self::Group),
            _ => Err(InvalidId),
        }
    }
}

impl fmt::Display for Principal {
    /// Writes `user:<id>` or `group:<id>`, which is also how the database knows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.id())
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Principal {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (kind, id) = text.split_once(':').ok_or(InvalidId)?;
        Self::of(kind, id)
    }
}

/// Whom an entry of an access control list is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trustee {
    /// Every active user of the tenant.
    Everyone,
    /// A user or group.
    Principal(Principal),
}

impl Trustee {
    /// Returns `everyone`, `user` or `group`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Everyone => "everyone",
            Self::Principal(principal) => principal.kind(),
        }
    }

    /// Returns the user or group.
    pub const fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Everyone => None,
            Self::Principal(principal) => Some(principal),
        }
    }
}

impl fmt::Display for Trustee {
    /// Writes `everyone`, `user:<id>` or `group:<id>`, which is also how the database knows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Principal(principal) => principal.fmt(f),
        }
    }
}

impl fmt::Debug for Trustee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Trustee {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text == "everyone" { Ok(Self::Everyone) } else { text.parse().map(Self::Principal) }
    }
}

impl From<Principal> for Trustee {
    fn from(principal: Principal) -> Self {
        Self::Principal(principal)
    }
}

text_enum! {
    /// Whether an entry gives or takes.
    pub enum AceType {
        /// Takes; at one level it beats what is given.
        Deny = "deny",
        /// Gives.
        Allow = "allow",
    }
}

/// What an entry that matches the caller says; whom it matches was decided when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ace {
    /// Gives or takes.
    pub kind: AceType,
    /// Which rights.
    pub rights: Rights,
    /// Whether it counts for what lies below, too.
    pub inherits: bool,
}

/// A resource as one caller sees it: the entries that match the caller, and whether it takes over what lies above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The entries that match.
    pub entries: Vec<Ace>,
    /// Whether what lies above counts here; the share's root has nothing above it.
    pub inherits_from_parent: bool,
}

impl Default for Level {
    fn default() -> Self {
        Self { entries: Vec::new(), inherits_from_parent: true }
    }
}

/// What the caller is in a share, whatever the entries say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether the caller has an administrative role in the database: then nothing else counts.
    pub is_tenant_admin: bool,
    /// The highest role that the caller has in the share, through whatever group; `Owner` for its owner.
    pub role: Option<ShareRole>,
}

/// What entries said about some of the rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    allowed: Rights,
    denied: Rights,
}

impl Said {
    /// At one level a deny beats an allow.
    fn at<'a>(entries: impl Iterator<Item = &'a Ace>) -> Self {
        let mut said = Self::default();
        for entry in entries {
            match entry.kind {
                AceType::Allow => said.allowed |= entry.rights,
                AceType::Deny => said.denied |= entry.rights,
            }
        }
        Self { allowed: said.allowed - said.denied, denied: said.denied }
    }

    /// What is said here counts; of what is said farther away, only what is left open here.
    fn or(self, farther: Self) -> Self {
        let open = Rights::ALL - self.allowed - self.denied;
        Self {
            allowed: self.allowed | (farther.allowed & open),
            denied: self.denied | (farther.denied & open),
        }
    }
}

/// What a resource passes on to those it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    said: Said,
    /// Whether inheritance was broken on the way: then the share's role does not count below.
    is_fenced: bool,
}

impl Inherited {
    /// Returns what a resource passes on, given what it inherits itself; nothing lies above the share's root.
    #[must_use]
    pub fn through(self, level: &Level) -> Self {
        let above = if level.inherits_from_parent { self } else { Self::severed() };
        let own = Said::at(level.entries.iter().filter(|entry| entry.inherits));
        Self { said: own.or(above.said), is_fenced: above.is_fenced }
    }

    /// Returns what a way that does not reach the share's root passes on: whatever stood there is not known any more.
    pub fn severed() -> Self {
        Self { is_fenced: true, ..Self::default() }
    }

    /// Returns what is passed on at the end of a way from the share's root down.
    pub fn along<'l>(from_root: impl IntoIterator<Item = &'l Level>) -> Self {
        from_root.into_iter().fold(Self::default(), Self::through)
    }
}

/// Returns the rights of a caller on a resource, from what it inherits and its own entries.
pub fn decide(standing: Standing, above: Inherited, own: &Level) -> Rights {
    if standing.is_tenant_admin {
        return Rights::ALL;
    }
    let above = if own.inherits_from_parent { above } else { Inherited::severed() };
    let said = Said::at(own.entries.iter()).or(above.said);
    let open = Rights::ALL - said.allowed - said.denied;
    // Nobody locks the managers of a share out by fencing a folder in.
    let by_role = match standing.role {
        Some(role) if !above.is_fenced || role.is_manager() => role.rights(),
        _ => Rights::NONE,
    };
    let owners = match standing.role {
        Some(ShareRole::Owner) => Rights::from(Right::ManagePermissions),
        _ => Rights::NONE,
    };
    said.allowed | (by_role & open) | owners
}

/// Returns the rights of a caller on the last of these levels, which begin at the share's root.
pub fn rights_along(standing: Standing, from_root: &[Level]) -> Rights {
    let Some((own, above)) = from_root.split_last() else { return Rights::NONE };
    decide(standing, Inherited::along(above), own)
}

/// Why a right is granted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The caller administers the tenant.
    TenantAdmin,
    /// The caller owns the share, and can always find the way back.
    Owner,
    /// An entry says so: which of which level, the share's root being the first.
    Entry {
        /// The level.
        level: usize,
        /// The entry in it.
        entry: usize,
    },
    /// No entry says anything, and so the role in the share counts.
    Role(ShareRole),
    /// No entry says anything, and a folder on the way does not inherit, so the role does not count.
    Fence,
    /// Nothing grants it.
    Nothing,
}

impl Reason {
    /// Returns a word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantAdmin => "tenant_admin",
            Self::Owner => "owner",
            Self::Entry { .. } => "entry",
            Self::Role(_) => "role",
            Self::Fence => "fence",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TenantAdmin => f.write_str("administers the tenant"),
            Self::Owner => f.write_str("owns the share, and an owner can always change its permissions"),
            Self::Entry { .. } => f.write_str("an entry of an access control list says so"),
            Self::Role(role) => write!(f, "no entry says anything; is {role} of the share"),
            Self::Fence => {
                f.write_str("no entry says anything, and inheritance is broken, so the role does not count")
            }
            Self::Nothing => f.write_str("no entry grants it, nor does a role"),
        }
    }
}

/// Returns whether a right is granted on the last of these levels, and why: the same answer as [`decide`]'s, found by
/// walking up as permissions.md tells it.
pub fn explain(standing: Standing, from_root: &[Level], right: Right) -> (bool, Reason) {
    if standing.is_tenant_admin {
        return (true, Reason::TenantAdmin);
    }
    if right == Right::ManagePermissions && standing.role == Some(ShareRole::Owner) {
        return (true, Reason::Owner);
    }
    let mut is_fenced = false;
    for (at, level) in from_root.iter().enumerate().rev() {
        let is_own = at + 1 == from_root.len();
        let says = |kind| {
            let speaks =
                |entry: &Ace| entry.kind == kind && entry.rights.has(right) && (is_own || entry.inherits);
            level.entries.iter().position(speaks).map(|entry| Reason::Entry { level: at, entry })
        };
        if let Some(reason) = says(AceType::Deny) {
            return (false, reason);
        }
        if let Some(reason) = says(AceType::Allow) {
            return (true, reason);
        }
        if !level.inherits_from_parent {
            is_fenced = true;
            break;
        }
    }
    match standing.role {
        Some(role) if is_fenced && !role.is_manager() => (false, Reason::Fence),
        Some(role) => (role.rights().has(right), Reason::Role(role)),
        None => (false, Reason::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ace(kind: AceType, rights: &[Right], inherits: bool) -> Ace {
        Ace { kind, rights: rights.iter().copied().collect(), inherits }
    }

    #[test]
    fn bits_are_those_of_the_contract() {
        let bits: Vec<u8> = Right::ALL.iter().map(|right| Rights::from(*right).bits()).collect();
        assert_eq!(bits, [1, 2, 4, 8, 16, 32]);
        assert_eq!(ShareRole::Contributor.rights().bits(), 15);
        assert_eq!(Rights::from_bits(64), None);
    }

    #[test]
    fn an_explicit_allow_beats_an_inherited_deny() {
        let root = Level { entries: vec![ace(AceType::Deny, &[Right::Read], true)], ..Level::default() };
        let own = Level { entries: vec![ace(AceType::Allow, &[Right::Read], false)], ..Level::default() };
        let reader = Standing { role: Some(ShareRole::Reader), ..Standing::default() };
        let above = Inherited::along([&root]);
        assert!(!decide(reader, above, &Level::default()).has(Right::Read));
        assert!(decide(reader, above, &own).has(Right::Read));
    }

    #[test]
    fn an_owner_can_be_denied_all_but_the_way_back() {
        let own = Level {
            entries: vec![Ace { kind: AceType::Deny, rights: Rights::ALL, inherits: true }],
            ..Level::default()
        };
        let owner = Standing { role: Some(ShareRole::Owner), ..Standing::default() };
        assert_eq!(decide(owner, Inherited::default(), &own), Right::ManagePermissions.into());
    }

    #[test]
    fn trustees_read_back_what_they_write() {
        for text in ["everyone", "user:a:b", "group:auth0|x"] {
            assert_eq!(text.parse::<Trustee>().unwrap().to_string(), text);
        }
        assert!("user:".parse::<Trustee>().is_err());
        assert!("users:x".parse::<Trustee>().is_err());
    }
}
