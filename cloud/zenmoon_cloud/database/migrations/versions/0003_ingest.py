"""The ledger, the quarantine, and the kinds beside records."""

from alembic import op

from zenmoon_cloud.database.row_security import protect

revision = "0003"
down_revision = "0002"

OBSERVED = """
        family_id uuid NOT NULL REFERENCES families ON DELETE CASCADE,
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

PRIMARY = "PRIMARY KEY (family_id, device, boot, seq)"

TABLES = (
    """CREATE TABLE received (
        family_id uuid NOT NULL REFERENCES families ON DELETE CASCADE,
        device int8 NOT NULL,
        boot int8 NOT NULL,
        seqs int8multirange NOT NULL DEFAULT '{}',
        withheld int8multirange NOT NULL DEFAULT '{}',
        origin timestamptz,
        PRIMARY KEY (family_id, device, boot)) WITH (fillfactor = 70)""",
    "COMMENT ON TABLE received IS 'The ledger: which numbers of a boot were stored, for ever; its row is the lock of a boot'",
    "COMMENT ON COLUMN received.seqs IS 'Numbers of every kind that were stored; kept when retention drops the rows'",
    "COMMENT ON COLUMN received.withheld IS 'Numbers refused for want of consent: counted here, their content kept nowhere'",
    "COMMENT ON COLUMN received.origin IS 'UTC of tick 0 as a re-anchoring has set it; null: as the gateway says'",
    """CREATE TABLE quarantine (
        family_id uuid NOT NULL REFERENCES families ON DELETE CASCADE,
        digest bytea NOT NULL CHECK (length(digest) = 32),
        code text NOT NULL CHECK (code IN ('not_assigned', 'unknown_kind', 'bad_value', 'conflict', 'too_old')),
        detail text NOT NULL,
        item jsonb NOT NULL,
        kind text,
        device int8,
        boot int8,
        seq int8,
        batch_id text NOT NULL,
        gateway_id text NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (family_id, digest))""",
    "COMMENT ON TABLE quarantine IS 'Items that were refused, for a person to look at'",
    "COMMENT ON COLUMN quarantine.digest IS 'SHA-256 of code, key and payload, or of an item without: sent again it adds no row'",
    "COMMENT ON COLUMN quarantine.item IS 'The item as it came; only its beginning where it cannot be kept whole'",
    "COMMENT ON COLUMN quarantine.seq IS 'Null, like device and boot, where the item has no readable key'",
    f"""CREATE TABLE anchors ({OBSERVED},
        utc timestamptz NOT NULL,
        source int2 NOT NULL,
        uncertainty_ms int8 NOT NULL,
        rules boolean NOT NULL,
        {PRIMARY})""",
    "CREATE UNIQUE INDEX anchors_one_rules ON anchors (family_id, device, boot) WHERE rules",
    "COMMENT ON TABLE anchors IS 'What a gateway said the time was at a tick of the device'",
    "COMMENT ON COLUMN anchors.source IS '1 the gateway''s clock, 2 estimated'",
    "COMMENT ON COLUMN anchors.rules IS 'The first committed anchor of a boot; another one only by re-anchoring'",
    f"""CREATE TABLE device_events ({OBSERVED},
        code int2 NOT NULL,
        value int8 NOT NULL,
        {PRIMARY})""",
    "COMMENT ON COLUMN device_events.code IS '1 boot, 2 wear change, 3 button, 4 end of a replayed recording'",
    "COMMENT ON COLUMN device_events.value IS 'For a boot: its cause'",
    f"""CREATE TABLE device_health ({OBSERVED},
        battery_pct int2,
        overwritten int8 NOT NULL,
        refused int8 NOT NULL,
        crash int8 NOT NULL,
        {PRIMARY})""",
    "COMMENT ON COLUMN device_health.overwritten IS 'Entries that the device lost to the bound of its journal, so far'",
    "COMMENT ON COLUMN device_health.refused IS 'Frames that the device could not verify, so far'",
    "COMMENT ON COLUMN device_health.crash IS 'Digest of the last crash, 0 for none'",
)

KINDS = ("anchors", "device_events", "device_health")

GRANTS = (
    "GRANT SELECT, INSERT ON received TO zenmoon_ingest",
    "GRANT UPDATE (seqs, withheld) ON received TO zenmoon_ingest",
    "GRANT INSERT, SELECT (family_id, digest) ON quarantine TO zenmoon_ingest",
    "GRANT INSERT, SELECT (family_id, device, boot, seq, payload) ON device_events, device_health TO zenmoon_ingest",
    "GRANT INSERT, SELECT (family_id, device, boot, seq, payload, rules) ON anchors TO zenmoon_ingest",
    "GRANT SELECT ON received, anchors, device_events, device_health TO zenmoon_api",
    "GRANT SELECT (family_id, code, received_at) ON quarantine TO zenmoon_api",
    # Re-anchoring moves rows in time; of the ledger it may set nothing but the origin.
    "GRANT SELECT, UPDATE (origin) ON received TO zenmoon_reanchor",
    "GRANT SELECT, UPDATE (time, child_id) ON device_events, device_health TO zenmoon_reanchor",
    "GRANT SELECT, UPDATE (time, child_id, rules) ON anchors TO zenmoon_reanchor",
)


def upgrade() -> None:
    """Create the tables, confine them, grant what each role needs."""
    for statement in TABLES:
        op.execute(statement)
    for table in ("received", "quarantine", *KINDS):
        for statement in protect(table):
            op.execute(statement)
    for statement in GRANTS:
        op.execute(statement)
