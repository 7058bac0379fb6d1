-- Who may do what: groups, members of shares, access control lists, invitations; what users tell of themselves.
-- A principal is spelled `user:<id>` or `group:<id>`, so that one comparison finds whom a row is about; a trustee
-- may be `everyone`, too.

ALTER TABLE tenants ADD COLUMN display_name VARCHAR(255);
ALTER TABLE users ADD COLUMN display_name VARCHAR(255);
ALTER TABLE users ADD COLUMN avatar_url TEXT;
ALTER TABLE users ADD COLUMN provisioning_source VARCHAR(32) NOT NULL DEFAULT 'local';
ALTER TABLE users ADD COLUMN synced_at BIGINT;
ALTER TABLE users ADD COLUMN last_login_at BIGINT;
CREATE INDEX users_by_email ON users (tenant_id, email);

ALTER TABLE shares CHANGE owner_id owner VARBINARY(264) NOT NULL;
UPDATE shares SET owner = CONCAT('user:', owner);
-- 1 once anything below the root had entries of its own or stopped inheriting: without, one look at the share's own
-- entries decides for all it holds.
ALTER TABLE shares ADD COLUMN has_acl TINYINT NOT NULL DEFAULT 0;

CREATE TABLE user_groups (
  tenant_id VARCHAR(32) NOT NULL,
  id VARBINARY(255) NOT NULL,
  name VARCHAR(255) NOT NULL,
  description TEXT,
  source VARCHAR(32) NOT NULL,
  created_at BIGINT NOT NULL,
  synced_at BIGINT,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- `holder` is the group, spelled as a principal like `member`: a walk up compares one with the other.
CREATE TABLE group_members (
  tenant_id VARCHAR(32) NOT NULL,
  holder VARBINARY(264) NOT NULL,
  member VARBINARY(264) NOT NULL,
  added_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, holder, member)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX group_members_by_member ON group_members (tenant_id, member, holder);

-- A token may claim a group until it expires; a removal here wins over every claim older than itself.
CREATE TABLE group_removals (
  tenant_id VARCHAR(32) NOT NULL,
  holder VARBINARY(264) NOT NULL,
  member VARBINARY(264) NOT NULL,
  removed_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, holder, member)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE members (
  tenant_id VARCHAR(32) NOT NULL,
  share_id VARCHAR(32) NOT NULL,
  principal VARBINARY(264) NOT NULL,
  id VARCHAR(32) NOT NULL,
  role VARCHAR(32) NOT NULL,
  expires_at BIGINT,
  added_by VARBINARY(255) NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, share_id, principal)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE UNIQUE INDEX members_by_id ON members (tenant_id, id);
CREATE INDEX members_by_principal ON members (tenant_id, principal, share_id);
CREATE INDEX members_by_expiry ON members (tenant_id, expires_at);

-- `share_id` is the share that holds the resource; a share's own entries carry its id twice. One trustee has one entry a
-- type and resource, but where copying what was inherited had to keep apart what counts for descendants, too.
CREATE TABLE acl_entries (
  tenant_id VARCHAR(32) NOT NULL,
  resource_id VARCHAR(32) NOT NULL,
  trustee VARBINARY(264) NOT NULL,
  ace_type VARCHAR(32) NOT NULL,
  id VARCHAR(32) NOT NULL,
  share_id VARCHAR(32) NOT NULL,
  rights TINYINT NOT NULL,
  inherits TINYINT NOT NULL,
  created_by VARBINARY(255) NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, resource_id, trustee, ace_type, inherits)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE UNIQUE INDEX acl_entries_by_id ON acl_entries (tenant_id, id);
CREATE INDEX acl_entries_by_trustee ON acl_entries (tenant_id, trustee, share_id);

CREATE TABLE invitations (
  tenant_id VARCHAR(32) NOT NULL,
  id VARCHAR(32) NOT NULL,
  share_id VARCHAR(32) NOT NULL,
  email VARBINARY(320) NOT NULL,
  role VARCHAR(32) NOT NULL,
  message TEXT,
  status VARCHAR(32) NOT NULL,
  invited_by VARBINARY(255) NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  answered_at BIGINT,
  PRIMARY KEY (tenant_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX invitations_by_share ON invitations (tenant_id, share_id, id);
CREATE INDEX invitations_by_email ON invitations (tenant_id, email, id);

-- A purge forgets who marked what it purges.
CREATE INDEX favorites_by_node ON favorites (tenant_id, node_id);
