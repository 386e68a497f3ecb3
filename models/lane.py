"""Whose turn it was: each place in the fair turn remembers how far it has been served."""

from datetime import datetime

from sqlalchemy import Double
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Lane(Base):
    """One place in the fair turn: a project among projects, or a lane within its project.

    Written by the dispatcher alone.  A place that has no row has never been served.
    """

    __tablename__ = "lanes"

    key: Mapped[str] = mapped_column(primary_key=True)  # `7` for a project, `7/12/0` for a lane of it
    virtual_time: Mapped[float] = mapped_column(Double)  # turns it has had, each divided by its weight
    served_at: Mapped[datetime]
    recent_jobs: Mapped[float] = mapped_column(Double)  # dispatched lately, fading: see `models.rates`
    recent_s: Mapped[float] = mapped_column(Double)  # the seconds in which it had those, fading alike
