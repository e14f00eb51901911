"""Writes the golden files anew: read the difference before you keep it."""

from tests.cases.case import list_cases

for case in list_cases():
    case.write()
    print(f"{case.name:<20} {' '.join(case.golden)}")
