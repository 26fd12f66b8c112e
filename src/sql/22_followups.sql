-- What follows a payment and is none: it is not scored, and no window, sum or report counts it as one.
CREATE TABLE fraud.payment_followups (
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('capture', 'refund', 'reversal', 'chargeback')),
    reference text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    amount numeric NOT NULL,
    currency text COLLATE "C" NOT NULL,
    base_amount numeric NOT NULL,
    source text NOT NULL,
    attributes jsonb,
    PRIMARY KEY (transaction_id, card)
);
CREATE INDEX payment_followups_reference_idx ON fraud.payment_followups (card, reference);
CREATE INDEX payment_followups_occurred_at_idx ON fraud.payment_followups (occurred_at);
COMMENT ON TABLE fraud.payment_followups IS
    'captures, refunds, reversals and chargebacks of payments; fraud.payment_balances sums them up. A chargeback is a label of its payment, too';
COMMENT ON COLUMN fraud.payment_followups.card IS 'the customer: fraud.customers.card';
COMMENT ON COLUMN fraud.payment_followups.transaction_id IS 'its own id, unique for its customer';
COMMENT ON COLUMN fraud.payment_followups.reference IS 'the payment that it follows: fraud.transactions.transaction_id of the same card';
COMMENT ON COLUMN fraud.payment_followups.amount IS 'in its currency, never negative; the payment''s, where none was given';
COMMENT ON COLUMN fraud.payment_followups.base_amount IS
    'in fraud_detect.base_currency: the same share of the payment''s base_amount, so that what is paid back in full comes to nothing; of another currency than the payment''s, by the rate as of its own time';
COMMENT ON COLUMN fraud.payment_followups.attributes IS 'as fraud.transactions.attributes';

CREATE VIEW fraud.payment_balances AS
    SELECT t.card, t.transaction_id, t.occurred_at, t.base_amount,
           f.captured, f.refunded, f.reversed, f.charged_back,
           t.base_amount - f.refunded - f.reversed - f.charged_back AS remaining, f.followups, f.last_followup_at
    FROM (SELECT p.card, p.reference,
                 coalesce(sum(p.base_amount) FILTER (WHERE p.kind = 'capture'), 0) AS captured,
                 coalesce(sum(p.base_amount) FILTER (WHERE p.kind = 'refund'), 0) AS refunded,
                 coalesce(sum(p.base_amount) FILTER (WHERE p.kind = 'reversal'), 0) AS reversed,
                 coalesce(sum(p.base_amount) FILTER (WHERE p.kind = 'chargeback'), 0) AS charged_back,
                 count(*) AS followups, max(p.occurred_at) AS last_followup_at
          FROM fraud.payment_followups p GROUP BY p.card, p.reference) f
    JOIN fraud.payment_keys k ON k.transaction_id = f.reference AND k.card = f.card
    JOIN fraud.transactions t ON t.card = f.card AND t.occurred_at = k.occurred_at AND t.transaction_id = f.reference;
COMMENT ON VIEW fraud.payment_balances IS
    'payments that something followed (fraud.payment_followups), and what came of them, in fraud_detect.base_currency';
COMMENT ON COLUMN fraud.payment_balances.captured IS 'of an authorisation: what was taken of it';
COMMENT ON COLUMN fraud.payment_balances.remaining IS 'base_amount less what was refunded, reversed and charged back';
