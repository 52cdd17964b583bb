"""Plain Python that everything else stands on: money, digits, time, alphabets, ids, errors."""
