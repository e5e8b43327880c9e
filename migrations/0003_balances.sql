-- Balances of meters, the packs that fill them, and the ledger of every change.

-- One row per payment that a fact is about. The worker locks this row, because
-- a purchase and its refund may reach two workers at once.
CREATE TABLE billing.payment (
    -- The payment intent, or the charge if there is none.
    payment    text PRIMARY KEY,
    -- As in billing.account.
    lock_count bigint NOT NULL DEFAULT 1,
    -- The invoice that it paid; NULL until an event says so.
    invoice    text,
    -- A refund or a dispute of it is known.
    returned   boolean NOT NULL DEFAULT false,
    -- The account of its invoice, if it was returned. The facts about such a payment
    -- concern this account, although they name no customer.
    account    text
);
CREATE INDEX payment_invoice ON billing.payment (invoice) WHERE returned AND invoice IS NOT NULL;
CREATE INDEX payment_account ON billing.payment (account) WHERE account IS NOT NULL;

-- One row per invoice of a subscription or of a payment. It connects a payment with
-- a customer, and is locked like billing.payment.
CREATE TABLE billing.invoice (
    invoice text PRIMARY KEY,
    -- NULL until an event of the invoice itself names the customer.
    account text
);

-- One row per sale of credits.
CREATE TABLE billing.pack (
    -- The checkout session; the invoice, if it was sold with a subscription.
    sale_id    text PRIMARY KEY,
    account    text NOT NULL,
    -- The session's payment intent. Other events say what paid an invoice.
    payment    text,
    -- The user who gets the credits; NULL until an event names the user.
    user_id    text,
    -- The session names the user. Otherwise user_id is the account's user,
    -- and follows it.
    names_user boolean NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pack_account ON billing.pack (account);
CREATE INDEX pack_payment ON billing.pack (payment) WHERE payment IS NOT NULL;
CREATE INDEX pack_user ON billing.pack (user_id) WHERE user_id IS NOT NULL;
-- A metric counts the packs that wait for their user.
CREATE INDEX pack_unlinked ON billing.pack (first_seen) WHERE user_id IS NULL;

-- The current balance: one row per user and meter. billing.balances shows it to
-- applications. Amounts are units of the meter.
CREATE TABLE billing.balance (
    user_id         text NOT NULL,
    meter           text NOT NULL,
    -- The billing period in which use is counted: its subscription, and its first
    -- second since 1970. NULL before the user has a subscription.
    subscription_id text,
    period_start    bigint,
    -- Units that the period includes; NULL is unlimited.
    plan_limit      bigint,
    -- From then on the limit is 0: an end of the subscription that no event told of.
    limit_ends_at   timestamptz,
    -- Units used of the period's limit.
    used            bigint NOT NULL CHECK (used >= 0),
    -- Units left of earlier periods; below zero is a debt.
    rollover        bigint NOT NULL,
    -- Units left of packs.
    purchased       bigint NOT NULL CHECK (purchased >= 0),
    -- All units ever reported. They are bounded, so that no sum overflows.
    usage_total     bigint NOT NULL DEFAULT 0 CHECK (usage_total >= 0),
    -- In seconds since 1970. Usage from this second on is simply added. Earlier
    -- usage changes what is already decided, so the timeline is replayed.
    settled_until   bigint NOT NULL,
    changed_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, meter),
    CHECK ((subscription_id IS NULL) = (period_start IS NULL))
) WITH (fillfactor = 70);

-- Every change of a balance, with its cause. Rows are only added. The sum of a
-- user's rows is the user's balance.
CREATE TABLE billing.ledger (
    user_id     text NOT NULL,
    meter       text NOT NULL,
    -- usage: a usage report. rollover: what a period left over. carried: what was left of a
    -- period that a change cut short. overused: what was used beyond the part of such a
    -- period that was not credited, or beyond the user's part of a period in which they
    -- handed the subscription over. grant: a pack.
    -- taken_back: a refund or a dispute of a pack. returned: a refund that failed,
    -- or a dispute that was won. correction: an earlier row would be different now.
    kind        text NOT NULL CHECK (kind IN ('usage', 'rollover', 'carried', 'overused', 'grant', 'taken_back', 'returned',
                                             'correction')),
    -- The id of the event; of a rollover the invoice, of a grant the session or invoice.
    cause       text NOT NULL,
    -- The billing period that `used` counts in: 'subscription start', or empty.
    period      text NOT NULL,
    -- When the change counts, in seconds since 1970.
    at          bigint NOT NULL,
    -- Units that were used, left over, bought, taken back or returned; 0 for a correction.
    amount      bigint NOT NULL,
    -- What is added to the balance's columns of the same names.
    used        bigint NOT NULL,
    rollover    bigint NOT NULL,
    purchased   bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, meter, kind, cause, period)
);
-- Reads the usage of one hour.
CREATE INDEX ledger_usage ON billing.ledger (user_id, meter, at) WHERE kind = 'usage';
-- Finds what is already recorded, so that no cause is recorded twice.
CREATE INDEX ledger_cause ON billing.ledger (user_id) WHERE kind NOT IN ('usage', 'correction');
-- Finds the rows of one usage report. A hash index stays small although the
-- applications' ids are long.
CREATE INDEX ledger_report ON billing.ledger USING hash (cause) WHERE kind = 'usage';

-- The ledger summed up by billing period and hour, so that the cost of one of
-- Stripe's events does not grow with the number of a user's usage reports.
CREATE TABLE billing.ledger_sum (
    user_id   text NOT NULL,
    meter     text NOT NULL,
    -- Hours since 1970: ledger.at / 3600.
    hour      bigint NOT NULL,
    period    text NOT NULL,
    -- The first and the last usage of the hour; NULL without usage. If nothing
    -- else happened between them, the sum can be used instead of the rows.
    first_at  bigint,
    last_at   bigint,
    -- Units of usage.
    amount    bigint NOT NULL,
    -- Sums over all kinds of rows.
    used      bigint NOT NULL,
    rollover  bigint NOT NULL,
    purchased bigint NOT NULL,
    PRIMARY KEY (user_id, meter, hour, period),
    CHECK ((first_at IS NULL) = (last_at IS NULL))
) WITH (fillfactor = 70);
