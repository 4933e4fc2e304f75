"""The one list of tables. Row-level security, retention, export and erasure follow from it, and so do their tests."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a table is for.

    Attributes:
        class_: ``family`` rows belong to one family and are confined by row-level security; ``directory`` rows say who
            may sign in and are read before a family is known; ``fleet`` rows belong to nobody.
        owner: The domain whose store alone reads and writes it.
        purpose: Why these data are held, in words for a parent.
        retention: How long a row is kept, None as long as the family stays.
        export: Whether a family's export contains it.
    """

    class_: Literal["family", "directory", "fleet"]
    owner: str
    purpose: str
    retention: timedelta | None = None
    export: bool = True


IDENTITY = {
    "families": Table(class_="family", owner="identity", purpose="The family that every other row belongs to"),
    "guardians": Table(class_="directory", owner="identity", purpose="Who may sign in"),
    "memberships": Table(class_="directory", owner="identity", purpose="Which guardian belongs to which family"),
    "sessions": Table(
        class_="directory", owner="identity", purpose="Signed-in browsers", retention=timedelta(days=30), export=False
    ),
    "children": Table(class_="family", owner="identity", purpose="The child that observations are about"),
    "gateways": Table(class_="directory", owner="identity", purpose="Phones that may deliver records", export=False),
    "wearables": Table(class_="family", owner="identity", purpose="Wristbands of the family"),
    "wearable_assignments": Table(class_="family", owner="identity", purpose="Which child wore a wristband, and when"),
    "consents": Table(class_="family", owner="identity", purpose="What the guardians allowed, change by change"),
    "alembic_version": Table(class_="fleet", owner="database", purpose="The schema this database stands at", export=False),
    "audit_log": Table(class_="family", owner="identity", purpose="Who did what to the family's data"),
}

# Raw records are what everything else is made from. A phone that was away for weeks may still deliver them, so they are kept
# for a month; a cell full of children may choose a week.
RAW = timedelta(days=30)
MINUTES = timedelta(days=90)

SERIES = {
    "wellness_metrics": Table(class_="family", owner="series", purpose="What a wristband measured, every 4 seconds", retention=RAW),
    "motion_epochs": Table(class_="family", owner="series", purpose="How much a wristband moved, every 30 seconds", retention=RAW),
    "epochs": Table(class_="family", owner="series", purpose="Minutes that a phone has summed up", retention=MINUTES),
    "minute_rollups": Table(class_="family", owner="series", purpose="What was measured, minute by minute", retention=MINUTES),
    "hour_rollups": Table(class_="family", owner="series", purpose="What was measured, hour by hour"),
    "sleep_episodes": Table(class_="family", owner="series", purpose="When the child slept"),
    "school_events": Table(class_="family", owner="series", purpose="Tests, trips and other days that a guardian entered"),
    "dirty_hours": Table(class_="fleet", owner="series", purpose="Hours to be summed up again; gone within seconds", export=False),
    "retention_marks": Table(class_="fleet", owner="series", purpose="When old observations were dropped", export=False),
}

INGEST = {
    "received": Table(class_="family", owner="ingest", purpose="Which records have arrived, so that each is kept once"),
    "quarantine": Table(class_="family", owner="ingest", purpose="Records that could not be taken, and why", retention=RAW),
    "anchors": Table(class_="family", owner="ingest", purpose="What the time was when a phone met a wristband"),
    "device_events": Table(class_="family", owner="ingest", purpose="Starts of a wristband, buttons, put on or taken off"),
    "device_health": Table(class_="family", owner="ingest", purpose="Battery and counters of a wristband"),
}

ALERTS = {
    "alert_rules": Table(class_="family", owner="alerts", purpose="From which strain on, and for how long, an alarm is raised"),
    "alert_tracks": Table(class_="family", owner="alerts", purpose="What an alarm rule has seen of the last hours", export=False),
    "alerts": Table(class_="family", owner="alerts", purpose="Alarms, and who acknowledged them"),
}

DECISIONS = {
    "decision_points": Table(class_="family", owner="decisions", purpose="What was suggested, among what, and with which chance"),
    "deliveries": Table(class_="family", owner="decisions", purpose="The words in which a suggestion reached the guardians"),
    "feedback": Table(class_="family", owner="decisions", purpose="What the guardians thought of a suggestion"),
}

# Each domain adds its own rows here.
TABLES: dict[str, Table] = {**IDENTITY, **SERIES, **INGEST, **ALERTS, **DECISIONS}
