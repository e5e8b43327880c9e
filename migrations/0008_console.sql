-- Whose customer an account is said to be, looked up by the user: `worker
-- explain` and the console read every account for that until now. An update
-- that leaves the claim as it was does not touch the index.
CREATE INDEX account_user ON billing.account ((claim ->> 'user')) WHERE claim IS NOT NULL;
