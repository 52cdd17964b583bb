"""What the screens of a promise have done: it is taken, or refused with a reason."""

from __future__ import annotations

from datetime import date

from channels.ussd.deeds import Asked, Deed, Done
from core.services.promises import Promises


def deeds(promises: Promises) -> dict[str, Deed]:
    """One transaction, repeated harmlessly with its turn's key."""

    def make(asked: Asked) -> Done:
        kept = promises.make(
            contract_id=int(asked.values["c"]),
            promised_on=date.fromisoformat(str(asked.values["on"])),
            phone=asked.phone,
            language=asked.language,
            turn_key=asked.turn_key,
            say=asked.say,
        )
        return Done(kept.did, kept.end_text)

    return {"promise.make": make}
