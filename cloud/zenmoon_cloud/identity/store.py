"""All of identity's SQL, as statements with named parameters; every one is prepared against the schema by a test."""

FIND_SESSION = """
SELECT g.id, g.email, g.display_name, g.operator,
       ARRAY(SELECT m.family_id FROM memberships m WHERE m.guardian_id = g.id ORDER BY m.family_id) AS family_ids,
       s.expires_at, s.expires_at <= now() AS expired, s.ended_at IS NOT NULL AS ended
FROM sessions s JOIN guardians g ON g.id = s.guardian_id
WHERE s.token_hash = %(token_hash)s
"""
ADD_SESSION = """
INSERT INTO sessions (token_hash, guardian_id, signed_in_at, created_at, expires_at)
VALUES (%(token_hash)s, %(guardian_id)s, now(), now(), now() + LEAST(%(lifetime)s::interval, %(limit)s::interval))
RETURNING expires_at
"""
END_SESSION = """
UPDATE sessions SET ended_at = now() WHERE token_hash = %(token_hash)s AND ended_at IS NULL
"""
ROTATE_SESSION = """
WITH old AS (
    UPDATE sessions SET ended_at = now()
    WHERE token_hash = %(token_hash)s AND ended_at IS NULL AND expires_at > now()
    RETURNING guardian_id, signed_in_at)
INSERT INTO sessions (token_hash, guardian_id, signed_in_at, created_at, expires_at)
SELECT %(new_hash)s, guardian_id, signed_in_at, now(),
       LEAST(now() + %(lifetime)s::interval, signed_in_at + %(limit)s::interval)
FROM old
RETURNING expires_at
"""
FORGET_SESSIONS = """
DELETE FROM sessions WHERE guardian_id = %(guardian_id)s AND expires_at < now() - interval '30 days'
"""
FIND_GUARDIAN = """
SELECT id, password_hash FROM guardians WHERE lower(email) = lower(%(email)s)
"""
ADD_GUARDIAN = """
INSERT INTO guardians (email, display_name, password_hash, operator)
VALUES (%(email)s, %(display_name)s, %(password_hash)s, %(operator)s)
ON CONFLICT (lower(email)) DO NOTHING
RETURNING id
"""
REPLACE_HASH = """
UPDATE guardians SET password_hash = %(password_hash)s WHERE id = %(guardian_id)s
"""
ADD_FAMILY = """
INSERT INTO families (id, name) VALUES (%(family_id)s, %(name)s)
"""
ADD_MEMBERSHIP = """
INSERT INTO memberships (guardian_id, family_id) VALUES (%(guardian_id)s, %(family_id)s)
"""
LIST_FAMILIES = """
SELECT family_id FROM memberships WHERE guardian_id = %(guardian_id)s ORDER BY created_at, family_id
"""

LIST_CHILDREN = """
SELECT id, family_id, display_name, birth_year, zone, chronotype, preferred_interventions, baseline_stress, created_at
FROM children WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""
GET_CHILD = """
SELECT id, family_id, display_name, birth_year, zone, chronotype, preferred_interventions, baseline_stress, created_at
FROM children WHERE id = %(child_id)s
"""
LOCK_CHILD = """
SELECT family_id FROM children WHERE id = %(child_id)s FOR NO KEY UPDATE
"""
ADD_CHILD = """
INSERT INTO children (family_id, id, display_name, birth_year, zone)
VALUES (%(family_id)s, %(child_id)s, %(display_name)s, %(birth_year)s, %(zone)s)
RETURNING id, family_id, display_name, birth_year, zone, chronotype, preferred_interventions, baseline_stress, created_at
"""
CHANGE_CHILD = """
UPDATE children SET
    display_name = COALESCE(%(display_name)s, display_name),
    birth_year = CASE WHEN %(set_birth_year)s THEN %(birth_year)s ELSE birth_year END,
    zone = COALESCE(%(zone)s, zone),
    preferred_interventions = COALESCE(%(preferred_interventions)s, preferred_interventions)
