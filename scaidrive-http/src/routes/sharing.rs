//! Rows of permissions, members and groups.

use scaidrive_core::model::Scope;

use super::{DELETE, Endpoint, GET, PATCH, POST, PUT, READ, Route, WRITE};
use crate::handlers::{admin, audit, groups, invitations, members, permissions};

const ADMIN: Scope = Scope::TenantAdmin;
const PARTNER: Scope = Scope::PartnerAdmin;

const AUDIT_FILTERS: &[&str] = &[
    "limit",
    "after",
    "?user_id",
    "category",
    "severity",
    "action",
    "?resource_type",
    "?resource_id",
    "result",
    "from",
    "to",
];
const AUDIT_EXPORT: &[&str] = &[
    "audit_format",
    "after",
    "?user_id",
    "category",
    "severity",
    "action",
    "?resource_type",
    "?resource_id",
    "result",
    "from",
    "to",
];

pub(super) fn permission_routes() -> Vec<Route> {
    vec![
        route!(READ GET "/api/v1/permissions/check" 1 permissions::check_by_query)
            .does("Tells whether the caller may do something")
            .reads(&["resource_type", "resource_id", "permission"])
            .gives(200, "Allowed"),
        route!(READ POST "/api/v1/permissions/check" 1 permissions::check)
            .does("Tells whether the caller may do something")
            .takes("Check")
            .gives(200, "Allowed"),
        route!(READ POST "/api/v1/permissions/check/batch" 2 permissions::check_batch)
            .does("Tells what of up to 100 things the caller may do")
            .takes("Checks")
            .gives(200, "CheckResults"),
        route!(READ GET "/api/v1/permissions/effective" 1 permissions::effective)
            .does("Returns what the caller, or another user, may do to a resource, and why")
            .reads(&["resource_type", "resource_id", "user_id", "explain"])
            .gives(200, "Effective"),
        route!(READ GET "/api/v1/permissions/acl/{type}/{id}" 2 permissions::acl)
            .does("Returns an access control list with what it inherits")
            .gives(200, "Acl"),
        route!(WRITE POST "/api/v1/permissions/acl/{type}/{id}" 2 permissions::add_entry)
            .does("Adds an entry")
            .takes("NewAce")
            .gives(201, "Ace")
            .again("ace_id", |caller, request| Box::pin(permissions::entry(caller, request))),
        route!(WRITE PUT "/api/v1/permissions/acl/{type}/{id}" 2 permissions::replace_acl)
            .does("Replaces every entry")
            .takes("NewAcl")
            .gives(200, "Acl"),
        route!(WRITE DELETE "/api/v1/permissions/acl/{type}/{id}" 2 permissions::remove_entry)
            .does("Removes the entry of a principal and type")
            .takes("AceSlot")
            .gives(204, ""),
        route!(WRITE DELETE "/api/v1/permissions/acl/{type}/{id}/{ace_id}" 2 permissions::remove_entry_by_id)
            .does("Removes an entry")
            .gives(204, ""),
        route!(WRITE PUT "/api/v1/permissions/acl/{type}/{id}/inheritance" 2 permissions::set_inheritance)
            .does("Breaks or mends inheritance")
            .takes("Inheritance")
            .gives(200, "InheritanceResult"),
        route!(WRITE POST "/api/v1/permissions/ownership/{type}/{id}/transfer" 2 permissions::transfer)
            .does("Hands ownership over")
            .takes("Transfer")
            .gives(200, "Any"),
    ]
}

pub(super) fn member_routes() -> Vec<Route> {
    vec![
        route!(READ GET "/api/v1/shares/search/principals" 2 members::search)
            .does("Finds users and groups to share with")
            .reads(&["q", "principal_type", "limit"])
            .gives(200, "Principals"),
        route!(READ GET "/api/v1/shares/{id}/members" 2 members::list)
            .does("Returns a share's members")
            .reads(&["limit", "offset"])
            .gives(200, "Members"),
        route!(WRITE POST "/api/v1/shares/{id}/members" 2 members::add)
            .does("Adds a member")
            .takes("NewMember")
            .gives(201, "Member")
            .again("member_id", |caller, request| Box::pin(members::get(caller, request))),
        route!(WRITE PATCH "/api/v1/shares/{id}/members/{member_id}" 2 members::patch)
            .does("Changes a member's role or end")
            .takes("MemberPatch")
            .gives(200, "Member"),
        route!(WRITE DELETE "/api/v1/shares/{id}/members/{member_id}" 2 members::remove)
            .does("Removes a member, or leaves")
            .gives(204, ""),
        route!(READ GET "/api/v1/shares/{id}/invitations" 2 invitations::list)
            .does("Returns the invitations to a share")
            .reads(&["limit", "offset"])
            .gives(200, "Invitations"),
        route!(WRITE POST "/api/v1/shares/{id}/invitations" 2 invitations::create)
            .does("Invites somebody to a share")
            .takes("NewInvitation")
            .gives(201, "Invitation")
            .again("inv_id", |caller, request| Box::pin(invitations::get(caller, request))),
        route!(WRITE DELETE "/api/v1/shares/{id}/invitations/{inv_id}" 2 invitations::revoke)
            .does("Takes an invitation back")
            .gives(204, ""),
        route!(READ GET "/api/v1/users/me/invitations" 2 invitations::mine)
            .does("Returns the caller's open invitations")
            .reads(&["limit", "offset"])
            .gives(200, "Invitations"),
        route!(WRITE POST "/api/v1/users/me/invitations/{id}/accept" 2 invitations::accept)
            .does("Accepts an invitation")
            .gives(200, "Any"),
        route!(WRITE POST "/api/v1/users/me/invitations/{id}/decline" 2 invitations::decline)
            .does("Declines an invitation")
            .gives(200, "Any"),
    ]
}

