//! The part of the command line about who there is: tenants, users, groups.

use clap::Subcommand;

/// Creates, lists and changes tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Create a tenant
    Create {
        /// Its name
        name: String,
        /// Its id at the identity provider, as tokens name it [default: a new one]
        #[arg(long)]
        id: Option<String>,
    },
    /// List all tenants
    List,
    /// Show the tenant and its settings
    Show,
    /// Change the tenant's name, display_name or settings
    Set {
        /// What to set, such as trash_retention_days=14; without a value it becomes the default
        #[arg(required = true, value_name = "KEY=VALUE")]
        values: Vec<String>,
    },
}

/// Creates, lists and changes users.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Create a user
    Create {
        /// Its id at the identity provider [default: a new one]
        #[arg(long)]
        id: Option<String>,
        /// Its address
        #[arg(long)]
        email: Option<String>,
        /// Its name
        #[arg(long)]
        name: Option<String>,
        /// Make it an administrator of the tenant
        #[arg(long)]
        admin: bool,
    },
    /// List the tenant's users
    List {
        /// Only those with this in their id, name or address
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only those of this status
        #[arg(long, value_parser = ["active", "inactive", "suspended", "pending", "deleted"])]
        status: Option<String>,
        /// Only administrators
        #[arg(long)]
        admins: bool,
    },
    /// Show a user
    Show {
        /// Its id
        id: String,
    },
    /// Lock a user out, from its next request on
    Suspend {
        /// Its id
        id: String,
    },
    /// Let a user act again
    Activate {
        /// Its id
        id: String,
    },
    /// Make a user an administrator, or no longer one
    SetRole {
        /// Its id
        id: String,
        /// What it becomes
        #[arg(value_parser = ["tenant_admin", "super_admin", "none"])]
        role: String,
    },
    /// Remove a user; what it made stays
    Remove {
        /// Its id
        id: String,
    },
}

/// Creates, lists and changes groups. A group is named by id, or by its name where only one has it.
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Create a group
    Create {
        /// Its name
        name: String,
        /// Its id at the identity provider [default: a new one]
        #[arg(long)]
        id: Option<String>,
        /// What it is for, in words
        #[arg(long)]
        description: Option<String>,
    },
    /// List the tenant's groups
    List {
        /// Only those with this in their name
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
    /// Show a group and who is directly in it
    Show {
        /// Group, by name or id
        group: String,
    },
    /// Rename a group
    Rename {
        /// Group, by name or id
        group: String,
        /// Its new name
        name: String,
    },
    /// Remove a group, its memberships and its permissions
    Remove {
        /// Group, by name or id
        group: String,
    },
    /// Put a user or group into a group
    AddMember {
        /// Group, by name or id
        group: String,
        /// Who: user:ID or group:ID
        member: String,
    },
    /// Take a user or group out of a group
    RemoveMember {
        /// Group, by name or id
        group: String,
        /// Who: user:ID or group:ID
        member: String,
    },
}
