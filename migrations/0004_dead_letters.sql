-- Dead letters: messages that could not be applied and wait for an operator.
-- The messages themselves are in RabbitMQ's dead-letter queue.

-- One row per dead message, also after it is resolved.
CREATE TABLE billing.dead_letter (
    -- The event's id, or a hash of a body that has no id.
    event_id     text PRIMARY KEY,
    -- Empty if the body has no type.
    event_type   text NOT NULL,
    -- One of the reasons in the runbook.
    reason       text NOT NULL,
    -- What is wrong, where, and what to do.
    detail       text NOT NULL,
    -- Failed attempts in all.
    attempts     bigint NOT NULL,
    first_failed timestamptz NOT NULL,
    last_failed  timestamptz NOT NULL,
    -- Where the message came from. This decides how its body is read.
    source       text NOT NULL,
    -- The Stripe customer, or the user of a usage report, if the body names one.
    customer     text,
    -- The message is in the dead-letter queue.
    queued       boolean NOT NULL DEFAULT false,
    resolved_at  timestamptz,
    -- 'applied', 'ignored' or 'discarded'.
    resolution   text,
    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);
CREATE INDEX dead_letter_open ON billing.dead_letter (first_failed) WHERE resolved_at IS NULL;
-- Finds the resolved ones whose message is left in the queue.
CREATE INDEX dead_letter_left_over ON billing.dead_letter (event_id) WHERE queued AND resolved_at IS NOT NULL;
-- Finds a customer's dead letters for the console.
CREATE INDEX dead_letter_customer ON billing.dead_letter (customer) WHERE customer IS NOT NULL;

-- One row each time that a message became dead. Rows are only added.
CREATE TABLE billing.dead_letter_failure (
    failure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text NOT NULL,
    at         timestamptz NOT NULL,
    reason     text NOT NULL,
    detail     text NOT NULL,
    attempts   bigint NOT NULL
);
CREATE INDEX dead_letter_failure_event ON billing.dead_letter_failure (event_id);

-- What operators did with dead letters. A row is committed before the action
-- begins, so that an action that is cut off is on record too.
CREATE TABLE billing.operator_action (
    action_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begun_at    timestamptz NOT NULL DEFAULT now(),
    operator    text NOT NULL,
    via         text NOT NULL CHECK (via IN ('command', 'console')),
    action      text NOT NULL CHECK (action IN ('replay', 'discard')),
    -- Which dead letters, in words.
    selection   text NOT NULL,
    -- The reason, in the operator's own words.
    why         text,
    -- How many dead letters were selected.
    letters     bigint NOT NULL,
    finished_at timestamptz,
    -- The result; NULL while the action runs, and until another action finds
    -- that this one was cut off.
    outcome     text,
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
);

-- The dead letters of an action. Each row is written before its message is moved.
CREATE TABLE billing.operator_action_event (
    action_id bigint NOT NULL REFERENCES billing.operator_action,
    event_id  text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (action_id, event_id)
);
CREATE INDEX operator_action_event_event ON billing.operator_action_event (event_id);
