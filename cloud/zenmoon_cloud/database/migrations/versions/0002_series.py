"""Observations in weekly partitions, and the two functions that make and drop the weeks."""

from alembic import op

from zenmoon_cloud.database.row_security import protect

revision = "0002"
down_revision = "0001"

OBSERVED = """
        family_id uuid NOT NULL,
        child_id text NOT NULL,
        time timestamptz NOT NULL,
        device int8 NOT NULL,
        boot int8 NOT NULL,
        seq int8 NOT NULL,
        tick_ms int8 NOT NULL,
        payload int8 NOT NULL,
        received_at timestamptz NOT NULL,
        firmware int8 NOT NULL,
        model int8 NOT NULL"""

MEANINGS = {
    "child_id": "Who wore the device at event time. No foreign key: a check a row would halve the speed of ingest",
    "time": "Event time, derived from an anchor: never part of a key",
    "device": "64-bit id burnt at flashing, two's complement",
    "boot": "32 random bits of this start of the device",
    "seq": "Number within the boot, shared by all kinds; (device, boot, seq) is the key, kept unique by the table received",
    "tick_ms": "Milliseconds since the boot",
    "payload": "64-bit hash of what the device wrote, two's complement; the same key with another payload is a conflict",
    "received_at": "Arrival on the cloud's clock",
    "firmware": "Hash of the application, 32 bits",
    "model": "Hash of the manifest of all model files, 32 bits; strain of two models cannot be compared",
}

RECORD_MEANINGS = {
    "quality": "Bit 0 worn, 1 still, 2 contact, 3 unsaturated, 4 beats cover at least half, 5 model ready",
    "stress_level": "Strain against this child's usual, 0-1",
    "zone_offset_s": "Seconds east of UTC where the child lives, at event time",
    "transaction_id": "Who wrote the row; the live cursor follows it, and a re-anchored row keeps it",
}

TABLES = (
    f"""CREATE TABLE wellness_metrics ({OBSERVED},
        quality int2 NOT NULL,
        heart_rate_bpm real,
        rmssd_ms real,
        eda_us real,
        eda_phasic_us real,
        temperature_c real,
        motion_g real,
        stress_level real,
        anomaly real,
        battery_pct int2,
        zone_offset_s int4,
        transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id()) PARTITION BY RANGE (time)""",
    f"""CREATE TABLE motion_epochs ({OBSERVED},
        quality int2 NOT NULL,
        counts int4 NOT NULL,
        posture_deg int2 NOT NULL) PARTITION BY RANGE (time)""",
    "COMMENT ON TABLE wellness_metrics IS 'One row a record: 4 s of one wearable, stored once'",
    "COMMENT ON TABLE motion_epochs IS 'Activity counts and posture change of 30 s'",
    "CREATE INDEX wellness_metrics_child ON wellness_metrics (family_id, child_id, time)",
    "CREATE INDEX wellness_metrics_key ON wellness_metrics (device, boot, seq)",
    "CREATE INDEX wellness_metrics_transaction ON wellness_metrics (transaction_id)",
    "CREATE INDEX motion_epochs_child ON motion_epochs (family_id, child_id, time)",
    "CREATE INDEX motion_epochs_key ON motion_epochs (device, boot, seq)",
    "CREATE TABLE wellness_metrics_default PARTITION OF wellness_metrics DEFAULT",
    "CREATE TABLE motion_epochs_default PARTITION OF motion_epochs DEFAULT",
    """CREATE TABLE retention_marks (
        id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        dropped_before timestamptz NOT NULL,
        transaction_id xid8,
        at timestamptz NOT NULL DEFAULT now())""",
    "COMMENT ON TABLE retention_marks IS 'What retention has dropped; a live cursor before it cannot be resumed'",
    "COMMENT ON COLUMN retention_marks.transaction_id IS 'The newest transaction among the dropped records'",
)

