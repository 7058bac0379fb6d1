-- What the identity provider told: which events came, and how new what we know of each thing is.

CREATE TABLE webhook_events (
  tenant_id VARCHAR(32) NOT NULL,
  event_id VARBINARY(255) NOT NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, event_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX webhook_events_by_age ON webhook_events (tenant_id, received_at);

CREATE TABLE webhook_resources (
  tenant_id VARCHAR(32) NOT NULL,
  resource_type VARCHAR(32) NOT NULL,
  resource_id VARBINARY(255) NOT NULL,
  applied_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, resource_type, resource_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