WHERE id = %(child_id)s
RETURNING id, family_id, display_name, birth_year, zone, chronotype, preferred_interventions, baseline_stress, created_at
"""

CURRENT_CONSENTS = """
SELECT DISTINCT ON (purpose) purpose, version, granted, at
FROM consents WHERE child_id = %(child_id)s ORDER BY purpose, version DESC
"""
ADD_CONSENT = """
INSERT INTO consents (family_id, child_id, purpose, version, granted, at, guardian_id)
SELECT %(family_id)s, %(child_id)s, %(purpose)s, COALESCE(max(version), 0) + 1, %(granted)s,
       GREATEST(%(at)s, max(at)), %(guardian_id)s
FROM consents WHERE child_id = %(child_id)s AND purpose = %(purpose)s
RETURNING purpose, version, granted, at
"""

LIST_GATEWAYS = """
SELECT id, family_id, name, created_at, last_seen_at, revoked_at
FROM gateways WHERE family_id = ANY (%(families)s) AND id > %(after)s ORDER BY id LIMIT %(limit)s
"""
ADD_GATEWAY = """
INSERT INTO gateways (id, family_id, name, token_hash) VALUES (%(gateway_id)s, %(family_id)s, %(name)s, %(token_hash)s)
"""
REVOKE_GATEWAY = """
UPDATE gateways SET revoked_at = COALESCE(revoked_at, now())
WHERE id = %(gateway_id)s AND family_id = ANY (%(families)s)
RETURNING id, family_id, name, created_at, last_seen_at, revoked_at
"""
FIND_GATEWAY = """
SELECT id, family_id, revoked_at IS NOT NULL AS revoked,
       last_seen_at IS NULL OR last_seen_at < now() - interval '15 seconds' AS unseen
FROM gateways WHERE token_hash = %(token_hash)s
"""
SEE_GATEWAY = """
UPDATE gateways SET last_seen_at = now() WHERE id = %(gateway_id)s
"""

LIST_WEARABLES = """
SELECT key, device, family_id, name, created_at
FROM (SELECT *, lpad(to_hex(device), 16, '0') || family_id AS key FROM wearables) AS keyed
WHERE key > %(after)s ORDER BY key LIMIT %(limit)s
"""
ADD_WEARABLE = """
INSERT INTO wearables (family_id, device, name) VALUES (%(family_id)s, %(device)s, %(name)s)
ON CONFLICT (family_id, device) DO NOTHING
RETURNING device, family_id, name, created_at
"""
LIST_ASSIGNMENTS = """
SELECT id, device, child_id, lower(worn) AS begin, upper(worn) AS "end"
FROM wearable_assignments WHERE child_id = %(child_id)s AND id::text > %(after)s ORDER BY id::text LIMIT %(limit)s
"""
FIND_WEARABLE = """
SELECT 1 AS found FROM wearables WHERE family_id = %(family_id)s AND device = %(device)s
"""
ADD_ASSIGNMENT = """
INSERT INTO wearable_assignments (family_id, device, child_id, worn)
VALUES (%(family_id)s, %(device)s, %(child_id)s, tstzrange(%(begin)s, %(end)s, '[)'))
RETURNING id, device, child_id, lower(worn) AS begin, upper(worn) AS "end"
"""
END_ASSIGNMENT = """
UPDATE wearable_assignments SET worn = tstzrange(lower(worn), %(end)s, '[)')
WHERE child_id = %(child_id)s AND id = %(assignment_id)s AND lower(worn) < %(end)s
RETURNING id, device, child_id, lower(worn) AS begin, upper(worn) AS "end"
"""

ADD_AUDIT = """
INSERT INTO audit_log (family_id, actor, action, subject) VALUES (%(family_id)s, %(actor)s, %(action)s, %(subject)s)
"""
BROKEN_AUDIT = """
SELECT number FROM (
    SELECT number, hash, prev_hash, audit_hash(audit_log) AS expected_hash,
           lag(hash, 1, ''::bytea) OVER chain AS expected_prev, lag(number, 1, 0::int8) OVER chain AS before
    FROM audit_log WHERE family_id = %(family_id)s WINDOW chain AS (ORDER BY number)) AS links
WHERE hash <> expected_hash OR prev_hash <> expected_prev OR number <> before + 1
ORDER BY number
"""
