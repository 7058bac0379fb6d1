-- Tenants by the identity provider's own ids, sign-ins one by one, and whom a provider's token cannot speak for.

-- Nothing where the provider knows the tenant by `id`.
ALTER TABLE tenants ADD COLUMN external_id VARBINARY(255);
CREATE UNIQUE INDEX tenants_by_external_id ON tenants (external_id);

-- When the newest token that the user came with was issued, by its issuer's clock: a newer one is a new sign-in.
ALTER TABLE users ADD COLUMN token_issued_at BIGINT;

-- The administrator that an installation begins with looked like anybody's first sign-in until now. One too many is
-- recognised rather than one too few: who is, is only out of reach for tokens of a provider.
UPDATE users SET provisioning_source = 'bootstrap'
WHERE id = 'admin' AND admin_role = 'super_admin' AND provisioning_source IN ('local', 'jit') AND synced_at IS NULL;
