-- What clients call their starts, so that one that is sent again does not start a second run.
-- Written with the run; its primary key decides which of several is the first.
CREATE TABLE idempotency_keys (
    tenant      TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    -- SHA-256 of what was asked for under this key.
    fingerprint BLOB    NOT NULL,
    run_id      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, owner, key)
) STRICT;

CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
