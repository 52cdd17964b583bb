"""Who the customers are, where they are supplied, and which phones may speak for them."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class ProvinceRow(Base):
    """Loaded from the package by every upgrade: `core.customers.places`. `code`: its letters in ISO 3166-2:CD."""

    __tablename__ = "province"

    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    capital: Mapped[str] = mapped_column(String(40))
    time_zone: Mapped[str] = mapped_column(String(40))


class PlaceRow(Base):
    """A city, a territory, or a commune of Kinshasa. A city and a territory may share their name."""

    __tablename__ = "place"
    __table_args__ = (
        UniqueConstraint("province_code", "kind", "name"),
        CheckConstraint("kind IN ('city', 'territory', 'commune')", name="kind"),
    )

    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    province_code: Mapped[str] = mapped_column(ForeignKey("province.code"))
    kind: Mapped[str] = mapped_column(String(9))
    name: Mapped[str] = mapped_column(String(60))


class AgencyRow(Base):
    """A counter. `hours`: as they are written on its door, until `week` is set (`core.customers.opening`, Monday
    first); from then on they are said from that. `phones`: those beside `phone`. `closed_at`: it is for good."""

    __tablename__ = "agency"
    __table_args__ = (Index("ix_agency_province_code", "province_code"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    code: Mapped[str] = mapped_column(String(12), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    city: Mapped[str] = mapped_column(String(60))
    address: Mapped[str] = mapped_column(String(160))
    phone: Mapped[str] = mapped_column(String(16))
    hours: Mapped[str] = mapped_column(String(80))
    time_zone: Mapped[str] = mapped_column(String(40))
    province_code: Mapped[str | None] = mapped_column(ForeignKey("province.code"))
    place_code: Mapped[str | None] = mapped_column(ForeignKey("place.code"))
    commune: Mapped[str | None] = mapped_column(String(60))
    phones: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    week: Mapped[list[list[str]] | None] = mapped_column(JSON(none_as_null=True))
    # Millionths of a degree, so that no rounding moves a place.
    latitude_e6: Mapped[int | None]
    longitude_e6: Mapped[int | None]
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AgencyDayRow(Base):
    """One day on which hours differ from the week's; none: closed. `agency_id` None: at every agency."""

    __tablename__ = "agency_day"
    __table_args__ = (UniqueConstraint("agency_id", "day"), Index("ix_agency_day_day", "day"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    agency_id: Mapped[int | None] = mapped_column(ForeignKey("agency.id"))
    day: Mapped[date]
    hours: Mapped[list[str]] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(String(80))
    made_by: Mapped[str] = mapped_column(String(80))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CustomerRow(Base):
    __tablename__ = "customer"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(120), index=True)
    kind: Mapped[str] = mapped_column(String(16), default="household")
    language: Mapped[str] = mapped_column(String(3), default="fr")
    email: Mapped[str | None] = mapped_column(String(160))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PhoneLinkRow(Base):
    """phone ↔ customer, many to many. Amounts are shown only where it is confirmed and fresh.

    `fresh_until`: stale after months of silence; None while it was never confirmed, or since a change of SIM.
    `role`, who asks and who decides: `core.customers.links`.
    """

    __tablename__ = "phone_link"
    __table_args__ = (
        UniqueConstraint("phone", "customer_id"),
        CheckConstraint("role IN ('holder', 'member', 'payer')", name="role"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    phone: Mapped[str] = mapped_column(String(16))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    role: Mapped[str] = mapped_column(String(8), default="holder")
    language: Mapped[str | None] = mapped_column(String(3))
    last_brand: Mapped[str | None] = mapped_column(String(16))
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fresh_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PhoneRow(Base):
    """What we know of a number by itself, whoever it is linked to: chosen language, opt-out, last seen."""

    __tablename__ = "phone"

    phone: Mapped[str] = mapped_column(String(16), primary_key=True)
    language: Mapped[str | None] = mapped_column(String(3))
    opted_out_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sim_changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SiteRow(Base):
    """A place that is supplied. The time zone is its own: the country has two."""

    __tablename__ = "site"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    agency_id: Mapped[int] = mapped_column(ForeignKey("agency.id"))
    address: Mapped[str] = mapped_column(String(160))
    commune: Mapped[str] = mapped_column(String(60))
    city: Mapped[str] = mapped_column(String(60))
    time_zone: Mapped[str] = mapped_column(String(40))
    province_code: Mapped[str | None] = mapped_column(ForeignKey("province.code"))
    place_code: Mapped[str | None] = mapped_column(ForeignKey("place.code"))
    # Why supply here is never cut automatically: health, school, water, prison, medical; None for everybody else.
    protected: Mapped[str | None] = mapped_column(String(16))


class MeterRow(Base):
    """`secret` is the meter's signing key, sealed with the product's own (core.sealing); None until provisioned."""

    __tablename__ = "meter"
    __table_args__ = (
        CheckConstraint(
            "control_kind IN ('mqtt_relay', 'openpaygo_token', 'sts_token', 'manual', 'none')", name="control"
        ),
    )

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    control_kind: Mapped[str] = mapped_column(String(16))
    secret: Mapped[str | None] = mapped_column(Text)
    key_version: Mapped[int] = mapped_column(default=0)
    installed_on: Mapped[date]


class ContractRow(Base):
    """What is owed, is owed on a contract. Its account number is what people type."""

    __tablename__ = "contract"
    __table_args__ = (
        CheckConstraint("kind IN ('monthly', 'consumption', 'flat', 'prepaid')", name="kind"),
        CheckConstraint("state IN ('active', 'closed')", name="state"),
        Index("ix_contract_meter_id", "meter_id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    account_number: Mapped[str] = mapped_column(String(10), unique=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    meter_id: Mapped[str | None] = mapped_column(ForeignKey("meter.id"))
    kind: Mapped[str] = mapped_column(String(12))
    currency: Mapped[str] = mapped_column(String(3))
    tariff_id: Mapped[int | None] = mapped_column(ForeignKey("tariff.id"))
    state: Mapped[str] = mapped_column(String(8), default="active")
    opened_on: Mapped[date]
    # Counts every change that money made here; the row that is locked first when money moves.
    version: Mapped[int] = mapped_column(BigInteger, default=0)
