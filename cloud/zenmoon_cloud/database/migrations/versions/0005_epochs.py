"""Minute epochs, sleep episodes, school events, and the marks of hours to be summed up again."""

from alembic import op

from zenmoon_cloud.database.row_security import protect

revision = "0005"
down_revision = "0004"

OBSERVED = """
        family_id uuid NOT NULL{family},
        child_id text NOT NULL,
        time timestamptz NOT NULL,
        device int8 NOT NULL,
        boot int8 NOT NULL,
        seq int8 NOT NULL,
        revision int4 NOT NULL,
        tick_ms int8 NOT NULL,
        payload int8 NOT NULL,
        received_at timestamptz NOT NULL,
        firmware int8 NOT NULL,
        model int8 NOT NULL"""

TABLES = (
    # Means as double precision: what is summed up from them must equal what a phone has summed up.
    f"""CREATE TABLE epochs ({OBSERVED.format(family="")},
        coverage float8 NOT NULL,
        quality int2 NOT NULL,
        heart_rate_bpm float8,
        rmssd_ms float8,
        eda_us float8,
        eda_phasic_us float8,
        temperature_c float8,
        motion_g float8,
        stress_level float8,
        anomaly float8,
        zone_offset_s int4) PARTITION BY RANGE (time)""",
    "COMMENT ON TABLE epochs IS 'One row a revision of a minute that a gateway or importer summed up; records of the minute win'",
    "CREATE INDEX epochs_child ON epochs (family_id, child_id, time)",
    "CREATE INDEX epochs_key ON epochs (device, boot, seq)",
    "CREATE TABLE epochs_default PARTITION OF epochs DEFAULT",
    f"""CREATE TABLE sleep_episodes ({OBSERVED.format(family=" REFERENCES families ON DELETE CASCADE")},
        ended_at timestamptz NOT NULL,
        asleep_s int4 NOT NULL,
        awakenings int4 NOT NULL,
        efficiency float8 CHECK (efficiency BETWEEN 0 AND 1),
        nap boolean NOT NULL,
        zone_offset_s int4,
        PRIMARY KEY (family_id, device, boot, seq, revision),
        CHECK (ended_at > time AND ended_at <= time + interval '24 hours'),
        CHECK (asleep_s >= 0 AND asleep_s <= extract(epoch FROM ended_at - time)))""",
    "COMMENT ON TABLE sleep_episodes IS 'One row a revision of a sleep; the highest revision of a key is the sleep'",
    "CREATE INDEX sleep_episodes_child ON sleep_episodes (family_id, child_id, time)",
    """CREATE TABLE school_events (
        family_id uuid NOT NULL,
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        child_id text NOT NULL,
        event_type text NOT NULL CHECK (length(event_type) BETWEEN 1 AND 60),
        event_time timestamptz NOT NULL,
        ends_at timestamptz CHECK (ends_at >= event_time),
        note text CHECK (length(note) <= 500),
        created_at timestamptz NOT NULL DEFAULT now(),
        created_by uuid NOT NULL REFERENCES guardians,
        PRIMARY KEY (family_id, id),
        FOREIGN KEY (family_id, child_id) REFERENCES children (family_id, id) ON DELETE CASCADE)""",
    "COMMENT ON TABLE school_events IS 'Tests, trips and other days that a guardian entered'",
    "COMMENT ON COLUMN school_events.event_type IS 'What it is, in the guardian''s word: math test, trip, holiday'",
    "COMMENT ON COLUMN school_events.ends_at IS 'Null: a moment, or no end is known'",
    "CREATE INDEX school_events_child ON school_events (family_id, child_id, event_time)",
    # Rows are only added and taken away, never changed: a mark that commits while an hour is being summed up is still
    # there afterwards, and the hour is summed up once more.
    """CREATE TABLE dirty_hours (
        id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        family_id uuid NOT NULL,
        child_id text NOT NULL,
        hour timestamptz NOT NULL)""",
    "COMMENT ON TABLE dirty_hours IS 'Hours with new observations, to be summed up again; the same hour may be here often'",
    "COMMENT ON COLUMN dirty_hours.hour IS 'Begin of an hour UTC'",
)

OBSERVED_MEANINGS = {
    "child_id": "Whom it is about: who was assigned the source at event time",
    "device": "64-bit id of the gateway or importer that made it, two''s complement; registered like a wearable",
    "boot": "32 random bits of the source",
    "seq": "Number within the boot; (device, boot, seq) is the key, whose revisions are rows of their own",
    "revision": "A higher one supersedes; readers take the highest of a key",
    "tick_ms": "The source''s clock; its own items use milliseconds since 1970 UTC",
    "payload": "64-bit hash of the content, two''s complement; the same key and revision with another payload is a conflict",
    "received_at": "Arrival on the cloud''s clock",
    "firmware": "Identity of the program that made it, 32 bits",
    "model": "Identity of the models behind it, 32 bits; strain of two models cannot be compared",
}