pub(super) fn admin_routes() -> Vec<Route> {
    vec![
        route!(ADMIN GET "/api/v1/admin/users" 2 admin::users)
            .does("Returns users")
            .reads(&["limit", "offset", "search", "status", "is_admin"])
            .gives(200, "Users"),
        route!(ADMIN POST "/api/v1/admin/users" 2 admin::create_user)
            .does("Creates a user")
            .takes("NewUser")
            .gives(201, "User")
            .again("id", |caller, request| Box::pin(admin::user(caller, request))),
        route!(ADMIN GET "/api/v1/admin/users/{id}" 1 admin::user).does("Returns a user").gives(200, "User"),
        route!(ADMIN PATCH "/api/v1/admin/users/{id}" 2 admin::patch_user)
            .does("Changes a user")
            .takes("UserPatch")
            .gives(200, "User"),
        route!(ADMIN DELETE "/api/v1/admin/users/{id}" 2 admin::delete_user)
            .does("Removes a user: what it made stays")
            .gives(204, ""),
        route!(ADMIN POST "/api/v1/admin/users/{id}/activate" 2 admin::activate_user)
            .does("Lets a user act again")
            .gives(200, "User"),
        route!(ADMIN POST "/api/v1/admin/users/{id}/suspend" 2 admin::suspend_user)
            .does("Suspends a user from the next request on")
            .gives(200, "User"),
        route!(ADMIN GET "/api/v1/admin/tenant" 1 admin::tenant)
            .does("Returns the tenant and its settings")
            .gives(200, "Tenant"),
        route!(ADMIN PATCH "/api/v1/admin/tenant" 2 admin::patch_tenant)
            .does("Changes the tenant's settings")
            .takes("TenantPatch")
            .gives(200, "Tenant"),
        route!(ADMIN GET "/api/v1/admin/audit" 2 audit::list)
            .does("Returns audit events, newest first")
            .reads(AUDIT_FILTERS)
            .gives(200, "AuditEvents"),
        route!(ADMIN GET "/api/v1/admin/audit/export" 5 audit::export)
            .does("Returns audit events with their seals, oldest first, as CSV or NDJSON")
            .reads(AUDIT_EXPORT)
            .gives(200, "bytes"),
        route!(PARTNER GET "/api/v1/admin/partners/{id}/tenants" 2 admin::partner_tenants)
            .does("Returns a partner's tenants")
            .reads(&["limit", "offset"])
            .gives(200, "Tenants"),
        route!(PARTNER POST "/api/v1/admin/partners/{id}/tenants" 2 admin::create_tenant)
            .does("Creates a tenant")
            .takes("NewTenant")
            .gives(201, "Tenant")
            .again("tenant_id", |caller, request| Box::pin(admin::tenant_of_partner(caller, request))),
    ]
}

pub(super) fn group_routes() -> Vec<Route> {
    vec![
        route!(ADMIN GET "/api/v1/admin/groups" 2 groups::list)
            .does("Returns groups")
            .reads(&["limit", "offset", "search"])
            .gives(200, "Groups"),
        route!(ADMIN POST "/api/v1/admin/groups" 2 groups::create)
            .does("Creates a group")
            .takes("NewGroup")
            .gives(201, "Group")
            .again("id", |caller, request| Box::pin(groups::get(caller, request))),
        route!(ADMIN GET "/api/v1/admin/groups/{id}" 1 groups::get)
            .does("Returns a group")
            .gives(200, "Group"),
        route!(ADMIN PATCH "/api/v1/admin/groups/{id}" 2 groups::patch)
            .does("Changes a group")
            .takes("GroupPatch")
            .gives(200, "Group"),
        route!(ADMIN DELETE "/api/v1/admin/groups/{id}" 2 groups::delete)
            .does("Removes a group with all it grants")
            .gives(204, ""),
        route!(ADMIN GET "/api/v1/admin/groups/{id}/members" 2 groups::members)
            .does("Returns who is directly in a group")
            .reads(&["limit", "offset"])
            .gives(200, "GroupMembers"),
        route!(ADMIN POST "/api/v1/admin/groups/{id}/members" 2 groups::add_member)
            .does("Puts a user or group into a group")
            .takes("NewGroupMember")
            .gives(201, "Any")
            .again("member", |_, request| Box::pin(std::future::ready(groups::member(&request)))),
        route!(ADMIN DELETE "/api/v1/admin/groups/{id}/members/{user_id}" 2 groups::remove_member)
            .does("Takes a user or group out of a group")
            .reads(&["principal_type"])
            .gives(204, ""),
    ]
}
