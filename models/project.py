"""A tenant: its name, how it proves itself, its key and secret."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id, one_of


class AuthMode(StrEnum):
    """How a project's requests are proved; chosen once, as at Wiro."""

    KEY = "key"  # x-api-key alone
    SIGNATURE = "signature"  # x-api-key, x-nonce and x-signature


class Project(Base):
    """One tenant.

    The secret is stored as it is: the signature is an HMAC over it, so the
    server needs the text itself, not a hash.
    """

    __tablename__ = "projects"
    __table_args__ = (CheckConstraint(one_of("auth", AuthMode), name="auth"),)

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    auth: Mapped[AuthMode]
    api_key: Mapped[str] = mapped_column(unique=True)  # every request is looked up by it
    api_secret: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    def __repr__(self) -> str:
        """Without the secret."""
        return f"<Project {self.id} {self.name!r}>"
