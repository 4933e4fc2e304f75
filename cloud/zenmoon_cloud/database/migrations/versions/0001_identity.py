"""Families, guardians, children, gateways, wearables, consents and the audit log."""

from alembic import op

from zenmoon_cloud.database.row_security import protect

revision = "0001"
down_revision = None

TABLES = (
    """CREATE FUNCTION app_families() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
       RETURN COALESCE(NULLIF(current_setting('app.families', true), ''), '{}')::uuid[]""",
    "COMMENT ON FUNCTION app_families IS 'Families that the present transaction may see; none when nobody said'",
    """CREATE TABLE families (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
        created_at timestamptz NOT NULL DEFAULT now())""",
    """CREATE TABLE guardians (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
        display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 100),
        password_hash text NOT NULL,
        operator boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now())""",
    "CREATE UNIQUE INDEX guardians_email ON guardians (lower(email))",
    "COMMENT ON COLUMN guardians.password_hash IS 'argon2id with its parameters and salt'",
    "COMMENT ON COLUMN guardians.operator IS 'May see the service, not the families: membership alone opens a family'",
    """CREATE TABLE memberships (
        guardian_id uuid NOT NULL REFERENCES guardians ON DELETE CASCADE,
        family_id uuid NOT NULL REFERENCES families ON DELETE CASCADE,
        role text NOT NULL DEFAULT 'guardian' CHECK (role IN ('guardian')),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (guardian_id, family_id))""",
    "CREATE INDEX memberships_family ON memberships (family_id)",
    """CREATE TABLE sessions (
        token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
        guardian_id uuid NOT NULL REFERENCES guardians ON DELETE CASCADE,
        signed_in_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        ended_at timestamptz)""",
    "CREATE INDEX sessions_guardian ON sessions (guardian_id)",
    "COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the cookie; the cookie itself is stored nowhere'",
    "COMMENT ON COLUMN sessions.signed_in_at IS 'When the password was given; kept over rotations'",
    "COMMENT ON COLUMN sessions.ended_at IS 'Signed out, or replaced by a rotation'",
    """CREATE TABLE children (
        family_id uuid NOT NULL REFERENCES families ON DELETE CASCADE,
        id text NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 50),
        display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 100),
        birth_year smallint CHECK (birth_year BETWEEN 1990 AND 2200),
        zone text NOT NULL CHECK (length(zone) BETWEEN 1 AND 64),
        chronotype text CHECK (length(chronotype) <= 50),
        preferred_interventions jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(preferred_interventions) = 'array'),
        baseline_stress real CHECK (baseline_stress BETWEEN 0 AND 1),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (family_id, id))""",
    "COMMENT ON COLUMN children.birth_year IS 'The year is enough for age bands; a full date of birth is not held'",
    "COMMENT ON COLUMN children.zone IS 'IANA name of the zone the child lives in'",
    "COMMENT ON COLUMN children.baseline_stress IS 'Usual strain, 0-1'",
    """CREATE TABLE gateways (
        id text PRIMARY KEY CHECK (id LIKE 'gw\\_%'),
        family_id uuid NOT NULL REFERENCES families ON DELETE CASCADE,
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
        token_hash bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
        created_at timestamptz NOT NULL DEFAULT now(),
        last_seen_at timestamptz,
        revoked_at timestamptz)""",
    "CREATE INDEX gateways_family ON gateways (family_id)",
    "COMMENT ON COLUMN gateways.token_hash IS 'SHA-256 of a random token; it is shown once and stored nowhere'",
    """CREATE TABLE wearables (
        family_id uuid NOT NULL REFERENCES families ON DELETE CASCADE,
        device int8 NOT NULL,
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (family_id, device))""",
    "COMMENT ON COLUMN wearables.device IS '64-bit id burnt at flashing, two''s complement'",
    # PostgreSQL's own index methods cover ranges, so a range of one value stands for the value and needs no extension.
    "CREATE TYPE uuid_range AS RANGE (subtype = uuid)",
    "CREATE TYPE device_range AS RANGE (subtype = int8)",
    """CREATE TABLE wearable_assignments (
        family_id uuid NOT NULL,
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        device int8 NOT NULL,
        child_id text NOT NULL,
        worn tstzrange NOT NULL CHECK (NOT isempty(worn) AND NOT lower_inf(worn)),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (family_id, id),
        FOREIGN KEY (family_id, device) REFERENCES wearables ON DELETE CASCADE,
        FOREIGN KEY (family_id, child_id) REFERENCES children (family_id, id) ON DELETE CASCADE,
        CONSTRAINT one_wearer_at_a_time EXCLUDE USING gist (
            uuid_range(family_id, family_id, '[]') WITH &&, device_range(device, device, '[]') WITH &&, worn WITH &&))""",
    "CREATE INDEX wearable_assignments_child ON wearable_assignments (family_id, child_id)",
    "COMMENT ON COLUMN wearable_assignments.worn IS 'Event time, begin included and end excluded; no end = still worn'",
    """CREATE TABLE consents (
        family_id uuid NOT NULL,
        child_id text NOT NULL,
        purpose text NOT NULL CHECK (purpose IN ('monitoring', 'profiling', 'insights', 'research')),
        version int NOT NULL CHECK (version > 0),
        granted boolean NOT NULL,
        at timestamptz NOT NULL,
        guardian_id uuid NOT NULL REFERENCES guardians,
        PRIMARY KEY (family_id, child_id, purpose, version),
        FOREIGN KEY (family_id, child_id) REFERENCES children (family_id, id) ON DELETE CASCADE)""",
    "COMMENT ON TABLE consents IS 'One row a change; the highest version rules, an opt-out is a row with granted = false'",
    "COMMENT ON COLUMN consents.at IS 'Event time from which it holds; never before an earlier version'",
    """CREATE TABLE audit_log (
        family_id uuid NOT NULL REFERENCES families ON DELETE CASCADE,
        number int8 NOT NULL,
        at timestamptz NOT NULL,
        actor text NOT NULL,
        action text NOT NULL,
        subject jsonb NOT NULL,
        prev_hash bytea NOT NULL,
        hash bytea NOT NULL,
        PRIMARY KEY (family_id, number))""",
    "COMMENT ON COLUMN audit_log.actor IS 'guardian:<id>, gateway:<id> or service:<name>'",
    "COMMENT ON COLUMN audit_log.hash IS 'SHA-256 over prev_hash and the row; a changed or missing row breaks the chain'",
)

