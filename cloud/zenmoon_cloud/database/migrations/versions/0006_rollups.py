"""Minute and hour rollups, and retention that says what it has dropped of each table."""

from alembic import op

from zenmoon_cloud.database.row_security import protect

revision = "0006"
down_revision = "0005"

# Seconds as real: they are whole numbers or shares of 60, and their error of 1 in 10 000 000 weighs nothing in a mean.
SUMMED = """
        covered_s real NOT NULL CHECK (covered_s >= 0),
        heart_rate_bpm float8,
        rmssd_ms float8,
        eda_us float8,
        eda_phasic_us float8,
        temperature_c float8,
        motion_g float8,
        stress_level float8,
        anomaly float8,
        heart_rate_bpm_s real NOT NULL,
        rmssd_ms_s real NOT NULL,
        eda_us_s real NOT NULL,
        eda_phasic_us_s real NOT NULL,
        temperature_c_s real NOT NULL,
        motion_g_s real NOT NULL,
        stress_level_s real NOT NULL,
        anomaly_s real NOT NULL,
        heart_rate_bpm_min float8,
        heart_rate_bpm_max float8,
        stress_level_min float8,
        stress_level_max float8"""

METRICS = ("heart_rate_bpm", "rmssd_ms", "eda_us", "eda_phasic_us", "temperature_c", "motion_g", "stress_level", "anomaly")

TABLES = (
    f"""CREATE TABLE minute_rollups (
        family_id uuid NOT NULL,
        child_id text NOT NULL,
        time timestamptz NOT NULL,
        zone_offset_s int4 NOT NULL,
        source text NOT NULL CHECK (source IN ('record', 'epoch')),
        quality int2 NOT NULL,{SUMMED},
        PRIMARY KEY (family_id, child_id, time)) PARTITION BY RANGE (time)""",
    "CREATE TABLE minute_rollups_default PARTITION OF minute_rollups DEFAULT",
    "COMMENT ON TABLE minute_rollups IS 'One row a minute of a child with data: of its records, else of the best epoch'",
    f"""CREATE TABLE hour_rollups (
        family_id uuid NOT NULL,
        child_id text NOT NULL,
        time timestamptz NOT NULL,
        zone_offset_s int4 NOT NULL,
        minutes int2 NOT NULL CHECK (minutes BETWEEN 1 AND 60),{SUMMED},
        PRIMARY KEY (family_id, child_id, time, zone_offset_s))""",
    "COMMENT ON TABLE hour_rollups IS 'One row an hour of the clock where the child was, so that local days add up from hours'",
    # The marks of a shard, the newest hours first.
    """CREATE INDEX dirty_hours_shard ON dirty_hours
        ((hashtextextended(family_id::text, 0) & 7), hour DESC, family_id, child_id)""",
    """ALTER TABLE retention_marks ADD observations text NOT NULL DEFAULT 'wellness_metrics'""",
)

MEANINGS = {
    "minute_rollups": {
        "time": "Begin of a minute UTC",
        "zone_offset_s": "Seconds east of UTC of the clock where the child was",
        "source": "record: what a wristband measured; epoch: what a phone has summed up, where there are no records",
        "quality": "Bits that all of it had: 0 worn, 1 still, 2 contact, 3 unsaturated, 4 beats cover at least half, 5 model ready",
    },
    "hour_rollups": {
        "time": "Begin in UTC of an hour of the local clock: in some zones not a whole hour UTC",
        "zone_offset_s": "Seconds east of UTC of that clock. Two rows share a time where the child changed zones within the hour",
        "minutes": "How many of its minutes have a row by this clock",
    },
}

SUMMED_MEANINGS = {
    "covered_s": "Seconds in which the wristband was worn with contact",
    "stress_level": "Mean strain against this child's usual, 0-1",
    **{f"{name}_s": f"Seconds behind {name}" for name in METRICS},
    "heart_rate_bpm_min": "Lowest of the time, of an epoch its mean",
    "heart_rate_bpm_max": "Highest of the time, of an epoch its mean",
    "stress_level_min": "Lowest of the time, of an epoch its mean",
    "stress_level_max": "Highest of the time, of an epoch its mean",
}

