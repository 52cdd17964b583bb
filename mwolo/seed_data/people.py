"""Names as they are met in the country's regions. Nobody in particular: first and last names are drawn apart."""

from __future__ import annotations

from collections.abc import Mapping

FIRST_NAMES = (
    "Marie", "Jean", "Béatrice", "Joseph", "Thérèse", "Patrick", "Chantal", "Emmanuel", "Solange", "Dieudonné", "Grâce",
    "Christian", "Nadine", "Pascal", "Espérance", "Trésor", "Clarisse", "Fiston", "Mamie", "Héritier", "Gloria", "Papy",
    "Rachel", "Serge", "Divine", "Olivier", "Aimée", "Blaise", "Francine", "Rodrigue", "Joséphine", "Jérémie",
)  # fmt: skip

LAST_NAMES: Mapping[str, tuple[str, ...]] = {
    "KIN": ("Mbuyi", "Ilunga", "Lokwa", "Bolamba", "Mputu", "Nzuzi", "Ekofo", "Mobonda", "Ngoma", "Lisimo", "Bokungu"),
    "MAT": ("Nsimba", "Makiese", "Luzolo", "Nlandu", "Phoba", "Mavungu", "Khonde", "Matondo", "Nzau"),
    "LUB": ("Kabwe", "Mwamba", "Kasongo", "Ngoy", "Mutombo", "Kazadi", "Kyungu", "Banza", "Numbi", "Chisenga"),
    "GOM": ("Bahati", "Mugisho", "Kavira", "Paluku", "Kambale", "Furaha", "Muhindo", "Masika", "Baraka"),
    "MJM": ("Tshilombo", "Kalala", "Kabeya", "Mukendi", "Ntumba", "Tshibangu", "Mulumba", "Kapinga", "Ngalula"),
    "KGA": ("Kabongo", "Mbombo", "Lukusa", "Tshimanga", "Muamba", "Bakajika", "Kanku", "Biuma"),
}

BUSINESSES = (
    "Boulangerie Nouvelle", "Pharmacie du Peuple", "Quincaillerie Salama", "Salon Chez Mamie", "Dépôt Bon Prix",
    "Atelier Soudure Moderne", "Cyber Lumière", "Restaurant La Référence",
)  # fmt: skip

# Places whose supply is never cut automatically, with the word that is kept for why.
PROTECTED = (
    ("Centre de santé Elimu", "health"), ("Maternité Bolingo", "health"), ("Internat Kimbangu", "school"),
    ("Station de pompage REGIDESO", "water"),
)  # fmt: skip
