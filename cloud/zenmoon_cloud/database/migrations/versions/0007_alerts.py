"""Alarms and what their rules have seen."""

from alembic import op

from zenmoon_cloud.database.row_security import protect

revision = "0007"
down_revision = "0006"

CHILD = "FOREIGN KEY (family_id, child_id) REFERENCES children (family_id, id) ON DELETE CASCADE"

TABLES = (
    f"""CREATE TABLE alert_rules (
        family_id uuid NOT NULL,
        child_id text NOT NULL,
        rule text NOT NULL CHECK (rule IN ('strain')),
        threshold real CHECK (threshold BETWEEN 0 AND 1),
        minutes int2 CHECK (minutes BETWEEN 1 AND 120),
        enabled boolean NOT NULL DEFAULT true,
        source text NOT NULL DEFAULT 'default' CHECK (source IN ('default', 'learned', 'guardian')),
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (family_id, child_id, rule),
        CHECK ((source = 'default') = (threshold IS NULL)),
        {CHILD})""",
    "COMMENT ON TABLE alert_rules IS 'What differs from the defaults: no row = all of them'",
    "COMMENT ON COLUMN alert_rules.threshold IS 'Strain from which on it counts, 0-1; null = the default'",
    "COMMENT ON COLUMN alert_rules.minutes IS 'How long; null = the default'",
    "COMMENT ON COLUMN alert_rules.source IS 'Where the threshold comes from; what a guardian chose is never learned over'",
    # The sets change with every batch: room in the page keeps such updates out of the index.
    f"""CREATE TABLE alert_tracks (
        family_id uuid NOT NULL,
        child_id text NOT NULL,
        rule text NOT NULL CHECK (rule IN ('strain')),
        threshold real,
        minutes int2,
        since int8 NOT NULL DEFAULT 0,
        latest int8 NOT NULL DEFAULT 0,
        above int8multirange NOT NULL DEFAULT '{{}}',
        peaks int2[] NOT NULL DEFAULT '{{}}',
        middle int8multirange NOT NULL DEFAULT '{{}}',
        below int8multirange NOT NULL DEFAULT '{{}}',
        PRIMARY KEY (family_id, child_id, rule),
        {CHILD}) WITH (fillfactor = 50)""",
    "COMMENT ON TABLE alert_tracks IS 'When strain was above or below the limit of late; its row is the lock of a child''s alarms'",
    "COMMENT ON COLUMN alert_tracks.threshold IS 'By which the sets were made; another one begins anew. Null = nothing seen yet'",
    "COMMENT ON COLUMN alert_tracks.since IS 'Before it nothing counts any more; microseconds of UTC, as everywhere here'",
    "COMMENT ON COLUMN alert_tracks.latest IS 'The latest record'",
    "COMMENT ON COLUMN alert_tracks.above IS 'Time at or above the limit'",
    "COMMENT ON COLUMN alert_tracks.peaks IS 'Highest strain of each range of above, in hundredths'",
    "COMMENT ON COLUMN alert_tracks.middle IS 'Time a little below the limit, which changes nothing'",
    "COMMENT ON COLUMN alert_tracks.below IS 'Time clearly below the limit'",
    f"""CREATE TABLE alerts (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        family_id uuid NOT NULL,
        child_id text NOT NULL,
        rule text NOT NULL CHECK (rule IN ('strain')),
        threshold real NOT NULL,
        minutes int2 NOT NULL,
        raised_at timestamptz NOT NULL,
        began_at timestamptz NOT NULL,
        ended_at timestamptz CHECK (ended_at > began_at),
        episodes int4 NOT NULL CHECK (episodes >= 0),
        peak real NOT NULL CHECK (peak BETWEEN 0 AND 1),
        spans int8multirange NOT NULL,
        acknowledged_at timestamptz,
        acknowledged_by uuid REFERENCES guardians ON DELETE SET NULL,
        closed boolean GENERATED ALWAYS AS
            (episodes = 0 OR (ended_at IS NOT NULL AND acknowledged_at IS NOT NULL)) STORED,
        revision int4 NOT NULL DEFAULT 1,
        transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
        {CHILD})""",
    "CREATE UNIQUE INDEX alerts_one_open ON alerts (family_id, child_id, rule) WHERE NOT closed",
    "CREATE INDEX alerts_child ON alerts (family_id, child_id, raised_at DESC, id DESC)",
    "CREATE INDEX alerts_transaction ON alerts (transaction_id)",
    "COMMENT ON TABLE alerts IS 'Strain was above a child''s limit for some minutes; open until ended and acknowledged'",
    "COMMENT ON COLUMN alerts.threshold IS 'As it was when the alarm was raised, like minutes'",
    "COMMENT ON COLUMN alerts.raised_at IS 'When the service knew, on its clock; the other times are of the records'",
    "COMMENT ON COLUMN alerts.began_at IS 'Begin of the first episode'",
    "COMMENT ON COLUMN alerts.ended_at IS 'End of the last episode; null while it goes on'",
    "COMMENT ON COLUMN alerts.episodes IS 'How often, while it was open; 0 = late records showed that it was none'",
    "COMMENT ON COLUMN alerts.peak IS 'Highest strain, in steps of 0.01'",
    "COMMENT ON COLUMN alerts.spans IS 'Episodes that late records may still change and the last settled one; microseconds of UTC'",
    "COMMENT ON COLUMN alerts.revision IS 'Counts changes: the same id and revision say the same'",
    "COMMENT ON COLUMN alerts.transaction_id IS 'Who changed the row last; the live view follows it'",
)

GRANTS = (
    "GRANT SELECT ON alert_rules TO zenmoon_ingest",
    "GRANT SELECT, INSERT, UPDATE ON alert_tracks TO zenmoon_ingest",
    "GRANT SELECT, INSERT ON alerts TO zenmoon_ingest",
    "GRANT UPDATE (began_at, ended_at, episodes, peak, spans, revision, transaction_id) ON alerts TO zenmoon_ingest",
    "GRANT SELECT ON alerts TO zenmoon_api",
    "GRANT UPDATE (acknowledged_at, acknowledged_by, revision, transaction_id) ON alerts TO zenmoon_api",
    "GRANT SELECT, INSERT, UPDATE ON alert_rules TO zenmoon_api, zenmoon_worker",
)


def upgrade() -> None:
    """Create the tables, confine them, grant what each role needs."""
    for statement in TABLES:
        op.execute(statement)
    for table in ("alert_rules", "alert_tracks", "alerts"):
        for statement in protect(table):
            op.execute(statement)
    for statement in GRANTS:
        op.execute(statement)
