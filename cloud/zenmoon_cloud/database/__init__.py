"""PostgreSQL: the embedded server, roles, migrations, pools and the catalogue of tables."""

from zenmoon_cloud.database.pool import Database

__all__ = ["Database"]
