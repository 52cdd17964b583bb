"""The public holidays of the DR Congo, as data.

Source: ordinance 23/042 of 30 March 2023 (ten days; a day that falls on a Sunday is taken on the day before), as
printed by the Congolese press in April 2023 and applied by the ministry of labour in its notice of 1 April 2025.
Days that the government adds for one year belong in the policy (`extra_holidays`).
"""

from __future__ import annotations

from datetime import date, timedelta

# (month, day): what is remembered
FIXED: dict[tuple[int, int], str] = {
    (1, 1): "Nouvel an",
    (1, 4): "Martyrs de l'indépendance",
    (1, 16): "Laurent-Désiré Kabila",
    (1, 17): "Patrice Emery Lumumba",
    (4, 6): "Simon Kimbangu et conscience africaine",
    (5, 1): "Fête du travail",
    (5, 17): "Forces armées",
    (6, 30): "Indépendance",
    (8, 1): "Fête des parents",
    (12, 25): "Noël",
}
SUNDAY = 6


def holiday_name(day: date) -> str | None:
    """What this day is a holiday for; None on ordinary days."""
    name = FIXED.get((day.month, day.day))
    if name is not None:
        return name
    following = day + timedelta(days=1)
    if following.weekday() == SUNDAY:
        return FIXED.get((following.month, following.day))
    return None
