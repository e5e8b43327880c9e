-- Work that needs Stripe's API. Without an API key these tables stay empty.

-- Subscriptions that Stripe must be asked about: several changes have the same
-- second, and no evidence shows their order. The row is written in the
-- transaction that finds this, and deleted when Stripe has answered.
CREATE TABLE billing.stripe_question (
    subscription_id text PRIMARY KEY,
    -- Stripe's answer counts only if it is of a later second.
    answer_after    timestamptz NOT NULL,
    -- When to ask. The worker that asks moves it on first, so that one worker
    -- asks at a time.
    due_at          timestamptz NOT NULL DEFAULT now(),
    -- Attempts without an answer.
    tries           integer NOT NULL DEFAULT 0
);
CREATE INDEX stripe_question_due ON billing.stripe_question (due_at);

-- Jobs that one worker does for all workers: backfill and reconcile.
CREATE TABLE billing.stripe_job (
    job       text PRIMARY KEY,
    -- The first run began.
    first_at  timestamptz NOT NULL DEFAULT now(),
    -- The latest run began.
    began_at  timestamptz,
    -- The latest run that was successful ended.
    ended_at  timestamptz,
    -- The latest run that failed ended.
    failed_at timestamptz,
    -- The figures of the latest run.
    report    json,
    -- Where the next run continues if the latest one was cut off.
    cursor    json
);

-- The subscriptions that Stripe has listed in the reconcile that runs now. A
-- reconcile begins with an empty table, so losing it in a crash does no harm.
CREATE UNLOGGED TABLE billing.reconcile_listed (
    subscription_id text PRIMARY KEY
);
