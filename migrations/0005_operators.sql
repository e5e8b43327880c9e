-- What operators see of dead letters, and what they did with them.

-- source: where the message came from, which says how its body is read.
-- customer: the Stripe customer, or the user of usage, as far as it can be told.
ALTER TABLE billing.dead_letter ADD COLUMN source text, ADD COLUMN customer text;
UPDATE billing.dead_letter SET source = CASE event_type WHEN 'usage' THEN 'usage' ELSE 'webhook' END;
ALTER TABLE billing.dead_letter ALTER COLUMN source SET NOT NULL;

-- Each time that a message was given up; rows are only added.
CREATE TABLE billing.failure (
    failure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text NOT NULL,
    at         timestamptz NOT NULL,
    reason     text NOT NULL,
    detail     text NOT NULL,
    attempts   bigint NOT NULL
);
CREATE INDEX failure_event ON billing.failure (event_id);
INSERT INTO billing.failure (event_id, at, reason, detail, attempts)
SELECT event_id, last_failed, reason, detail, attempts FROM billing.dead_letter ORDER BY last_failed;

-- What operators did; begun_at is committed before anything is done. outcome:
-- what came of it; NULL while it is under way, or where it was cut off.
CREATE TABLE billing.operator_action (
    action_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begun_at    timestamptz NOT NULL DEFAULT now(),
    operator    text NOT NULL,
    via         text NOT NULL CHECK (via IN ('command', 'console')),
    action      text NOT NULL CHECK (action IN ('replay', 'discard')),
    selection   text NOT NULL,
    why         text,
    letters     bigint NOT NULL,
    finished_at timestamptz,
    outcome     text,
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
);

-- The dead letters of an action, each written down before it was touched.
CREATE TABLE billing.operator_action_event (
    action_id bigint NOT NULL REFERENCES billing.operator_action,
    event_id  text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (action_id, event_id)
);
CREATE INDEX operator_action_event_event ON billing.operator_action_event (event_id);
