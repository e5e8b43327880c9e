-- The interface for applications. Its names, columns and meanings do not change
-- within a major version.

CREATE VIEW billing.entitlements AS
SELECT user_id,
       entitled,
       status,
       tier,
       CASE WHEN grace_until > now() THEN grace_tier ELSE base_tier END AS effective_tier,
       CASE WHEN grace_until > now() THEN grace_tier END AS grace_tier,
       CASE WHEN grace_until > now() THEN grace_until END AS grace_until,
       current_period_start,
       current_period_end,
       trial_end,
       is_canceling,
       cancel_at,
       canceled_at,
       ever_paid,
       highest_tier_subscribed,
       stripe_customer_id,
       stripe_subscription_id
FROM billing.entitlement
WHERE since <= now() AND now() < until;
COMMENT ON VIEW billing.entitlements IS 'What each user may use, now. One row per user; effective_tier is what to enforce.';

-- greatest() and least() skip NULL, so an unlimited meter needs the CASE.
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
           CASE WHEN limit_ends_at <= now() THEN 0 ELSE plan_limit END AS plan_limit,
           used,
           rollover,
           purchased
    FROM billing.balance
) AS today;
COMMENT ON VIEW billing.balances IS 'What is left of each meter, now. available may be below zero; NULL is unlimited.';

CREATE VIEW billing.events AS
SELECT event_id, event_type, created, received_at, outcome, reason
FROM billing.event;
COMMENT ON VIEW billing.events IS 'One row per event received: applied, ignored or dead.';

-- A user who has had this tier or a higher one, by the ranks of the catalog in force,
-- gets no trial. A tier that the catalog does not sell has none.
CREATE FUNCTION billing.trial_days(user_id text, tier text) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce((
        SELECT CASE WHEN coalesce(highest.rank, known.highest_rank) >= offered.rank THEN 0 ELSE offered.trial_days END
        FROM billing.tier AS offered
        LEFT JOIN billing.entitlement AS known
            ON known.user_id = trial_days.user_id AND known.since <= now() AND now() < known.until
        LEFT JOIN billing.tier AS highest ON highest.name = known.highest_tier_subscribed
        WHERE offered.name = trial_days.tier
    ), 0);
END;
COMMENT ON FUNCTION billing.trial_days IS 'Days of trial to offer this user for this tier; also for a user never seen.';
