import csv
from collections import defaultdict
from fractions import Fraction


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [{"shop": path.parent.name, "year": path.stem, **row} for row in csv.DictReader(file)]


def summary(rows):
    sums = defaultdict(Fraction)
    for row in rows:
        sums[row["shop"], row["what"]] += Fraction(row["price"]) * int(row["sold"])
    return {f"{shop}: {what}": float(sum) for (shop, what), sum in sums.items()}
