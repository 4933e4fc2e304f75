"""The decision log: decision points, deliveries, feedback, and the seeds' views on it."""

from alembic import op

from zenmoon_cloud.database.row_security import protect

revision = "0008"
down_revision = "0007"

TABLES = (
    """CREATE FUNCTION propensity_sum(options jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
       RETURN (SELECT sum((option ->> 1)::numeric) FROM jsonb_array_elements(options) AS option)""",
    "COMMENT ON FUNCTION propensity_sum IS 'What the probabilities of [[option, probability], …] add up to'",
    """CREATE TABLE decision_points (
        family_id uuid NOT NULL,
        id int8 GENERATED ALWAYS AS IDENTITY,
        child_id text NOT NULL,
        at timestamptz NOT NULL,
        slot text NOT NULL CHECK (slot IN ('activity', 'wording', 'schedule')),
        slot_start timestamptz,
        parent_decision_id int8,
        available boolean NOT NULL,
        options jsonb NOT NULL CHECK (jsonb_typeof(options) = 'array' AND abs(propensity_sum(options) - 1) < 1e-12),
        chosen text NOT NULL CHECK (options @> jsonb_build_array(jsonb_build_array(chosen))),
        randomised boolean NOT NULL CHECK (randomised = (jsonb_array_length(options) > 1)),
        policy text NOT NULL CHECK (length(policy) BETWEEN 1 AND 100),
        state jsonb NOT NULL CHECK (jsonb_typeof(state) = 'object'),
        arm text CHECK (length(arm) BETWEEN 1 AND 100),
        transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
        PRIMARY KEY (family_id, id),
        UNIQUE (family_id, child_id, slot, slot_start),
        FOREIGN KEY (family_id, child_id) REFERENCES children (family_id, id) ON DELETE CASCADE,
        FOREIGN KEY (family_id, parent_decision_id) REFERENCES decision_points (family_id, id),
        CHECK (available OR NOT randomised))""",
    "CREATE INDEX decision_points_child ON decision_points (family_id, child_id, id)",
    "CREATE INDEX decision_points_time ON decision_points (family_id, child_id, at)",
    "COMMENT ON TABLE decision_points IS 'One choice for a child: among what, with which chance, from which state. Never changed'",
    """CREATE TABLE deliveries (
        family_id uuid NOT NULL,
        id uuid NOT NULL,
        decision_id int8 NOT NULL,
        channel text NOT NULL CHECK (length(channel) BETWEEN 1 AND 40),
        text text NOT NULL CHECK (length(text) BETWEEN 1 AND 2000),
        explanation text NOT NULL CHECK (length(explanation) BETWEEN 1 AND 2000),
        receipt jsonb NOT NULL CHECK (jsonb_typeof(receipt) = 'object'),
        sent_at timestamptz NOT NULL,
        seen_at timestamptz,
        transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
        PRIMARY KEY (family_id, id),
        UNIQUE (family_id, decision_id, channel),
        FOREIGN KEY (family_id, decision_id) REFERENCES decision_points (family_id, id) ON DELETE CASCADE)""",
    "CREATE INDEX deliveries_transaction ON deliveries (transaction_id)",
    "COMMENT ON TABLE deliveries IS 'The words in which a decision reached the guardians'",
    """CREATE TABLE feedback (
        family_id uuid NOT NULL,
        id uuid NOT NULL,
        number int8 GENERATED ALWAYS AS IDENTITY,
        decision_id int8 NOT NULL,
        source text NOT NULL CHECK (length(source) BETWEEN 1 AND 40),
        kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 40),
        value real NOT NULL CHECK (value BETWEEN -1 AND 1),
        latency_s real NOT NULL CHECK (latency_s >= 0),
        confidence real NOT NULL CHECK (confidence BETWEEN 0 AND 1),
        at timestamptz NOT NULL,
        supersedes uuid,
        guardian_id uuid REFERENCES guardians,
        PRIMARY KEY (family_id, id),
        UNIQUE (family_id, supersedes),
        FOREIGN KEY (family_id, decision_id) REFERENCES decision_points (family_id, id) ON DELETE CASCADE,
        FOREIGN KEY (family_id, supersedes) REFERENCES feedback (family_id, id),
        CHECK (source <> 'guardian' OR guardian_id IS NOT NULL))""",
    "CREATE INDEX feedback_decision ON feedback (family_id, decision_id)",
    # With UNIQUE (supersedes) this makes a guardian's opinions of one decision a single chain, whoever writes at the same time.
    """CREATE UNIQUE INDEX feedback_one_first ON feedback (family_id, decision_id, guardian_id, kind)
       WHERE supersedes IS NULL AND guardian_id IS NOT NULL""",
    "COMMENT ON TABLE feedback IS 'What came back on a decision; an undo is a new row'",
)

