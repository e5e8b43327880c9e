-- Events, as they were received, and the facts that were read from them.
--
-- Only the views and functions of 0006_views.sql are an interface for other
-- applications. Every table is private and may change.

-- `worker migrate` has already created the schema, for its table of applied
-- migrations. psql and sqlx-cli have not.
CREATE SCHEMA IF NOT EXISTS billing;

-- One row per event, however often it was delivered. Rows are never removed:
-- they are the reason why a second delivery has no effect.
CREATE TABLE billing.event (
    -- Stripe's event id, or 'source id' of a usage report, or a hash of the body.
    event_id    text PRIMARY KEY,
    -- Empty if the body has no type.
    event_type  text NOT NULL,
    -- The time that the event itself names; NULL if it names none.
    created     timestamptz,
    received_at timestamptz NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('applied', 'ignored', 'dead')),
    -- Why the event was not applied; NULL if it was.
    reason      text
);

-- The raw bodies, for people to read. No state is computed from them, so old
-- ones may be deleted.
CREATE TABLE billing.payload (
    event_id    text PRIMARY KEY,
    received_at timestamptz NOT NULL,
    body        bytea NOT NULL
);
CREATE INDEX payload_received_at ON billing.payload (received_at);

-- lz4 is much cheaper than the default compression. Builds of PostgreSQL
-- without it use the default.
DO $$
BEGIN
    ALTER TABLE billing.payload ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;

-- What the applied events say. Kept forever: every subscription, entitlement
-- and balance can be computed again from facts and usage.
CREATE TABLE billing.fact (
    event_id text PRIMARY KEY,
    -- The Stripe customer, or the object itself if it has no customer.
    account  text NOT NULL,
    created  timestamptz NOT NULL,
    -- domain::fact::Fact, as JSON.
    body     json NOT NULL,
    -- The payment that bought credits, paid an invoice, or was refunded or
    -- disputed: its payment intent, or its charge if there is none. Most of these
    -- facts name no customer, so this connects them.
    payment  text
);
CREATE INDEX fact_account ON billing.fact (account, created);
CREATE INDEX fact_payment ON billing.fact (payment) WHERE payment IS NOT NULL;
