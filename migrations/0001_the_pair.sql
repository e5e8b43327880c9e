-- The tables behind the pair. Everything is private but the views
-- billing.entitlements and billing.events and the function billing.trial_days.

CREATE SCHEMA IF NOT EXISTS billing;

-- One row per event that was ever received, however often. A row is never
-- removed: it is what makes a second delivery have no effect.
CREATE TABLE billing.event (
    event_id    text PRIMARY KEY,
    event_type  text NOT NULL,
    created     timestamptz,
    received_at timestamptz NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('applied', 'ignored', 'dead')),
    reason      text
);

-- The raw bodies, for people to look at. Nothing is computed from them, so
-- they may be purged.
CREATE TABLE billing.payload (
    event_id    text PRIMARY KEY,
    received_at timestamptz NOT NULL,
    body        bytea NOT NULL
);
CREATE INDEX payload_received_at ON billing.payload (received_at);

-- lz4 costs a fraction of the default compression; some builds lack it.
DO $$
BEGIN
    ALTER TABLE billing.payload ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this PostgreSQL has no lz4; payloads use its default compression';
END
$$;

-- What the events say. Kept for good; all state is a function of these rows.
CREATE TABLE billing.fact (
    event_id text PRIMARY KEY,
    account  text NOT NULL,
    created  timestamptz NOT NULL,
    body     json NOT NULL
);
CREATE INDEX fact_account ON billing.fact (account, created);

-- A row per account, to lock while its facts are folded. The room left on each
-- page keeps its updates there.
CREATE TABLE billing.account (
    account text PRIMARY KEY,
    folds   bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

-- The state of each subscription: the fold of its account's facts.
CREATE TABLE billing.subscription (
    subscription_id text PRIMARY KEY,
    account         text NOT NULL,
    user_id         text,
    state           json NOT NULL,
    first_seen      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX subscription_account ON billing.subscription (account);
CREATE INDEX subscription_user ON billing.subscription (user_id) WHERE user_id IS NOT NULL;
-- Those that wait for a link to their user; watched by a metric.
CREATE INDEX subscription_unlinked ON billing.subscription (first_seen) WHERE user_id IS NULL;

-- A row per user, to lock while their entitlement is decided.
CREATE TABLE billing.app_user (
    user_id text PRIMARY KEY,
    folds   bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

CREATE TABLE billing.entitlement (
    user_id                 text PRIMARY KEY,
    entitled                boolean NOT NULL,
    status                  text NOT NULL,
    tier                    text NOT NULL,
    base_tier               text NOT NULL,
    grace_tier              text,
    grace_until             timestamptz,
    current_period_start    timestamptz,
    current_period_end      timestamptz,
    trial_end               timestamptz,
    is_canceling            boolean NOT NULL,
    cancel_at               timestamptz,
    canceled_at             timestamptz,
    ever_paid               boolean NOT NULL,
    highest_tier_subscribed text,
    highest_rank            integer,
    stripe_customer_id      text,
    stripe_subscription_id  text,
    changed_at              timestamptz NOT NULL DEFAULT now(),
    CHECK ((grace_tier IS NULL) = (grace_until IS NULL))
) WITH (fillfactor = 70);

-- One row per message that an operator must look at. queued: whether the
-- message has reached the dead-letter queue.
CREATE TABLE billing.dead_letter (
    event_id     text PRIMARY KEY,
    event_type   text NOT NULL,
    reason       text NOT NULL,
    detail       text NOT NULL,
    attempts     bigint NOT NULL,
    first_failed timestamptz NOT NULL,
    last_failed  timestamptz NOT NULL,
    queued       boolean NOT NULL DEFAULT false,
    resolved_at  timestamptz,
    resolution   text,
    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);
CREATE INDEX dead_letter_open ON billing.dead_letter (first_failed) WHERE resolved_at IS NULL;

-- The catalog's tiers, written by each worker that starts.
CREATE TABLE billing.tier (
    name       text PRIMARY KEY,
    rank       integer NOT NULL,
    trial_days integer NOT NULL
);

CREATE VIEW billing.entitlements AS
SELECT user_id,
       entitled,
       status,
       tier,
       CASE WHEN grace_until > now() THEN grace_tier ELSE base_tier END AS effective_tier,
       CASE WHEN grace_until > now() THEN grace_tier END AS grace_tier,
       CASE WHEN grace_until > now() THEN grace_until END AS grace_until,
       current_period_start,
       current_period_end,
       trial_end,
       is_canceling,
       cancel_at,
       canceled_at,
       ever_paid,
       highest_tier_subscribed,
       stripe_customer_id,
       stripe_subscription_id
FROM billing.entitlement;
COMMENT ON VIEW billing.entitlements IS 'What each user may use, now. One row per user; effective_tier is what to enforce.';

CREATE VIEW billing.events AS
SELECT event_id, event_type, created, received_at, outcome, reason
FROM billing.event;
COMMENT ON VIEW billing.events IS 'One row per event received: applied, ignored or dead.';

-- A tier that the catalog does not sell has no trial.
CREATE FUNCTION billing.trial_days(user_id text, tier text) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce((
        SELECT CASE WHEN known.highest_rank >= offered.rank THEN 0 ELSE offered.trial_days END
        FROM billing.tier AS offered
        LEFT JOIN billing.entitlement AS known ON known.user_id = trial_days.user_id
        WHERE offered.name = trial_days.tier
    ), 0);
END;
COMMENT ON FUNCTION billing.trial_days IS 'Days of trial to offer this user for this tier; also for a user never seen.';
