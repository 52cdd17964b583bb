"""A utility with one agency, and files to bring to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from core.db import Database
from core.imports.model import ImportView, Kind
from core.kernel.clock import FixedClock
from core.services.imports import Imports
from tests import town


@dataclass
class World:
    """`acts`: what the audit log would hold."""

    db: Database
    clock: FixedClock
    acts: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.imports = Imports(self.db, self.clock, self._audit)
        with self.db.begin() as session:
            town.agency(session, code="KIN")

    def _audit(self, _session: Session, actor: str, act: str, subject: str, detail: str) -> None:
        self.acts.append((actor, act, subject))

    def bring(self, kind: Kind, text: str | bytes, *, by: str = "finance", name: str = "file.csv") -> ImportView:
        """Look at a file and import it if it is good."""
        data = text if isinstance(text, bytes) else text.encode()
        import_id = self.imports.take(kind, name, data, by=by)
        self.imports.carry_on(import_id)
        looked = self.seen(import_id)
        if looked.report.is_clean:
            self.imports.accept(import_id, by="finance2")
            assert self.imports.carry_on(import_id)
        return self.seen(import_id)

    def seen(self, import_id: int) -> ImportView:
        view = self.imports.view(import_id)
        assert view is not None
        return view

    def problems(self, kind: Kind, text: str) -> list[tuple[int, str, str]]:
        """(line, column, sentence) of what is wrong with a file."""
        report = self.imports.check(kind, text.encode())
        return [(one.line, one.column, one.sentence) for one in report.problems]

    def homes(self, count: int = 3, *, kind: str = "monthly", currency: str = "CDF") -> None:
        """So many customers C-n with contracts K-n."""
        customers = "reference;name;phone;phone_confirmed\n" + "".join(
            f"C-{n};Mbuyi {n};081{5_550_000 + n:07d};oui\n" for n in range(count)
        )
        contracts = "reference;customer;kind;currency;agency;address;commune\n" + "".join(
            f"K-{n};C-{n};{kind};{currency};KIN;{n} avenue Kasa-Vubu;Lemba\n" for n in range(count)
        )
        assert self.bring(Kind.CUSTOMERS, customers).made == count
        assert self.bring(Kind.CONTRACTS, contracts).made == count
