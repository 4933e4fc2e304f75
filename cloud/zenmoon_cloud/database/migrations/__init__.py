"""Migrations: numbered files in `versions`, plain SQL, run as the owner of the tables."""
