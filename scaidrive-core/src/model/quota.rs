//! Limits of what may be used, and what becomes of a change under them: pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{GroupId, InvalidId, QuotaId, ShareId, Timestamp, UsageTarget, UserId, text_enum};

/// Whom a limit is for; the partner's is kept by allocation and is no row of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaTarget {
    /// The whole tenant.
    Tenant,
    /// A share.
    Share(ShareId),
    /// The owner of files.
    User(UserId),
    /// A group: all who are in it together.
    Group(GroupId),
}

impl QuotaTarget {
    /// Returns `tenant`, `share`, `user` or `group`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Share(_) => "share",
            Self::User(_) => "user",
            Self::Group(_) => "group",
        }
    }

    /// Returns the id alone; nothing for the tenant, whose id the caller knows.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::Tenant => None,
            Self::Share(id) => Some(id.to_string()),
            Self::User(id) => Some(id.to_string()),
            Self::Group(id) => Some(id.to_string()),
        }
    }
}

impl fmt::Display for QuotaTarget {
    /// Writes what the counter of the same target is called, where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            Some(id) => write!(f, "{}:{id}", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

impl FromStr for QuotaTarget {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once(':') {
            None if text == "tenant" => Ok(Self::Tenant),
            Some(("share", id)) => id.parse().map(Self::Share),
            Some(("user", id)) => id.parse().map(Self::User),
            Some(("group", id)) => id.parse().map(Self::Group),
            _ => Err(InvalidId),
        }
    }
}

impl From<&UsageTarget> for QuotaTarget {
    fn from(target: &UsageTarget) -> Self {
        match target {
            UsageTarget::Tenant => Self::Tenant,
            UsageTarget::Share(id) => Self::Share(*id),
            UsageTarget::User(id) => Self::User(id.clone()),
        }
    }
}

text_enum! {
    /// What happens at the limit.
    pub enum LimitType {
        /// Nothing more is taken.
        Hard = "hard",
        /// A little more is taken for a while.
        Soft = "soft",
    }
}

/// A limit as an administrator sets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes: current, old versions and trash, before dedup; nothing for no limit.
    pub limit_bytes: Option<u64>,
    /// What happens there.
    pub limit_type: LimitType,
    /// Percent of the limit at which administrators are told first.
    pub warning_threshold_1: u32,
    /// And then.
    pub warning_threshold_2: u32,
    /// And last.
    pub warning_threshold_3: u32,
    /// Days that a soft limit may be passed.
    pub grace_period_days: u32,
    /// Percent that a soft limit may be passed by.
    pub grace_extra_percent: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            limit_bytes: None,
            limit_type: LimitType::Hard,
            warning_threshold_1: 70,
            warning_threshold_2: 85,
            warning_threshold_3: 95,
            grace_period_days: 7,
            grace_extra_percent: 10,
        }
    }
}

impl Limits {
    /// Returns the most that can be used under it, what a soft limit gives way by included; nothing for no limit.
    pub fn most(&self) -> Option<u64> {
        let limit = self.limit_bytes?;
        let extra = match self.limit_type {
            LimitType::Hard => 0,
            LimitType::Soft => u128::from(limit) * u128::from(self.grace_extra_percent) / 100,
        };
        Some(u64::try_from(u128::from(limit) + extra).unwrap_or(u64::MAX))
    }
}

/// A limit and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Its id.
    pub id: QuotaId,
    /// Whom it is for.
    pub target: QuotaTarget,
    /// What was set.
    pub limits: Limits,
    /// Since when a soft limit is passed.
    pub grace_started_at: Option<Timestamp>,
    /// Whether it is not applied.
    pub exempt: bool,
    /// Why not.
    pub exempt_reason: Option<String>,
    /// How many thresholds were passed when somebody was told last.
    pub warned: u32,
}

/// What becomes of a change under a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether a change that adds to the use may go ahead.
    pub may_grow: bool,
    /// Since when a soft limit is passed, after the change.
    pub grace_started_at: Option<Timestamp>,
    /// How many thresholds are passed after the change.
    pub passed: u32,
}

