-- A state that an index reads makes every update of its row touch all indexes,
-- so whether a subscription waits for its first snapshot is a column.
DROP INDEX billing.subscription_unseen;
ALTER TABLE billing.subscription ADD COLUMN unseen boolean NOT NULL DEFAULT false;
UPDATE billing.subscription SET unseen = true WHERE state ->> 'latest' IS NULL;
CREATE INDEX subscription_unseen ON billing.subscription (first_seen) WHERE unseen;
