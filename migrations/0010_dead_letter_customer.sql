-- Whose dead letters are, looked up by the console: a customer may be known by
-- nothing else.
CREATE INDEX dead_letter_customer ON billing.dead_letter (customer) WHERE customer IS NOT NULL;
-- What a report of use came to, looked up by its event. By hash: the names that
-- applications give are long, and every use pays for it.
CREATE INDEX ledger_report ON billing.ledger USING hash (cause) WHERE kind = 'usage';