# As before, and: it says of every table how far it has dropped, in the transaction that drops. Who sums up reads these marks:
# it must not take what was dropped for what was never there. The lock keeps the two apart, because a snapshot does not:
# a dropped week is gone for older snapshots too.
DROP_WEEKS = """
CREATE OR REPLACE FUNCTION drop_weeks(parent text, oldest timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    partition text;
    newest xid8;
    mark xid8;
    live boolean := parent = 'wellness_metrics';
    dropped int := 0;
BEGIN
    IF parent NOT IN (SELECT week_parents()) THEN
        RAISE EXCEPTION '% has no weeks', parent;
    END IF;
    -- A wrong clock must not take what has just been measured: a person who owns the tables may, a service may not.
    IF session_user LIKE 'zenmoon\\_%' AND oldest > now() - interval '5 days' THEN
        RAISE EXCEPTION 'the last days are not dropped';
    END IF;
    LOCK TABLE public.hour_rollups IN SHARE MODE;
    PERFORM pg_advisory_xact_lock(hashtextextended('zenmoon weeks', 0));
    FOR partition IN
        SELECT child.relname FROM pg_inherits
        JOIN pg_class AS child ON child.oid = inhrelid
        WHERE inhparent = to_regclass('public.' || parent) AND child.relname ~ '_[0-9]{4}w[0-9]{2}$'
          AND to_date(right(child.relname, 7), 'IYYY"w"IW') + 7 <= oldest
        ORDER BY child.relname
    LOOP
        IF live THEN
            EXECUTE format('SELECT max(transaction_id) FROM public.%I', partition) INTO newest;
            mark := greatest(mark, newest);
        END IF;
        EXECUTE format('DROP TABLE public.%I', partition);
        dropped := dropped + 1;
    END LOOP;
    IF live THEN
        WITH gone AS (DELETE FROM wellness_metrics_default WHERE time < oldest RETURNING transaction_id)
            SELECT greatest(mark, max(transaction_id)) INTO mark FROM gone;
    ELSE
        EXECUTE format('DELETE FROM public.%I WHERE time < %L', parent || '_default', oldest);
    END IF;
    INSERT INTO retention_marks (dropped_before, transaction_id, observations) VALUES (oldest, mark, parent);
    RETURN dropped;
END $$"""

STATEMENTS = (
    DROP_WEEKS,
    "COMMENT ON COLUMN retention_marks.observations IS 'The table of which they were dropped'",
    "GRANT SELECT ON minute_rollups, hour_rollups TO zenmoon_api",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON minute_rollups, hour_rollups TO zenmoon_worker",
    "GRANT SELECT ON retention_marks TO zenmoon_worker",
    "GRANT DELETE ON school_events TO zenmoon_api",
)

# Records that were there before marks were. The owner sees no row but those of the families that it names.
MARK_WHAT_IS_THERE = (
    """SELECT set_config('app.families', COALESCE(array_agg(DISTINCT family_id), '{}')::text, true) FROM memberships""",
    """INSERT INTO dirty_hours (family_id, child_id, hour)
       SELECT DISTINCT family_id, child_id, date_trunc('hour', time, 'UTC') FROM wellness_metrics""",
    "SELECT set_config('app.families', '{}', true)",
)


def upgrade() -> None:
    """Create the tables, comment their columns, confine them, grant what each role needs, have what is stored summed up."""
    for statement in (*TABLES, *STATEMENTS, *MARK_WHAT_IS_THERE):
        op.execute(statement)
    for table, meanings in MEANINGS.items():
        for column, meaning in (meanings | SUMMED_MEANINGS).items():
            quoted = meaning.replace("'", "''")
            op.execute(f"COMMENT ON COLUMN {table}.{column} IS '{quoted}'")
        for statement in protect(table):
            op.execute(statement)
