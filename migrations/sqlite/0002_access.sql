-- Who may do what: groups, members of shares, access control lists, invitations; what users tell of themselves.
-- A principal is spelled `user:<id>` or `group:<id>`, so that one comparison finds whom a row is about; a trustee
-- may be `everyone`, too.

ALTER TABLE tenants ADD COLUMN display_name TEXT;
ALTER TABLE users ADD COLUMN display_name TEXT;
ALTER TABLE users ADD COLUMN avatar_url TEXT;
ALTER TABLE users ADD COLUMN provisioning_source TEXT NOT NULL DEFAULT 'local';
ALTER TABLE users ADD COLUMN synced_at INTEGER;
ALTER TABLE users ADD COLUMN last_login_at INTEGER;
CREATE INDEX users_by_email ON users (tenant_id, email);

ALTER TABLE shares RENAME COLUMN owner_id TO owner;
UPDATE shares SET owner = CAST('user:' || CAST(owner AS TEXT) AS BLOB);
-- 1 once anything below the root had entries of its own or stopped inheriting: without, one look at the share's own
-- entries decides for all it holds.
ALTER TABLE shares ADD COLUMN has_acl INTEGER NOT NULL DEFAULT 0;

CREATE TABLE user_groups (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  source TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  synced_at INTEGER,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

-- `holder` is the group, spelled as a principal like `member`: a walk up compares one with the other.
CREATE TABLE group_members (
  tenant_id TEXT NOT NULL,
  holder BLOB NOT NULL,
  member BLOB NOT NULL,
  added_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, holder, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_member ON group_members (tenant_id, member, holder);

-- A token may claim a group until it expires; a removal here wins over every claim older than itself.
CREATE TABLE group_removals (
  tenant_id TEXT NOT NULL,
  holder BLOB NOT NULL,
  member BLOB NOT NULL,
  removed_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, holder, member)
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
  tenant_id TEXT NOT NULL,
  share_id TEXT NOT NULL,
  principal BLOB NOT NULL,
  id TEXT NOT NULL,
  role TEXT NOT NULL,
  expires_at INTEGER,
  added_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, share_id, principal)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX members_by_id ON members (tenant_id, id);
CREATE INDEX members_by_principal ON members (tenant_id, principal, share_id);
CREATE INDEX members_by_expiry ON members (tenant_id, expires_at);

-- `share_id` is the share that holds the resource; a share's own entries carry its id twice. One trustee has one entry a
-- type and resource, but where copying what was inherited had to keep apart what counts for descendants, too.
CREATE TABLE acl_entries (
  tenant_id TEXT NOT NULL,
  resource_id TEXT NOT NULL,
  trustee BLOB NOT NULL,
  ace_type TEXT NOT NULL,
  id TEXT NOT NULL,
  share_id TEXT NOT NULL,
  rights INTEGER NOT NULL,
  inherits INTEGER NOT NULL,
  created_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, resource_id, trustee, ace_type, inherits)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX acl_entries_by_id ON acl_entries (tenant_id, id);
CREATE INDEX acl_entries_by_trustee ON acl_entries (tenant_id, trustee, share_id);

CREATE TABLE invitations (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  share_id TEXT NOT NULL,
  email BLOB NOT NULL,
  role TEXT NOT NULL,
  message TEXT,
  status TEXT NOT NULL,
  invited_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  answered_at INTEGER,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_by_share ON invitations (tenant_id, share_id, id);
CREATE INDEX invitations_by_email ON invitations (tenant_id, email, id);

-- A purge forgets who marked what it purges.
CREATE INDEX favorites_by_node ON favorites (tenant_id, node_id);
