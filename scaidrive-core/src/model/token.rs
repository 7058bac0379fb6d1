//! What tokens may leave open.

use super::{Scope, text_enum};

text_enum! {
    /// What a token may do that names no scope of any application.
    pub enum ScopelessTokens {
        /// Reads and writes files: the safe reading.
        Files = "files",
        /// Administers the tenant, as the documented product does.
        TenantAdmin = "tenant_admin",
        /// Nothing.
        Deny = "deny",
    }
}

impl ScopelessTokens {
    /// Returns the scopes such a token is given.
    pub const fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Files => &[Scope::FilesRead, Scope::FilesWrite],
            Self::TenantAdmin => &[Scope::TenantAdmin],
            Self::Deny => &[],
        }
    }
}
