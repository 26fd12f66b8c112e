-- Rules: a condition over what is known of a payment, or of an event of a stream, when it is decided, and what is to be
-- done. They run in its transaction (src/pg/rules), with the rights of who wrote them.
--
-- Workers read these tables and lock no row of them; what they write themselves (matches, slow
-- rules) are rows that nobody changes.
CREATE TABLE fraud.rule_versions (
    rule text COLLATE "C" NOT NULL,
    version int NOT NULL,
    condition text NOT NULL,
    expression text NOT NULL,
    columns text[] NOT NULL,
    lists text[] NOT NULL,
    features text[] NOT NULL DEFAULT '{}',
    foreign_names text[] NOT NULL DEFAULT '{}',
    plain boolean NOT NULL,
    action text NOT NULL CHECK (action IN ('allow', 'block', 'review', 'raise', 'lower', 'tag')),
    reason text,
    priority int NOT NULL,
    on_error text NOT NULL CHECK (on_error IN ('ignore', 'review', 'block')),
    valid_from timestamptz,
    valid_until timestamptz,
    tag text,
    note text,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name,
    PRIMARY KEY (rule, version)
);
COMMENT ON TABLE fraud.rule_versions IS 'what each rule says, and said: a version is never changed; fraud.rules has which one is in force';
COMMENT ON COLUMN fraud.rule_versions.condition IS 'as it was written';
COMMENT ON COLUMN fraud.rule_versions.expression IS 'the same as Postgres prints it, every name outside of pg_catalog qualified';
COMMENT ON COLUMN fraud.rule_versions.columns IS 'of fraud.rule_columns(), that it uses';
COMMENT ON COLUMN fraud.rule_versions.lists IS 'that it looks into';
COMMENT ON COLUMN fraud.rule_versions.features IS 'of a stream''s rule: which of its columns are features, by their own names; where that is not so any more, the rule fails';
COMMENT ON COLUMN fraud.rule_versions.foreign_names IS 'functions and types that it has and that are not Postgres''s; where these are not the same any more, the rule fails';
COMMENT ON COLUMN fraud.rule_versions.plain IS 'whether it runs no functions but Postgres''s and fraud.in_list; of types that are not Postgres''s it may compare enums, and values of domains: others may backtest it, and enforce it under fraud_detect.four_eyes';
COMMENT ON COLUMN fraud.rule_versions.reason IS 'what an alert says of it: {column} stands for a value; null: the rule''s name';
COMMENT ON COLUMN fraud.rule_versions.priority IS 'of rules of one kind that match, the one with the lowest number is said to have decided';
COMMENT ON COLUMN fraud.rule_versions.on_error IS 'what an enforced rule does of whose condition fails: ignore (nothing), review or block';
COMMENT ON COLUMN fraud.rule_versions.created_by IS 'the author, whose rights the condition has; null: the extension''s owner';

CREATE TABLE fraud.rules (
    rule text COLLATE "C" PRIMARY KEY,
    stream text COLLATE "C" NOT NULL DEFAULT 'payments',
    enforced_version int,
    observed_version int,
    of_list text COLLATE "C",
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by name NOT NULL DEFAULT fraud._caller()
);
COMMENT ON TABLE fraud.rules IS 'which version of each rule decides payments, or events of a stream, and which one is only counted; read fraud.rule_status';
COMMENT ON COLUMN fraud.rules.stream IS 'what it decides: payments, or a stream (fraud.streams)';
COMMENT ON COLUMN fraud.rules.enforced_version IS 'the version that decides; null: none does';
COMMENT ON COLUMN fraud.rules.observed_version IS 'the version whose matches are counted and decide nothing: a draft; null: none';
COMMENT ON COLUMN fraud.rules.of_list IS 'the list that it came with (block_device)';

CREATE TABLE fraud.rule_history (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule text COLLATE "C" NOT NULL,
    version int,
    act text NOT NULL CHECK (act IN ('add', 'alter', 'enforce', 'observe', 'disable', 'rollback', 'drop')),
    reason text,
    at timestamptz NOT NULL DEFAULT now(),
    by name NOT NULL DEFAULT fraud._caller()
);
CREATE INDEX rule_history_rule_idx ON fraud.rule_history (rule, event_id);
COMMENT ON TABLE fraud.rule_history IS 'who did what to a rule, when and why';

-- What a payment asks first: whether there are rules at all, and whether they are still those that
-- the session has ready.
CREATE TABLE fraud.rule_sets (
    stream text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    live int NOT NULL
);
COMMENT ON TABLE fraud.rule_sets IS 'internal: how many rules of payments, and of each stream, are enforced or observed, and a number that changes with them';

-- Written by whoever stores a payment; the version is observed from then on, in whatever fraud.rules says.
CREATE TABLE fraud.slow_rules (
    slow_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule text COLLATE "C" NOT NULL,
    version int NOT NULL,
    mean_ms float8 NOT NULL,
    evaluations bigint NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    stopped boolean NOT NULL DEFAULT false
);
CREATE INDEX slow_rules_rule_idx ON fraud.slow_rules (rule, version);
COMMENT ON TABLE fraud.slow_rules IS
    'versions of rules that took longer than fraud_detect.rule_time_limit, and were put back to observe, or longer than fraud_detect.rule_timeout once, and are not evaluated any more: a new version, fraud.enforce_rule or fraud.observe_rule has them tried again';