# A week is built beside the table and attached, which stops no reader or writer of other weeks. Rows that came before
# their week existed lie in the default partition and move. Partitions have no policies and grant nothing: only the
# owner, as whom these functions run, reaches them without going through the table.
ENSURE_WEEKS = """
CREATE FUNCTION ensure_weeks(first timestamptz, last timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    week timestamptz;
    name text;
    created int := 0;
BEGIN
    IF last - first > interval '2 years' THEN
        RAISE EXCEPTION 'more than two years of weeks asked for';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('zenmoon weeks', 0));
    FOREACH parent IN ARRAY ARRAY['wellness_metrics', 'motion_epochs'] LOOP
        FOR week IN SELECT generate_series(date_trunc('week', first), date_trunc('week', last), interval '7 days') LOOP
            name := parent || to_char(week, '_IYYY"w"IW');
            CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
            EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', name, parent);
            EXECUTE format('WITH moved AS (DELETE FROM public.%I WHERE time >= %L AND time < %L RETURNING *)
                            INSERT INTO public.%I SELECT * FROM moved',
                           parent || '_default', week, week + interval '7 days', name);
            EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                           parent, name, week, week + interval '7 days');
            created := created + 1;
        END LOOP;
    END LOOP;
    RETURN created;
END $$"""

DROP_BEFORE = """
CREATE FUNCTION drop_before(oldest timestamptz) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    partition record;
    newest xid8;
    mark xid8;
    dropped int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('zenmoon weeks', 0));
    FOREACH parent IN ARRAY ARRAY['wellness_metrics', 'motion_epochs'] LOOP
        FOR partition IN
            SELECT child.relname AS name FROM pg_inherits
            JOIN pg_class AS child ON child.oid = inhrelid
            WHERE inhparent = to_regclass('public.' || parent) AND child.relname ~ '_[0-9]{4}w[0-9]{2}$'
              AND to_date(right(child.relname, 7), 'IYYY"w"IW') + 7 <= oldest
            ORDER BY child.relname
        LOOP
            IF parent = 'wellness_metrics' THEN
                EXECUTE format('SELECT max(transaction_id) FROM public.%I', partition.name) INTO newest;
                mark := greatest(mark, newest);
            END IF;
            EXECUTE format('DROP TABLE public.%I', partition.name);
            dropped := dropped + 1;
        END LOOP;
    END LOOP;
    WITH gone AS (DELETE FROM wellness_metrics_default WHERE time < oldest RETURNING transaction_id)
        SELECT greatest(mark, max(transaction_id)) INTO mark FROM gone;
    DELETE FROM motion_epochs_default WHERE time < oldest;
    INSERT INTO retention_marks (dropped_before, transaction_id) VALUES (oldest, mark);
    RETURN dropped;
END $$"""

FUNCTIONS = (
    ENSURE_WEEKS,
    "COMMENT ON FUNCTION ensure_weeks IS 'Creates the weekly partitions that are missing between two times; returns how many'",
    DROP_BEFORE,
    "COMMENT ON FUNCTION drop_before IS 'Retention: drops every week that ended before a time; the ledger keeps their keys'",
    # Dropping is nobody's but the owner's: it crosses every family.
    "REVOKE ALL ON FUNCTION ensure_weeks, drop_before FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION ensure_weeks TO zenmoon_ingest",
)

KEY = "family_id, device, boot, seq, payload"
MEASURED = (
    "quality, heart_rate_bpm, rmssd_ms, eda_us, eda_phasic_us, temperature_c, motion_g, stress_level, anomaly, battery_pct,"
    " zone_offset_s"
)
COMMON = "family_id, child_id, time, device, boot, seq, tick_ms, payload, received_at, firmware, model"

GRANTS = (
    "GRANT SELECT ON wellness_metrics, motion_epochs, retention_marks TO zenmoon_api",
    # Ingest writes rows and reads keys; nobody who stores can read a child's values, nor choose the live order.
    f"GRANT SELECT ({KEY}), INSERT ({COMMON}, {MEASURED}) ON wellness_metrics TO zenmoon_ingest",
    f"GRANT SELECT ({KEY}), INSERT ({COMMON}, quality, counts, posture_deg) ON motion_epochs TO zenmoon_ingest",
    "GRANT SELECT, INSERT, DELETE ON wellness_metrics, motion_epochs TO zenmoon_reanchor",
    "GRANT SELECT ON consents TO zenmoon_reanchor",
)


def upgrade() -> None:
    """Create the tables, comment their columns, confine them, grant what each role needs."""
    for statement in (*TABLES, *FUNCTIONS):
        op.execute(statement)
    for table, meanings in (("wellness_metrics", MEANINGS | RECORD_MEANINGS), ("motion_epochs", MEANINGS)):
        for column, meaning in meanings.items():
            quoted = meaning.replace("'", "''")
            op.execute(f"COMMENT ON COLUMN {table}.{column} IS '{quoted}'")
        for statement in protect(table):
            op.execute(statement)
    for statement in GRANTS:
        op.execute(statement)
