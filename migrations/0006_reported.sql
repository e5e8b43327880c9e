-- Units of all usage there was of a meter: it has an end, so that what was taken
-- can always be settled with what Stripe tells.
ALTER TABLE billing.balance ADD COLUMN reported bigint NOT NULL DEFAULT 0 CHECK (reported >= 0);
UPDATE billing.balance b SET reported = least(l.amount, 4611686018427387904)::bigint
FROM (SELECT user_id, meter, sum(amount) AS amount FROM billing.ledger WHERE kind = 'usage' GROUP BY 1, 2) AS l
WHERE (b.user_id, b.meter) = (l.user_id, l.meter);