impl Quota {
    /// Returns a quota for a target that has no limit yet.
    pub fn unlimited(target: QuotaTarget) -> Self {
        Self {
            id: QuotaId::new(ulid::Ulid::nil()),
            target,
            limits: Limits::default(),
            grace_started_at: None,
            exempt: false,
            exempt_reason: None,
            warned: 0,
        }
    }

    /// Returns the quota of a tenant to which nothing was allocated.
    pub fn of_nothing() -> Self {
        let limits = Limits { limit_bytes: Some(0), ..Limits::default() };
        Self { limits, ..Self::unlimited(QuotaTarget::Tenant) }
    }

    /// Returns the most that can be used under it, what a soft limit gives way by included; nothing for no limit.
    pub fn most(&self) -> Option<u64> {
        if self.exempt { None } else { self.limits.most() }
    }

    /// Judges what would be used after a change.
    pub fn judge(&self, used: i64, now: Timestamp) -> Verdict {
        let Some(limit) = self.limits.limit_bytes.filter(|_| !self.exempt) else {
            return Verdict { may_grow: true, grace_started_at: None, passed: 0 };
        };
        let (used, limit) = (i128::from(used), i128::from(limit));
        let percent = |part: u32| limit * i128::from(part);
        let thresholds = [
            self.limits.warning_threshold_1,
            self.limits.warning_threshold_2,
            self.limits.warning_threshold_3,
        ];
        let passed =
            thresholds.iter().filter(|part| used > 0 && used * 100 >= percent(**part)).count() as u32;
        if used <= limit {
            return Verdict { may_grow: true, grace_started_at: None, passed };
        }
        let since = self.grace_started_at.unwrap_or(now);
        let grace = Duration::from_secs(u64::from(self.limits.grace_period_days) * 86_400);
        let in_grace = self.limits.limit_type == LimitType::Soft
            && used * 100 <= percent(100 + self.limits.grace_extra_percent)
            && now.since(since) < grace;
        let is_soft = self.limits.limit_type == LimitType::Soft;
        Verdict { may_grow: in_grace, grace_started_at: is_soft.then_some(since), passed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(limit_type: LimitType) -> Quota {
        Quota {
            limits: Limits { limit_bytes: Some(1000), limit_type, ..Limits::default() },
            ..Quota::unlimited(QuotaTarget::Tenant)
        }
    }

    fn day(number: i64) -> Timestamp {
        Timestamp::from_micros(number * 86_400_000_000)
    }

    #[test]
    fn a_hard_limit_may_be_reached_and_not_passed() {
        let quota = quota(LimitType::Hard);
        assert!(quota.judge(1000, day(1)).may_grow);
        assert!(!quota.judge(1001, day(1)).may_grow);
        assert!(Quota { exempt: true, ..quota }.judge(1001, day(1)).may_grow);
    }

    #[test]
    fn a_soft_limit_may_be_passed_a_little_for_a_while() {
        let mut quota = quota(LimitType::Soft);
        assert!(quota.judge(1100, day(1)).may_grow);
        assert!(!quota.judge(1101, day(1)).may_grow, "more than the extra");
        quota.grace_started_at = quota.judge(1100, day(1)).grace_started_at;
        assert!(quota.judge(1050, day(7)).may_grow);
        assert!(!quota.judge(1050, day(8)).may_grow, "longer than the grace");
        assert_eq!(quota.judge(1000, day(9)).grace_started_at, None, "back under the limit");
    }

    #[test]
    fn thresholds_are_counted() {
        let passed = |used| quota(LimitType::Hard).judge(used, day(1)).passed;
        assert_eq!([0, 699, 700, 850, 949, 950, 2000].map(passed), [0, 0, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn a_limit_of_nothing_warns_only_when_something_is_used() {
        let mut quota = quota(LimitType::Hard);
        quota.limits.limit_bytes = Some(0);
        assert_eq!(quota.judge(0, day(1)).passed, 0);
        assert!(!quota.judge(1, day(1)).may_grow);
    }
}
