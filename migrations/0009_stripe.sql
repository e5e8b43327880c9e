-- What workers ask of Stripe.

-- Subscriptions of which events do not tell what they came to: several changes
-- in one second, in an order that no evidence decides. Written with the fold
-- that found it, so that no crash forgets it; gone once Stripe has answered.
CREATE TABLE billing.question (
    subscription_id text PRIMARY KEY,
    -- Only an answer of a later second tells.
    after           timestamptz NOT NULL,
    -- Nobody asks before; who asks moves it on, so that one asks at a time.
    due             timestamptz NOT NULL DEFAULT now(),
    tries           integer NOT NULL DEFAULT 0
);
CREATE INDEX question_due ON billing.question (due);

-- The work that one worker does for all now and then: when it was begun and
-- ended last, what came of it, and how far one got that was cut off.
CREATE TABLE billing.stripe_job (
    job       text PRIMARY KEY,
    first_at  timestamptz NOT NULL DEFAULT now(),
    began_at  timestamptz,
    ended_at  timestamptz,
    failed_at timestamptz,
    report    json,
    cursor    json
);

-- What Stripe's lists have shown to the reconcile under way. After a crash it is
-- read all over again.
CREATE UNLOGGED TABLE billing.reconcile_listed (
    subscription_id text PRIMARY KEY
);
