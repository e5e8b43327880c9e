-- The best word about whose a customer is, so that a new event is folded
-- without its account's old ones. `worker migrate` fills it when it folds the
-- states of an older version again.
ALTER TABLE billing.account ADD COLUMN claim json, ADD COLUMN version integer;

-- Subscriptions of which only an invoice or a session told so far; watched by a metric.
CREATE INDEX subscription_unseen ON billing.subscription (first_seen) WHERE state ->> 'latest' IS NULL;
