-- Sums of the ledger, a row for each billing period and hour in which something
-- counts: so that what an event of Stripe's costs does not grow with a user's
-- lines. amount is that of usage, first_at and last_at are of it too: where the
-- story of the user has no cut between them, the sum stands for all of it.
CREATE TABLE billing.ledger_sum (
    user_id   text NOT NULL,
    meter     text NOT NULL,
    hour      bigint NOT NULL,
    period    text NOT NULL,
    first_at  bigint,
    last_at   bigint,
    amount    bigint NOT NULL,
    used      bigint NOT NULL,
    rollover  bigint NOT NULL,
    purchased bigint NOT NULL,
    PRIMARY KEY (user_id, meter, hour, period),
    CHECK ((first_at IS NULL) = (last_at IS NULL))
) WITH (fillfactor = 70);

-- The lines of an hour that has a cut in it.
CREATE INDEX ledger_usage ON billing.ledger (user_id, meter, at) WHERE kind = 'usage';
-- What was entered once and is not entered again.
CREATE INDEX ledger_cause ON billing.ledger (user_id) WHERE kind NOT IN ('usage', 'correction');

INSERT INTO billing.ledger_sum (user_id, meter, hour, period, first_at, last_at, amount, used, rollover, purchased)
SELECT user_id, meter, at / 3600, period, min(at) FILTER (WHERE kind = 'usage'), max(at) FILTER (WHERE kind = 'usage'),
       coalesce(sum(amount) FILTER (WHERE kind = 'usage'), 0), sum(used), sum(rollover), sum(purchased)
FROM billing.ledger GROUP BY 1, 2, 3, 4;
