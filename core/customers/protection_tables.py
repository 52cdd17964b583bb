"""Why a place is protected from cuts, on whose word and until when. `site.protected` says whether it is now."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class SiteProtectionRow(Base):
    """One protection of a site. `kind`: what `site.protected` says while it stands. `paper`: the certificate it rests
    on; `until`: its last day, None for places that stay what they are (a hospital).
    """

    __tablename__ = "site_protection"
    __table_args__ = (
        Index(
            "ix_site_protection_open",
            "site_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    kind: Mapped[str] = mapped_column(String(16))
    paper: Mapped[str] = mapped_column(String(120), default="")
    until: Mapped[date | None]
    reason: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str | None] = mapped_column(String(80))
    end_reason: Mapped[str] = mapped_column(Text, default="")
