"""Cities with their agencies, communes and streets. Street names are common ones, house numbers invented."""

from __future__ import annotations

from dataclasses import dataclass

from core.kernel.clock import EAST, WEST


@dataclass(frozen=True, slots=True)
class City:
    """`weight`: how many in a hundred live there. `languages`: the first speaks for most. `place`: its code in
    `core.customers.places`."""

    code: str
    name: str
    zone: str
    weight: int
    languages: tuple[str, ...]
    place: str
    communes: tuple[str, ...]
    streets: tuple[str, ...]
    agency_address: str


CITIES = (
    City(
        "KIN", "Kinshasa", WEST, 40, ("fr", "ln", "ln", "fr", "en"), "KN-v-kinshasa",
        ("Lemba", "Ngaliema", "Limete", "Matete", "Bandalungwa", "Kalamu", "Masina", "Gombe"),
        ("av. Kasa-Vubu", "av. de l'Université", "av. Kimwenza", "rue Bokeleale", "av. Sefu", "av. By-Pass"),
        "124 bd du 30 Juin, Gombe",
    ),
    City(
        "MAT", "Matadi", WEST, 12, ("kg", "fr", "kg"), "BC-v-matadi",
        ("Matadi", "Nzanza", "Mvuzi"),
        ("av. Salongo", "rue du Marché", "av. Mbanza-Ngungu", "av. Kinkanda"),
        "8 av. Major Vangu, Matadi",
    ),
    City(
        "LUB", "Lubumbashi", EAST, 16, ("sw", "fr", "sw"), "HK-v-lubumbashi",
        ("Kamalondo", "Kampemba", "Katuba", "Kenya", "Annexe"),
        ("av. Kilwa", "av. Likasi", "chaussée de Kasenga", "av. Lomami", "av. Sendwe"),
        "31 av. Mama Yemo, Lubumbashi",
    ),
    City(
        "GOM", "Goma", EAST, 10, ("sw", "fr", "sw", "en"), "NK-v-goma",
        ("Goma", "Karisimbi"),
        ("av. des Volcans", "av. du Lac", "rue Katindo", "av. Mont Goma"),
        "5 bd Kanyamuhanga, Goma",
    ),
    City(
        "MJM", "Mbuji-Mayi", EAST, 12, ("lua", "fr", "lua"), "KE-v-mbuji-mayi",
        ("Diulu", "Kanshi", "Muya", "Bipemba"),
        ("av. Odia David", "av. Salongo", "av. Kalonji", "rue Serpent"),
        "17 av. Inga, Kanshi",
    ),
    City(
        "KGA", "Kananga", EAST, 10, ("lua", "fr"), "KC-v-kananga",
        ("Kananga", "Lukonga", "Ndesha", "Katoka"),
        ("av. Lulua", "bd Lumumba", "av. du Commerce", "rue Macar"),
        "2 bd Lumumba, Kananga",
    ),
)  # fmt: skip