MEANINGS = {
    "epochs": OBSERVED_MEANINGS
    | {
        "time": "Event time: the begin of a whole minute UTC",
        "coverage": "Share of the minute in which the band was worn with usable contact, 0-1",
        "quality": "Bit 0 worn, 1 still, 2 contact, 3 unsaturated, 4 beats cover at least half, 5 model ready",
        "stress_level": "Strain against this child''s usual, 0-1",
        "zone_offset_s": "Seconds east of UTC where the child was, as the source says, else where it lives",
    },
    "sleep_episodes": OBSERVED_MEANINGS
    | {
        "time": "Event time of falling asleep",
        "ended_at": "Event time of waking for good",
        "asleep_s": "Seconds asleep between the two",
        "efficiency": "Share of the time in bed that the child slept, 0-1; null: not known",
        "nap": "A sleep beside the night''s",
        "zone_offset_s": "Seconds east of UTC where the child was, as the source says, else where it lives",
    },
}

# A table has weeks when it is partitioned and has a partition for what lies in no week. One table a transaction: locks
# on two tables at once could meet those of a writer in the other order.
PARENTS = """
CREATE FUNCTION week_parents() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT parent.relname::text FROM pg_class AS parent
    WHERE parent.relnamespace = 'public'::regnamespace AND parent.relkind = 'p'
      AND EXISTS (SELECT FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                  WHERE inhparent = parent.oid AND child.relname = parent.relname || '_default')
    ORDER BY parent.relname
$$"""

ENSURE_WEEKS_OF = """
CREATE FUNCTION ensure_weeks_of(parent text, first timestamptz, last timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    week timestamptz;
    name text;
    created int := 0;
BEGIN
    IF last - first > interval '2 years' THEN
        RAISE EXCEPTION 'more than two years of weeks asked for';
    END IF;
    IF parent NOT IN (SELECT week_parents()) THEN
        RAISE EXCEPTION '% has no weeks', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('zenmoon weeks', 0));
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
    RETURN created;
END $$"""

ENSURE_WEEKS = """
CREATE OR REPLACE FUNCTION ensure_weeks(first timestamptz, last timestamptz) RETURNS int
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT sum(ensure_weeks_of(parent, first, last))::int FROM week_parents() AS parent
$$"""

DROP_WEEKS = """
CREATE FUNCTION drop_weeks(parent text, oldest timestamptz) RETURNS int
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
        INSERT INTO retention_marks (dropped_before, transaction_id) VALUES (oldest, mark);
    ELSE
        EXECUTE format('DELETE FROM public.%I WHERE time < %L', parent || '_default', oldest);
    END IF;
    RETURN dropped;
END $$"""

DROP_BEFORE = """
CREATE OR REPLACE FUNCTION drop_before(oldest timestamptz) RETURNS int
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT drop_weeks('wellness_metrics', oldest) + drop_weeks('motion_epochs', oldest)
$$"""

FUNCTIONS = (
    PARENTS,
    "COMMENT ON FUNCTION week_parents IS 'Tables in weekly partitions: those with a partition <table>_default'",
    ENSURE_WEEKS_OF,
    "COMMENT ON FUNCTION ensure_weeks_of IS 'Creates the weeks of one table that are missing between two times; returns how many'",
    ENSURE_WEEKS,
    "COMMENT ON FUNCTION ensure_weeks IS 'Creates the weeks of every table that are missing between two times; returns how many'",
    DROP_WEEKS,
    "COMMENT ON FUNCTION drop_weeks IS 'Retention of a table: drops each week that ended before a time; the ledger keeps the keys'",
    DROP_BEFORE,
    "COMMENT ON FUNCTION drop_before IS 'Retention of raw observations: drop_weeks of wellness_metrics and motion_epochs'",
    "REVOKE ALL ON FUNCTION week_parents, ensure_weeks_of, drop_weeks FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION ensure_weeks_of TO zenmoon_ingest",
    # Dropping crosses every family: the worker may have it done week by week, and may delete nothing itself.
    "GRANT EXECUTE ON FUNCTION ensure_weeks, ensure_weeks_of, drop_before, drop_weeks TO zenmoon_worker",
)

KEY = "family_id, device, boot, seq, revision, payload"

GRANTS = (
    "GRANT SELECT ON epochs, sleep_episodes TO zenmoon_api",
    "GRANT SELECT, INSERT, UPDATE (event_type, event_time, ends_at, note) ON school_events TO zenmoon_api",
    # Ingest writes rows and reads keys; nobody who stores can read a child's values. The time tells whether a revision
    # is of the same minute.
    f"GRANT INSERT, SELECT ({KEY}, time) ON epochs TO zenmoon_ingest",
    f"GRANT INSERT, SELECT ({KEY}) ON sleep_episodes TO zenmoon_ingest",
    "GRANT SELECT, INSERT, DELETE ON epochs, sleep_episodes TO zenmoon_reanchor",
    "GRANT INSERT (family_id, child_id, hour) ON dirty_hours TO zenmoon_ingest, zenmoon_reanchor",
    "GRANT SELECT, DELETE ON dirty_hours TO zenmoon_worker",
    "GRANT SELECT ON wellness_metrics, epochs, sleep_episodes, school_events TO zenmoon_worker",
)


def upgrade() -> None:
    """Create the tables, comment their columns, confine them, grant what each role needs."""
    for statement in (*TABLES, *FUNCTIONS):
        op.execute(statement)
    for table, meanings in MEANINGS.items():
        for column, meaning in meanings.items():
            op.execute(f"COMMENT ON COLUMN {table}.{column} IS '{meaning}'")
    for table in ("epochs", "sleep_episodes", "school_events"):
        for statement in protect(table):
            op.execute(statement)
    for statement in GRANTS:
        op.execute(statement)