MEANINGS = {
    "decision_points": {
        "id": "Its public number, recommendation_id",
        "at": "Event time",
        "slot": "What was chosen: activity, wording or schedule",
        "slot_start": "Begin of the half hour that the decision was due in; null when somebody asked for it",
        "parent_decision_id": "The decision that this one refines",
        "available": "Whether anything could be suggested at all; if not, none is the only option",
        "options": "[[option, probability], …]: the eligible ones in the order of the draw",
        "chosen": "The option drawn; none = nothing is suggested",
        "randomised": "Whether chance had a say",
        "policy": "Rule or model that chose; with state it makes the same decision again",
        "state": "features, the uniform number u, and why_not",
        "arm": "Of a running experiment",
        "transaction_id": "Who wrote the row",
    },
    "deliveries": {
        "channel": "Where it was shown; page = the parents'' page",
        "text": "Two sentences for the guardians",
        "explanation": "Why this, why now",
        "receipt": "Facts used with ids, values and units; policy, propensity, model version, the activity as shown",
        "sent_at": "Event time",
        "seen_at": "Event time at which a guardian first had it in view",
        "transaction_id": "Who wrote the row or marked it as seen; the live view follows it",
    },
    "feedback": {
        "number": "In the order of writing; the seeds'' integer id",
        "source": "Whose it is, such as guardian",
        "kind": "What it is, such as thumb",
        "value": "-1 to 1; 0 takes an earlier one back",
        "latency_s": "Seconds of event time since the delivery",
        "confidence": "0 to 1: how far the value can be trusted",
        "at": "Event time",
        "supersedes": "The row that this one replaces",
        "guardian_id": "Who gave it, where a guardian did",
    },
}

DECISION = (
    "family_id, child_id, at, slot, slot_start, parent_decision_id, available, options, chosen, randomised, policy, state, arm"
)
DELIVERY = "family_id, id, decision_id, channel, text, explanation, receipt, sent_at, seen_at"
FEEDBACK = "family_id, id, decision_id, source, kind, value, latency_s, confidence, at, supersedes, guardian_id"
METRICS = ("heart_rate_bpm", "rmssd_ms", "eda_us", "eda_phasic_us", "temperature_c", "motion_g", "stress_level", "anomaly")