COMMENT ON COLUMN fraud.slow_rules.stopped IS 'it took longer than fraud_detect.rule_timeout once: it is skipped, and neither decides nor is counted';

CREATE TABLE fraud.rule_matches (
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    version int NOT NULL,
    occurred_at timestamptz NOT NULL,
    matched_at timestamptz NOT NULL DEFAULT now(),
    action text NOT NULL,
    enforced boolean NOT NULL,
    decided boolean NOT NULL,
    model_decision text,
    decision text,
    reason text,
    tag text,
    error text,
    PRIMARY KEY (card, transaction_id, rule, version)
);
CREATE INDEX rule_matches_rule_idx ON fraud.rule_matches (rule, matched_at);
CREATE INDEX rule_matches_error_idx ON fraud.rule_matches (rule, matched_at) WHERE error IS NOT NULL;
COMMENT ON TABLE fraud.rule_matches IS 'which rules matched a payment, or failed on it, written with the payment';
COMMENT ON COLUMN fraud.rule_matches.enforced IS 'false: it was observed, and decided nothing';
COMMENT ON COLUMN fraud.rule_matches.decided IS 'whether the decision is this rule''s; of those that agree, the first by priority';
COMMENT ON COLUMN fraud.rule_matches.model_decision IS 'what the model''s thresholds alone came to; null where it has none';
COMMENT ON COLUMN fraud.rule_matches.decision IS 'what was decided in the end';
COMMENT ON COLUMN fraud.rule_matches.error IS 'why the condition failed; null: it matched';

CREATE TABLE fraud.stream_rule_matches (
    stream text NOT NULL,
    decision_id bigint NOT NULL,
    rule text COLLATE "C" NOT NULL,
    version int NOT NULL,
    event_id text COLLATE "C",
    event_time timestamptz,
    matched_at timestamptz NOT NULL DEFAULT now(),
    action text NOT NULL,
    enforced boolean NOT NULL,
    decided boolean NOT NULL,
    model_decision text,
    decision text,
    reason text,
    tag text,
    error text,
    PRIMARY KEY (stream, decision_id, rule, version)
);
CREATE INDEX stream_rule_matches_rule_idx ON fraud.stream_rule_matches (rule, matched_at);
CREATE INDEX stream_rule_matches_error_idx ON fraud.stream_rule_matches (rule, matched_at) WHERE error IS NOT NULL;
COMMENT ON TABLE fraud.stream_rule_matches IS 'which rules matched an event of a stream, or failed on it, written with its decision; columns as of fraud.rule_matches';
COMMENT ON COLUMN fraud.stream_rule_matches.decision_id IS 'of fraud.stream_decisions';
COMMENT ON COLUMN fraud.stream_rule_matches.event_id IS 'as in fraud.stream_decisions';
COMMENT ON COLUMN fraud.stream_rule_matches.enforced IS 'false: it was observed, and decided nothing';
COMMENT ON COLUMN fraud.stream_rule_matches.decided IS 'whether the decision is this rule''s; of those that agree, the first by priority';
COMMENT ON COLUMN fraud.stream_rule_matches.model_decision IS 'what the model''s thresholds alone came to; null: the event could not be scored';
COMMENT ON COLUMN fraud.stream_rule_matches.decision IS 'what was decided in the end; null: an event without a score that no rule decided';
COMMENT ON COLUMN fraud.stream_rule_matches.error IS 'why the condition failed; null: it matched';

CREATE TABLE fraud.snoozes (
    snooze_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('customer', 'merchant', 'rule', 'entity')),
    name text COLLATE "C" NOT NULL,
    card uuid,
    stream text COLLATE "C",
    "until" timestamptz NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name NOT NULL DEFAULT fraud._caller(),
    ended_at timestamptz,
    ended_by name,
    end_reason text,
    CHECK ((kind = 'entity') = (stream IS NOT NULL))
);
CREATE INDEX snoozes_name_idx ON fraud.snoozes (name, kind) WHERE ended_at IS NULL;
COMMENT ON TABLE fraud.snoozes IS 'customers, merchants, rules and entities of streams that raise no alert until a time: payments and events are stored, scored and decided all the same';
COMMENT ON COLUMN fraud.snoozes.name IS 'the merchant, the rule, the customer''s card, or the entity, as fraud.stream_decisions has it';
COMMENT ON COLUMN fraud.snoozes.stream IS 'whose entity it is; null: it is none';

CREATE TABLE fraud.snoozed_alerts (
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    snooze_id bigint NOT NULL,
    score float8 NOT NULL,
    decision text NOT NULL,
    snoozed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (card, transaction_id)
);
CREATE INDEX snoozed_alerts_snooze_idx ON fraud.snoozed_alerts (snooze_id);
COMMENT ON TABLE fraud.snoozed_alerts IS 'alerts that were not raised, for somebody had snoozed their customer, merchant or rule';

CREATE TABLE fraud.stream_snoozed_alerts (
    stream text NOT NULL,
    decision_id bigint NOT NULL,
    event_id text COLLATE "C",
    event_time timestamptz,
    snooze_id bigint NOT NULL,
    score float8,
    decision text NOT NULL,
    snoozed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, decision_id)
);
CREATE INDEX stream_snoozed_alerts_snooze_idx ON fraud.stream_snoozed_alerts (snooze_id);
COMMENT ON TABLE fraud.stream_snoozed_alerts IS 'alerts of events of streams that were not raised, for somebody had snoozed their rule or entity';
