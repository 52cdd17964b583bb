"""What the screens of a report have done: a case is opened."""

from __future__ import annotations

from channels.ussd.deeds import Asked, Deed, Done
from core.services.cases import Cases


def deeds(cases: Cases) -> dict[str, Deed]:
    """One transaction, repeated harmlessly with its turn's key."""

    def open_case(asked: Asked) -> Done:
        contract_id, invoice_id = asked.values.get("c"), asked.values.get("invoice")
        kept = cases.report(
            kind=str(asked.values["kind"]),
            contract_id=None if contract_id is None else int(contract_id),
            invoice_id=None if invoice_id is None else int(invoice_id),
            phone=asked.phone,
            language=asked.language,
            turn_key=asked.turn_key,
            say=asked.say,
        )
        return Done(kept.did, kept.end_text)

    return {"case.open": open_case}