# The chain is made by the database, so that no writer can forget or forge a link. One family's writers queue on the
# lock until commit; number and prev_hash therefore come from the last committed row.
CHAIN = (
    """CREATE FUNCTION audit_hash(entry audit_log) RETURNS bytea LANGUAGE sql STABLE
       RETURN sha256(entry.prev_hash || convert_to(concat_ws(E'\\x1f', entry.family_id, entry.number,
           to_char(entry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           entry.actor, entry.action, entry.subject), 'UTF8'))""",
    """CREATE FUNCTION audit_link() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           PERFORM pg_advisory_xact_lock(hashtextextended('audit ' || NEW.family_id, 0));
           SELECT number + 1, hash INTO NEW.number, NEW.prev_hash FROM audit_log
               WHERE family_id = NEW.family_id ORDER BY number DESC LIMIT 1;
           IF NOT FOUND THEN
               NEW.number := 1; NEW.prev_hash := '\\x';
           END IF;
           NEW.at := clock_timestamp();
           NEW.hash := audit_hash(NEW);
           RETURN NEW;
       END $$""",
    "CREATE TRIGGER link BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_link()",
)

GRANTS = (
    "GRANT SELECT, INSERT ON families, guardians, memberships TO zenmoon_api",
    "GRANT UPDATE (password_hash) ON guardians TO zenmoon_api",
    "GRANT SELECT, INSERT, DELETE ON sessions TO zenmoon_api",
    "GRANT UPDATE (ended_at) ON sessions TO zenmoon_api",
    "GRANT SELECT, INSERT ON children, gateways, wearables, wearable_assignments, consents, audit_log TO zenmoon_api",
    """GRANT UPDATE (display_name, birth_year, zone, chronotype, preferred_interventions, baseline_stress)
       ON children TO zenmoon_api""",
    "GRANT UPDATE (last_seen_at, revoked_at) ON gateways TO zenmoon_api",
    "GRANT UPDATE (worn) ON wearable_assignments TO zenmoon_api",
    "GRANT SELECT ON wearable_assignments, consents, children TO zenmoon_ingest",
    "GRANT SELECT ON wearable_assignments, children TO zenmoon_reanchor",
    "GRANT SELECT, INSERT ON audit_log TO zenmoon_ingest, zenmoon_reanchor",
    "GRANT SELECT ON alembic_version TO zenmoon_api",
)


def upgrade() -> None:
    """Create the tables, confine the family ones, grant what each role needs."""
    for statement in (*TABLES, *CHAIN):
        op.execute(statement)
    for table in ("children", "wearables", "wearable_assignments", "consents", "audit_log"):
        for statement in protect(table):
            op.execute(statement)
    for statement in (*protect("families", column="id"), *GRANTS):
        op.execute(statement)
