-- Usage, rollover, packs: balances, and the ledger that they are the sum of.

-- The payment that a fact is about: refunds and disputes name no customer.
ALTER TABLE billing.fact ADD COLUMN payment text;
UPDATE billing.fact SET payment = coalesce(
    body #>> '{said,charge_refunded,payment_intent}',
    body #>> '{said,refund_failed,payment_intent}',
    body #>> '{said,dispute,payment_intent}',
    CASE WHEN body #> '{said,session,grant}' IS NOT NULL THEN body #>> '{said,session,payment_intent}' END);
CREATE INDEX fact_payment ON billing.fact (payment) WHERE payment IS NOT NULL;

-- A row per payment that a fact told of, to lock while it is looked for: the
-- session and its refund may come to two workers at once.
CREATE TABLE billing.payment (
    payment text PRIMARY KEY,
    folds   bigint NOT NULL DEFAULT 1
);

-- A row per session that bought credits. user_id: whose they are, once a link
-- is known; named: the session itself says so.
CREATE TABLE billing.pack (
    session_id text PRIMARY KEY,
    account    text NOT NULL,
    payment    text,
    user_id    text,
    named      boolean NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pack_account ON billing.pack (account);
CREATE INDEX pack_payment ON billing.pack (payment) WHERE payment IS NOT NULL;
CREATE INDEX pack_user ON billing.pack (user_id) WHERE user_id IS NOT NULL;
-- Those that wait for a link to their user; watched by a metric.
CREATE INDEX pack_unlinked ON billing.pack (first_seen) WHERE user_id IS NULL;

-- What is left, a row per user and meter. plan_limit and lifted_limit: NULL is
-- unlimited. lifted: a grace lends the limit that was paid for. since: usage
-- from this second on comes after all that is decided.
CREATE TABLE billing.balance (
    user_id         text NOT NULL,
    meter           text NOT NULL,
    subscription_id text,
    period_start    bigint,
    plan_limit      bigint,
    lifted_limit    bigint,
    lifted_until    timestamptz,
    used            bigint NOT NULL CHECK (used >= 0),
    rollover        bigint NOT NULL,
    purchased       bigint NOT NULL CHECK (purchased >= 0),
    since           bigint NOT NULL,
    changed_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, meter),
    CHECK ((subscription_id IS NULL) = (period_start IS NULL))
) WITH (fillfactor = 70);

-- Every change of a balance, with its cause; rows are only added. at: where in
-- time it counts, in seconds. period: the billing period that used belongs to,
-- as 'subscription start', or empty.
CREATE TABLE billing.ledger (
    user_id     text NOT NULL,
    meter       text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('usage', 'rollover', 'grant', 'taken_back', 'returned', 'correction')),
    cause       text NOT NULL,
    period      text NOT NULL,
    at          bigint NOT NULL,
    amount      bigint NOT NULL,
    used        bigint NOT NULL,
    rollover    bigint NOT NULL,
    purchased   bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, meter, kind, cause, period)
);

-- greatest() skips NULL, which is what makes an unlimited meter unlimited.
CREATE VIEW billing.balances AS
SELECT user_id,
       meter,
       plan_limit,
       used,
       rollover,
       purchased,
       CASE WHEN plan_limit IS NOT NULL THEN
           least(greatest(0, plan_limit - used)::numeric + rollover + purchased, 9223372036854775807)::bigint
       END AS available
FROM (
    SELECT user_id,
           meter,
           CASE WHEN lifted_until > now() THEN lifted_limit ELSE plan_limit END AS plan_limit,
           used,
           rollover,
           purchased
    FROM billing.balance
) AS today;
COMMENT ON VIEW billing.balances IS 'What is left of each meter, now. available may be below zero; NULL is unlimited.';
