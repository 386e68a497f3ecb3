"""A tenant: its name, how it proves itself, its key and secret."""

import secrets
import string
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, Id, one_of
from models.errors import NameTaken

KEY_LENGTH = 32
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits


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


def create_project(session: Session, name: str, auth: AuthMode) -> Project:
    """A new tenant, with a fresh key and secret.

    Raises:
        NameTaken: another project has this name.
    """
    made = session.scalars(
        insert(Project)
        .values(name=name, auth=auth, api_key=_new_key(), api_secret=_new_key())
        # Two may ask for one name at once; the loser learns it without losing its transaction.
        .on_conflict_do_nothing(index_elements=[Project.name])
        .returning(Project)
    ).one_or_none()
    if made is None:
        raise NameTaken(f"there is already a project called {name!r}")
    return made


def _new_key() -> str:
    """32 letters and digits: 190 bits nobody guesses, and nothing a shell or a URL would quote."""
    return "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(KEY_LENGTH))