# Seed 1's tables and columns. Only the opinion that stands is feedback there: neither what was replaced nor what was taken back.
VIEWS = (
    """CREATE VIEW current_sleep WITH (security_invoker) AS
       SELECT family_id, child_id, time, ended_at, asleep_s, awakenings, efficiency, nap, zone_offset_s
       FROM sleep_episodes AS episode WHERE NOT EXISTS (
           SELECT FROM sleep_episodes AS later
           WHERE later.family_id = episode.family_id AND later.device = episode.device AND later.boot = episode.boot
             AND later.seq = episode.seq AND later.revision > episode.revision)""",
    "COMMENT ON VIEW current_sleep IS 'Every sleep as its highest revision says'",
    """CREATE VIEW recommendations WITH (security_invoker) AS
       SELECT p.family_id, p.id, p.id AS recommendation_id, p.child_id, d.text, p.chosen AS activity, d.sent_at AS timestamp
       FROM decision_points p JOIN deliveries d ON d.family_id = p.family_id AND d.decision_id = p.id
       WHERE p.slot = 'activity' AND d.channel = 'page'""",
    """CREATE VIEW recommendation_feedback WITH (security_invoker) AS
       SELECT f.family_id, f.number AS id, f.decision_id AS recommendation_id, p.child_id, f.value > 0 AS was_helpful,
              f.at AS timestamp
       FROM feedback f JOIN decision_points p ON p.family_id = f.family_id AND p.id = f.decision_id
       WHERE f.source = 'guardian' AND f.kind = 'thumb' AND f.value <> 0 AND NOT EXISTS (
           SELECT FROM feedback later WHERE later.family_id = f.family_id AND later.supersedes = f.id)""",
    "COMMENT ON VIEW recommendations IS 'Delivered decisions about activities, in the words of seed 1'",
    "COMMENT ON VIEW recommendation_feedback IS 'The thumbs that stand, in the words of seed 1'",
    # Only who owns the database may create a schema in it, and migrations run as the owner of the tables.
    "RESET ROLE",
    "CREATE SCHEMA seeds AUTHORIZATION zenmoon_owner",
    "SET LOCAL ROLE zenmoon_owner",
    "COMMENT ON SCHEMA seeds IS 'Tables of the seed documents as views: put it first in the search path and their queries run'",
    "CREATE VIEW seeds.recommendations WITH (security_invoker) AS SELECT * FROM public.recommendations",
    "CREATE VIEW seeds.feedback WITH (security_invoker) AS SELECT * FROM public.recommendation_feedback",
    "CREATE VIEW seeds.recommendation_feedback WITH (security_invoker) AS SELECT * FROM public.recommendation_feedback",
    """CREATE VIEW seeds.children WITH (security_invoker) AS
       SELECT family_id, id, display_name, (extract(year FROM now()) - birth_year)::int AS age, zone, chronotype,
              preferred_interventions, baseline_stress
       FROM public.children""",
    """CREATE VIEW seeds.school_events WITH (security_invoker) AS
       SELECT family_id, id, child_id, event_type, event_time, ends_at, note FROM public.school_events""",
    # An hour's night is the last that had ended by the end of the hour, at most a day before: all its pieces but no nap.
    f"""CREATE VIEW seeds.wellness_metrics WITH (security_invoker) AS
        SELECT hour.family_id, hour.child_id, hour.time, hour.covered_s, {", ".join(f"hour.{name}" for name in METRICS)},
               night.asleep_s / 3600.0::float8 AS sleep_duration,
               CASE WHEN EXISTS (
                   SELECT FROM public.current_sleep AS sleep
                   WHERE sleep.family_id = hour.family_id AND sleep.child_id = hour.child_id
                     AND sleep.time > hour.time - interval '24 hours'
                     AND sleep.time <= hour.time + interval '30 minutes' AND sleep.ended_at > hour.time + interval '30 minutes'
               ) THEN 'asleep' ELSE 'awake' END AS sleep_state,
               hour.stress_level_before, hour.stress_level_after
        FROM (
            SELECT *,
                   CASE WHEN time - lag(time) OVER hours <= interval '1 hour' THEN lag(stress_level) OVER hours END
                       AS stress_level_before,
                   CASE WHEN lead(time) OVER hours - time <= interval '1 hour' THEN lead(stress_level) OVER hours END
                       AS stress_level_after
            FROM public.hour_rollups WINDOW hours AS (PARTITION BY family_id, child_id ORDER BY time, zone_offset_s)
        ) AS hour
        LEFT JOIN LATERAL (
            SELECT max(sleep.ended_at) AS ended_at FROM public.current_sleep AS sleep
            WHERE sleep.family_id = hour.family_id AND sleep.child_id = hour.child_id AND NOT sleep.nap
              AND sleep.time > hour.time - interval '47 hours'
              AND sleep.ended_at <= hour.time + interval '1 hour' AND sleep.ended_at > hour.time - interval '23 hours'
        ) AS last ON true
        LEFT JOIN LATERAL (
            SELECT sum(sleep.asleep_s) AS asleep_s FROM public.current_sleep AS sleep
            WHERE sleep.family_id = hour.family_id AND sleep.child_id = hour.child_id AND NOT sleep.nap
              AND sleep.time > last.ended_at - interval '36 hours'
              AND sleep.ended_at <= last.ended_at AND sleep.ended_at > last.ended_at - interval '12 hours'
        ) AS night ON true""",  # noqa: S608 - names of our own columns
    "COMMENT ON VIEW seeds.wellness_metrics IS 'One row an hour, with the night before it and the strain of its neighbours'",
)

GRANTS = (
    "GRANT SELECT ON decision_points, deliveries, feedback TO zenmoon_api, zenmoon_worker",
    # Who writes chooses neither a row's number nor its place in the live order.
    f"GRANT INSERT ({DECISION}) ON decision_points TO zenmoon_api, zenmoon_worker",
    f"GRANT INSERT ({DELIVERY}) ON deliveries TO zenmoon_api, zenmoon_worker",
    f"GRANT INSERT ({FEEDBACK}) ON feedback TO zenmoon_api",
    "GRANT UPDATE (seen_at, transaction_id) ON deliveries TO zenmoon_api",
    # What a decision is made from, and what the views show.
    """GRANT SELECT ON children, consents, wellness_metrics, sleep_episodes, school_events, hour_rollups, alert_rules
       TO zenmoon_worker""",
    "GRANT SELECT ON current_sleep, recommendations, recommendation_feedback TO zenmoon_api, zenmoon_worker",
    "GRANT USAGE ON SCHEMA seeds TO zenmoon_api, zenmoon_worker",
    "GRANT SELECT ON ALL TABLES IN SCHEMA seeds TO zenmoon_api, zenmoon_worker",
)


def upgrade() -> None:
    """Create tables and views, comment their columns, confine them, grant what each role needs."""
    for statement in TABLES:
        op.execute(statement)
    for table, meanings in MEANINGS.items():
        for column, meaning in meanings.items():
            op.execute(f"COMMENT ON COLUMN {table}.{column} IS '{meaning}'")
        for statement in protect(table):
            op.execute(statement)
    for statement in (*VIEWS, *GRANTS):
        op.execute(statement)
