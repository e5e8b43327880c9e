-- Subscriptions and entitlements: the result of folding each account's facts.
--
-- A low fillfactor leaves room on each page, so that an update stays on its page
-- and touches no index (HOT updates).

-- One row per account: a Stripe customer, or an object without a customer. The
-- worker locks this row while it folds the account's facts.
CREATE TABLE billing.account (
    account     text PRIMARY KEY,
    -- Counts how often the row was locked. An upsert must change something to
    -- lock a row, and 1 shows that the row is new.
    lock_count  bigint NOT NULL DEFAULT 1,
    -- The best evidence of which user the customer is: link::OwnerClaim, as JSON.
    -- Thanks to it a new event is folded without the account's old facts.
    owner_claim json,
    -- A refund or a dispute of one of its payments is known. Then an event about a
    -- payment needs all of the account's facts.
    has_returns boolean NOT NULL DEFAULT false,
    -- Ranks::version: the folding rules and the catalog's ranks. `worker migrate`
    -- folds other rows again.
    version     integer
) WITH (fillfactor = 50);
-- Finds the customers of a user for `worker explain` and the console.
CREATE INDEX account_user ON billing.account ((owner_claim ->> 'user')) WHERE owner_claim IS NOT NULL;

-- One row per subscription.
CREATE TABLE billing.subscription (
    subscription_id text PRIMARY KEY,
    account         text NOT NULL,
    -- NULL until an event names the user.
    user_id         text,
    -- The users before, if it was handed over. Their balances follow its facts too.
    past_users      text[] NOT NULL DEFAULT '{}',
    -- state::Subscription, as JSON. No index reads it: otherwise each update
    -- would touch all indexes.
    state           json NOT NULL,
    -- No event has shown the subscription itself yet, only an invoice or a session.
    unseen          boolean NOT NULL DEFAULT false,
    first_seen      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX subscription_account ON billing.subscription (account);
CREATE INDEX subscription_user ON billing.subscription (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX subscription_past_user ON billing.subscription USING gin (past_users) WHERE past_users <> '{}';
-- Metrics count the subscriptions that wait for their user or their first event.
CREATE INDEX subscription_unlinked ON billing.subscription (first_seen) WHERE user_id IS NULL;
CREATE INDEX subscription_unseen ON billing.subscription (first_seen) WHERE unseen;

-- One row per user of the application. The worker locks this row while it
-- decides the user's entitlement and balances.
CREATE TABLE billing.app_user (
    user_id    text PRIMARY KEY,
    -- As in billing.account.
    lock_count bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

-- What each user may use, decided from all their subscriptions. A user has one row
-- for each span of time: a scheduled end is an end also if no event tells of it.
-- billing.entitlements shows the present one to applications.
CREATE TABLE billing.entitlement (
    user_id                 text NOT NULL,
    -- The row counts from `since` on, before `until`.
    since                   timestamptz NOT NULL DEFAULT '-infinity',
    until                   timestamptz NOT NULL DEFAULT 'infinity',
    entitled                boolean NOT NULL,
    -- Stripe's word, or 'none' for a user without a subscription.
    status                  text NOT NULL,
    -- The tier of the subscription, whatever its status.
    tier                    text NOT NULL,
    -- The tier to enforce when no grace runs.
    base_tier               text NOT NULL,
    -- The tier to enforce until grace_until.
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
    PRIMARY KEY (user_id, since),
    CHECK (since < until),
    CHECK ((grace_tier IS NULL) = (grace_until IS NULL))
) WITH (fillfactor = 70);

-- The catalog's tiers, for billing.trial_days. Each worker writes them when it starts.
CREATE TABLE billing.tier (
    name       text PRIMARY KEY,
    rank       integer NOT NULL,
    trial_days integer NOT NULL
);
