-- Requests that must have one effect however often they are sent: written with their effect, kept for a day. The
-- answer itself is not kept; it is made again from the resource.

CREATE TABLE idempotency (
  tenant_id TEXT NOT NULL,
  user_id BLOB NOT NULL,
  route TEXT NOT NULL,
  request_key BLOB NOT NULL,
  digest BLOB NOT NULL,
  resource_id BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, user_id, route, request_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (tenant_id, created_at);
