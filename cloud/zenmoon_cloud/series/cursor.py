"""Where a live reader stands in the order of commits. Pure.

Rows carry the id of the transaction that wrote them. A reader goes no further than the oldest transaction still running, so that
whatever commits later is ahead of it, never behind: rows that commit out of order are neither skipped nor given twice. Of one
transaction the records come first, then what changed with them.
"""

from typing import NamedTuple

HIGHEST = 2**63 - 1


class Cursor(NamedTuple):
    """The last row given, in the order (transaction, device, boot, seq); the numbers are the database's int8.

    Attributes:
        transaction: id of the writing transaction.
        device: of the row.
        boot: of the row.
        seq: of the row.
    """

    transaction: int
    device: int
    boot: int
    seq: int

    @classmethod
    def before(cls, transaction: int) -> "Cursor":
        """Everything written by transactions before `transaction` was given."""
        return cls(transaction - 1, HIGHEST, HIGHEST, HIGHEST)

    @classmethod
    def records_of(cls, transaction: int) -> "Cursor":
        """All records of `transaction` and everything before were given; what changed with them perhaps not."""
        return cls(transaction, HIGHEST, HIGHEST, 0)  # no record: a boot has 32 bits

    @property
    def next_transaction(self) -> int:
        """The first transaction of which something may still have to be given."""
        return self.transaction + (self == Cursor.before(self.transaction + 1))

    def __str__(self) -> str:
        return "-".join(f"{part & 0xFFFFFFFFFFFFFFFF:x}" for part in self)

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Reads what `str` wrote.

        Raises:
            ValueError: it is no cursor.
        """
        parts = text.split("-")
        if len(parts) != len(cls._fields) or not all(0 < len(part) <= 16 and part.isalnum() for part in parts):
            raise ValueError("no cursor")
        cursor = cls(*(int.from_bytes(int(part, 16).to_bytes(8), signed=True) for part in parts))
        if cursor.transaction < 0:
            raise ValueError("no transaction")
        return cursor
