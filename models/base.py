"""The ground all records stand on."""

from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Identity, MetaData, Numeric, Text
from sqlalchemy import Enum as EnumColumn
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

Id = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
Usd = Annotated[Decimal, mapped_column(Numeric(18, 9))]
"""US dollars; nine decimals, because vendors bill fractions of a cent per second."""


class Base(DeclarativeBase):
    """Root of the records.  Constraint names follow one pattern, so migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(none_as_null=True),
        # Words are stored as text with a CHECK: a native enum cannot lose a word, and adding one locks.
        Enum: EnumColumn(
            Enum,
            native_enum=False,
            create_constraint=False,
            length=32,
            values_callable=lambda words: [word.value for word in words],
        ),
    }


def one_of(column: str, words: type[StrEnum]) -> str:
    """SQL that holds a column to the words of an enum."""
    return f"{column} IN ({', '.join(repr(word.value) for word in words)})"
