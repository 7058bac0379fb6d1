//! Rows of quotas.

use scaidrive_core::model::Scope;

use super::{DELETE, Endpoint, GET, POST, PUT, READ, Route};
use crate::handlers::quotas;

const ADMIN: Scope = Scope::TenantAdmin;
const PARTNER: Scope = Scope::PartnerAdmin;
const ALL: Scope = Scope::All;

pub(super) fn quota_routes() -> Vec<Route> {
    let limits = vec![
        route!(ADMIN GET "/api/v1/quotas/tenant" 1 quotas::tenant)
            .does("Returns the tenant's quota")
            .gives(200, "Quota"),
        route!(PARTNER PUT "/api/v1/quotas/tenant" 2 quotas::set_tenant)
            .does("Sets the tenant's quota")
            .takes("Limits")
            .gives(200, "Quota"),
        route!(PARTNER GET "/api/v1/quotas/partner" 1 quotas::own_partner)
            .does("Returns the partner's quota")
            .gives(200, "Quota"),
        route!(ALL GET "/api/v1/quotas/partners/{id}" 1 quotas::partner)
            .does("Returns a partner's quota")
            .gives(200, "Quota"),
        route!(ALL PUT "/api/v1/quotas/partners/{id}" 2 quotas::set_partner)
            .does("Sets a partner's quota, which is kept by allocation")
            .takes("Limits")
            .gives(200, "Quota"),
        route!(PARTNER GET "/api/v1/quotas/tenants/{id}" 1 quotas::any_tenant)
            .does("Returns a tenant's quota")
            .gives(200, "Quota"),
        route!(PARTNER PUT "/api/v1/quotas/tenants/{id}" 2 quotas::set_any_tenant)
            .does("Sets a tenant's quota")
            .takes("Limits")
            .gives(200, "Quota"),
    ];
    [limits, people(), shares_and_usage()].into_iter().flatten().collect()
}

fn people() -> Vec<Route> {
    vec![
        route!(ADMIN GET "/api/v1/quotas/users" 2 quotas::users)
            .does("Returns the quotas of users")
            .reads(&["limit", "offset"])
            .gives(200, "Quotas"),
        route!(ADMIN GET "/api/v1/quotas/users/{id}" 1 quotas::get_user)
            .does("Returns a user's quota")
            .gives(200, "Quota"),
        route!(ADMIN PUT "/api/v1/quotas/users/{id}" 2 quotas::set_user)
            .does("Sets a user's quota")
            .takes("Limits")
            .gives(200, "Quota"),
        route!(ADMIN DELETE "/api/v1/quotas/users/{id}" 2 quotas::remove_user)
            .does("Removes a user's quota")
            .gives(204, ""),
        route!(ADMIN POST "/api/v1/quotas/users/{id}/exempt" 2 quotas::exempt_user)
            .does("Says whether a user's quota is applied")
            .takes("Exempt")
            .gives(200, "Quota"),
        route!(ADMIN GET "/api/v1/quotas/groups" 2 quotas::groups)
            .does("Returns the quotas of groups")
            .reads(&["limit", "offset"])
            .gives(200, "Quotas"),
        route!(ADMIN GET "/api/v1/quotas/groups/{id}" 1 quotas::get_group)
            .does("Returns a group's quota")
            .gives(200, "Quota"),
        route!(ADMIN PUT "/api/v1/quotas/groups/{id}" 2 quotas::set_group)
            .does("Sets a group's quota")
            .takes("Limits")
            .gives(200, "Quota"),
        route!(ADMIN DELETE "/api/v1/quotas/groups/{id}" 2 quotas::remove_group)
            .does("Removes a group's quota")
            .gives(204, ""),
        route!(ADMIN POST "/api/v1/quotas/groups/{id}/exempt" 2 quotas::exempt_group)
            .does("Says whether a group's quota is applied")
            .takes("Exempt")
            .gives(200, "Quota"),
    ]
}

fn shares_and_usage() -> Vec<Route> {
    vec![
        route!(READ GET "/api/v1/quotas/shares/{id}" 1 quotas::get_share)
            .does("Returns a share's quota")
            .gives(200, "Quota"),
        route!(ADMIN PUT "/api/v1/quotas/shares/{id}" 2 quotas::set_share)
            .does("Sets a share's quota")
            .takes("Limits")
            .gives(200, "Quota"),
        route!(ADMIN GET "/api/v1/quotas/usage/tenant" 1 quotas::tenant_usage)
            .does("Returns what the tenant uses, counted anew if asked")
            .reads(&["recalculate"])
            .gives(200, "Usage"),
        route!(ADMIN GET "/api/v1/quotas/usage/users" 2 quotas::user_usages)
            .does("Returns what users use")
            .reads(&["limit", "offset"])
            .gives(200, "Usages"),
        route!(READ GET "/api/v1/quotas/usage/users/{id}" 1 quotas::user_usage)
            .does("Returns what a user uses")
            .gives(200, "Usage"),
        route!(ADMIN GET "/api/v1/quotas/usage/groups/{id}" 1 quotas::group_usage)
            .does("Returns what the users of a group use together")
            .gives(200, "Usage"),
    ]
}
