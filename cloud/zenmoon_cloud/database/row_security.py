"""The one policy of every family table, as statements for migrations."""

# The sub-select is evaluated once a query, not once a row; an unset identity is an empty list, never an error.
_FAMILIES = "(SELECT app_families())::uuid[]"


def protect(table: str, column: str = "family_id") -> tuple[str, ...]:
    """Return the statements that confine a table's rows to the families of `app.families`, its owner included."""
    mine = f"{column} = ANY ({_FAMILIES})"
    return (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY family ON {table} USING ({mine}) WITH CHECK ({mine})",
    )
