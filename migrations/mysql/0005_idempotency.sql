-- Requests that must have one effect however often they are sent: written with their effect, kept for a day. The
-- answer itself is not kept; it is made again from the resource.

CREATE TABLE idempotency (
  tenant_id VARCHAR(32) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  route VARCHAR(128) NOT NULL,
  request_key VARBINARY(128) NOT NULL,
  digest VARBINARY(32) NOT NULL,
  resource_id VARBINARY(264) NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, user_id, route, request_key)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX idempotency_by_age ON idempotency (tenant_id, created_at);
