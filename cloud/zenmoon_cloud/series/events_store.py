"""SQL of the events that guardians enter."""

_EVENT = "id, event_type, event_time, ends_at, note, created_at"

LIST_EVENTS = f"""
SELECT {_EVENT} FROM school_events
WHERE family_id = %(family)s AND child_id = %(child)s
  AND (%(from)s::timestamptz IS NULL OR COALESCE(ends_at, event_time) >= %(from)s)
  AND (%(to)s::timestamptz IS NULL OR event_time < %(to)s)
  AND (%(after)s::timestamptz IS NULL OR (event_time, id) > (%(after)s, %(id)s::uuid))
ORDER BY event_time, id LIMIT %(limit)s
"""  # noqa: S608 - names of our own columns

ADD_EVENT = f"""
INSERT INTO school_events (family_id, child_id, event_type, event_time, ends_at, note, created_by)
VALUES (%(family)s, %(child)s, %(event_type)s, %(event_time)s, %(ends_at)s, %(note)s, %(guardian)s)
RETURNING {_EVENT}
"""  # noqa: S608 - names of our own columns

CHANGE_EVENT = f"""
UPDATE school_events SET
  event_type = COALESCE(%(event_type)s, event_type),
  event_time = COALESCE(%(event_time)s, event_time),
  ends_at = CASE WHEN %(set_ends_at)s::boolean THEN %(ends_at)s::timestamptz ELSE ends_at END,
  note = CASE WHEN %(set_note)s::boolean THEN %(note)s::text ELSE note END
WHERE family_id = %(family)s AND child_id = %(child)s AND id = %(id)s
RETURNING {_EVENT}
"""  # noqa: S608 - names of our own columns

REMOVE_EVENT = "DELETE FROM school_events WHERE family_id = %(family)s AND child_id = %(child)s AND id = %(id)s RETURNING id"
