-- What clients call their starts, so that one that is sent again does not start a second run.
-- Written with the run; its primary key decides which of several is the first.
CREATE TABLE idempotency_keys (
    tenant      text        NOT NULL,
    owner       text        NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    -- SHA-256 of what was asked for under this key.
    fingerprint bytea       NOT NULL,
    run_id      uuid        NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, owner, key)
);

CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
