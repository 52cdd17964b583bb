"""What the screens about phone links have done: ask, answer, take off."""

from __future__ import annotations

from channels.ussd.deeds import Asked, Deed, Done
from core.services.links import PhoneLinks


def deeds(links: PhoneLinks) -> dict[str, Deed]:
    """Each is one transaction, repeated harmlessly with its turn's key."""

    def ask(asked: Asked) -> Done:
        account = str(asked.values["account"])
        kept = links.ask(asked.phone, account, language=asked.language, turn_key=asked.turn_key, say=asked.say)
        return Done(kept.did, kept.end_text)

    def answer(asked: Asked) -> Done:
        request, yes = int(asked.values["request"]), bool(asked.values["yes"])
        kept = links.answer(asked.phone, request, yes=yes, turn_key=asked.turn_key, say=asked.say)
        return Done(kept.did, kept.end_text)

    def remove(asked: Asked) -> Done:
        kept = links.remove(asked.phone, int(asked.values["link"]), turn_key=asked.turn_key, say=asked.say)
        return Done(kept.did, kept.end_text)

    return {"link.ask": ask, "link.answer": answer, "link.remove": remove}
