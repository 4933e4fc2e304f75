"""SQL of sleep."""

# The highest revision may lie at another time, and be of another child: the key alone says what it replaces. No sleep is longer
# than 24 hours, so what began earlier than that before the span is not read.
LIST_SLEEP = """
SELECT time, device, boot, seq, ended_at, asleep_s, awakenings, efficiency, nap, zone_offset_s, revision
FROM sleep_episodes AS sleep
WHERE family_id = %(family)s AND child_id = %(child)s
  AND (%(from)s::timestamptz IS NULL OR ended_at > %(from)s)
  AND (%(from)s::timestamptz IS NULL OR time > %(from)s - interval '24 hours')
  AND (%(to)s::timestamptz IS NULL OR time < %(to)s)
  AND (%(after)s::timestamptz IS NULL OR (time, device, boot, seq) < (%(after)s, %(device)s::int8, %(boot)s::int8, %(seq)s::int8))
  AND NOT EXISTS (
    SELECT FROM sleep_episodes AS later WHERE later.family_id = sleep.family_id AND later.device = sleep.device
      AND later.boot = sleep.boot AND later.seq = sleep.seq AND later.revision > sleep.revision)
ORDER BY time DESC, device DESC, boot DESC, seq DESC LIMIT %(limit)s
"""
