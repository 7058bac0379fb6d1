-- What the identity provider told: which events came, and how new what we know of each thing is.

CREATE TABLE webhook_events (
  tenant_id TEXT NOT NULL,
  event_id BLOB NOT NULL,
  received_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_events_by_age ON webhook_events (tenant_id, received_at);

CREATE TABLE webhook_resources (
  tenant_id TEXT NOT NULL,
  resource_type TEXT NOT NULL,
  resource_id BLOB NOT NULL,
  applied_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, resource_type, resource_id)
) STRICT, WITHOUT ROWID;
