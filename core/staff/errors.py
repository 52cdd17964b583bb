"""What staff can mend, as sentences the console shows."""

from __future__ import annotations

from core.kernel.errors import CustomerError


class LoginTaken(CustomerError):
    """Somebody already has this login."""


class WeakPassword(CustomerError):
    """Too short, too common, or made from the login."""


class WrongPassword(CustomerError):
    """The present password, asked again before something that matters."""


class WrongCode(CustomerError):
    """The six digits do not fit, or were used already."""


class OwnAccount(CustomerError):
    """What nobody does to their own account: another administrator does it."""


class LastAdministrator(CustomerError):
    """Without this one nobody could let anybody in any more."""


class UnknownStaff(CustomerError):
    """Nobody with this login."""
