//! The part of the command line about who may do what: members of shares, access control lists, owners.

use clap::{Args as ClapArgs, Subcommand};

/// Says who is what in a share.
#[derive(Debug, Subcommand)]
pub(crate) enum Member {
    /// List the members of a share
    List {
        /// Share, by name or id
        share: String,
    },
    /// Make a user or group a member
    Add {
        /// Share, by name or id
        share: String,
        /// Who: user:ID or group:ID
        principal: String,
        /// As what
        #[arg(long, default_value = "reader", value_parser = ["reader", "contributor", "admin"])]
        role: String,
        /// Until when: a duration from now such as 30d, or a time such as 2027-01-31T18:00:00Z
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
    },
    /// Change a membership
    Set {
        /// Share, by name or id
        share: String,
        /// Who: user:ID or group:ID
        principal: String,
        /// As what from now on
        #[arg(long, value_parser = ["reader", "contributor", "admin"], required_unless_present = "expires")]
        role: Option<String>,
        /// Until when: a duration from now such as 30d, a time such as 2027-01-31T18:00:00Z, or never
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
    },
    /// End a membership, with all that it was allowed in the share
    Remove {
        /// Share, by name or id
        share: String,
        /// Who: user:ID or group:ID
        principal: String,
    },
}

/// Says who may do what. A place is SHARE, SHARE:/PATH, or the id of a share, folder or file.
#[derive(Debug, Subcommand)]
pub(crate) enum Acl {
    /// Show the entries of a place, and those it inherits
    Show {
        /// SHARE or SHARE:/PATH
        place: String,
    },
    /// Allow somebody something, there and below
    Grant(Entry),
    /// Deny somebody something, there and below
    Deny(Entry),
    /// Remove an entry
    Remove {
        /// SHARE or SHARE:/PATH
        place: String,
        /// Whose: user:ID, group:ID or everyone
        principal: String,
        /// Which, where there are two
        #[arg(long = "type", value_name = "TYPE", value_parser = ["allow", "deny"])]
        kind: Option<String>,
    },
    /// Make what lies above count at a place, or not
    Inherit {
        /// SHARE:/PATH
        place: String,
        /// Whether it counts
        #[arg(value_parser = ["on", "off"])]
        state: String,
        /// Turn what was inherited so far, roles too, into entries of its own
        #[arg(long)]
        copy: bool,
    },
    /// Tell for each right whether somebody has it at a place, and what decides that
    Explain {
        /// SHARE or SHARE:/PATH
        place: String,
        /// Who [default: who acts]
        #[arg(long = "as", value_name = "USER")]
        other: Option<String>,
    },
}

/// An entry to be.
#[derive(Debug, ClapArgs)]
pub(crate) struct Entry {
    /// SHARE or SHARE:/PATH
    pub(crate) place: String,
    /// Whom: user:ID, group:ID or everyone
    pub(crate) principal: String,
    /// What: read-only, contribute, full, or of READ,WRITE,DELETE,CREATE,SHARE,MANAGE_PERMISSIONS
    pub(crate) rights: String,
    /// Not what lies below
    #[arg(long)]
    pub(crate) this_only: bool,
}

/// Charges another user.
#[derive(Debug, ClapArgs)]
pub(crate) struct Owner {
    /// SHARE:/PATH
    pub(crate) place: String,
    /// The user who is charged from now on, by id or address
    pub(crate) new_owner: String,
}
