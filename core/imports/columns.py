"""Which columns a file of each kind has, what they may be called, and a file to begin with."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from core.csv_files import BadCsv
from core.i18n import N_
from core.imports.model import Kind

# Columns that our own exports add, and that say nothing when they come back.
_IGNORED = frozenset({"reason", "reasons", "motif", "raison", "line", "ligne"})


@dataclass(frozen=True, slots=True)
class Column:
    """`name`: what we call it. `others`: what else it may be called, folded. `example`: for the template."""

    name: str
    others: tuple[str, ...]
    example: str
    needed: bool = False


_CUSTOMER = ("client", "customer_reference", "reference_client", "ref_client", "customer_ref")
_CONTRACT = ("contrat", "contract_reference", "reference_contrat", "ref_contrat", "contract_ref")
_ACCOUNT = ("compte", "account_number", "numero_de_compte", "numero_compte", "no_compte")

COLUMNS: dict[Kind, tuple[Column, ...]] = {
    Kind.CUSTOMERS: (
        Column("reference", ("ref", *_CUSTOMER), "C-00417", needed=True),
        Column("name", ("nom", "nom_complet", "full_name"), "Mbuyi Kalala", needed=True),
        Column("kind", ("type", "genre", "categorie"), "household"),
        Column("language", ("langue",), "fr"),
        Column("email", ("courriel", "e_mail", "mail"), "mbuyi@example.com"),
        Column("phone", ("telephone", "tel", "phones", "telephones", "gsm", "numero_de_telephone"), "0815550001"),
        Column("phone_confirmed", ("telephone_confirme", "tel_confirme", "confirme"), "no"),
    ),
    Kind.CONTRACTS: (
        Column("reference", ("ref", *_CONTRACT), "K-00417"),
        Column("account", _ACCOUNT, "1000000018"),
        Column("customer", _CUSTOMER, "C-00417"),
        Column("customer_id", ("id_client", "client_id", "numero_client"), ""),
        Column("kind", ("type", "genre", "type_de_contrat", "type_contrat"), "consumption", needed=True),
        Column("currency", ("devise", "monnaie"), "CDF", needed=True),
        Column("tariff", ("tarif", "code_tarif", "tariff_code"), ""),
        Column("opened_on", ("ouvert_le", "date_ouverture", "date_d_ouverture", "opened"), "01/03/2021"),
        Column("agency", ("agence", "code_agence", "agency_code"), "KIN", needed=True),
        Column("address", ("adresse",), "7 avenue Kasa-Vubu", needed=True),
        Column("commune", ("quartier", "municipality"), "Lemba", needed=True),
        Column("city", ("ville",), "Kinshasa"),
        Column("time_zone", ("fuseau", "fuseau_horaire", "zone"), ""),
        Column("protected", ("protege", "site_protege"), ""),
    ),
    Kind.METERS: (
        Column("meter", ("compteur", "numero_de_compteur", "no_compteur", "meter_id"), "MW00000417", needed=True),
        Column("account", _ACCOUNT, ""),
        Column("contract", _CONTRACT, "K-00417"),
        Column("control_kind", ("commande", "control", "type_de_commande"), "manual"),
        Column("installed_on", ("installe_le", "pose_le", "date_pose", "date_de_pose", "installed"), "2021-03-01"),
    ),
    Kind.BALANCES: (
        Column("account", _ACCOUNT, ""),
        Column("contract", _CONTRACT, "K-00417"),
        Column("amount", ("montant", "solde", "balance"), "28500"),
        Column("debit", ("doit", "du", "owed"), ""),
        Column("credit", ("avoir", "avance"), ""),
        Column("currency", ("devise", "monnaie"), "CDF", needed=True),
        Column("as_of", ("au", "date", "date_du_solde", "arrete_au"), "31/10/2026"),
    ),
}  # fmt: skip
# One of each group at least.
_GROUPS: dict[Kind, tuple[tuple[str, ...], ...]] = {
    Kind.CUSTOMERS: (),
    Kind.CONTRACTS: (("reference", "account"), ("customer", "customer_id")),
    Kind.METERS: (("account", "contract"),),
    Kind.BALANCES: (("account", "contract"), ("amount", "debit", "credit")),
}


def folded(name: str) -> str:
    """How two names of columns are compared: no case, no accents, one underscore between words."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9]+", "_", bare.casefold().replace("°", " ")).strip("_")


def read_header(kind: Kind, header: Sequence[str]) -> tuple[str, ...]:
    """Our name for each column of a file, "" for those that say nothing. Raises BadCsv, in a sentence that names the
    column, when one is unknown, stands twice, or is missing."""
    known = {name: column.name for column in COLUMNS[kind] for name in (column.name, *column.others)}
    found: list[str] = []
    for cell in header:
        name = folded(cell)
        if not name or name in _IGNORED:
            found.append("")
            continue
        if name not in known:
            raise BadCsv(
                N_("There is no column {column} in such a file. It has: {columns}."),
                column=cell[:40], columns=", ".join(column.name for column in COLUMNS[kind]),
            )  # fmt: skip
        if known[name] in found:
            raise BadCsv(N_("The column {column} stands twice in the first line."), column=known[name])
        found.append(known[name])
    missing = [column.name for column in COLUMNS[kind] if column.needed and column.name not in found]
    missing += ["/".join(group) for group in _GROUPS[kind] if not set(group) & set(found)]
    if missing:
        raise BadCsv(N_("These columns are missing in the first line: {columns}."), columns=", ".join(missing))
    if "amount" in found and {"debit", "credit"} & set(found):
        raise BadCsv(N_("A file has either the column amount, or debit and credit."))
    return tuple(found)


def template(kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the first line, an example) of a file of this kind. With amount; debit and credit are the other way."""
    shown = [column for column in COLUMNS[kind] if column.name not in ("debit", "credit", "customer_id")]
    return tuple(column.name for column in shown), tuple(column.example for column in shown)
