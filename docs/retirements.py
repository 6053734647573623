"""Brings the dates in customai/retirements.tsv up to Microsoft's own list of retirements.

python -m docs.retirements LIST.tsv    LIST.tsv: date, service, feature, from github.com/Azure/EOL's service_list.json

Which size or image a line means, and what to take instead, is for people to say: new lines are written by hand, with
`listed` naming the line of the list.
"""

# ruff: noqa: INP001 (a script's folder, not a package)

from __future__ import annotations

import csv
import sys
from pathlib import Path

from customai.retirements import TABLE

LISTED = 5  # the column that names the line of the list


def dates(file: Path) -> dict[str, str]:
    """Of each line of the list, "service|feature": its date."""
    with file.open(encoding="utf-8", newline="") as opened:
        rows = csv.reader(opened, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {f"{row[1].strip()}|{row[2].strip()}": row[0] for row in rows if row[0] not in ("", "date")}


def updated(text: str, known: dict[str, str]) -> tuple[str, list[str]]:
    """The table with the list's dates; and what it names that the list does not have."""
    lines, missing = [], []
    for line in text.splitlines():
        cells = line.split("\t")
        named = cells[LISTED] if not line.startswith("#") and len(cells) > LISTED else ""
        if named and named != "listed":
            if named in known:
                cells[0] = known[named]
            else:
                missing.append(named)
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n", missing


def main(arguments: list[str]) -> int:
    text, missing = updated(TABLE.read_text(encoding="utf-8"), dates(Path(arguments[0])))
    TABLE.write_text(text, encoding="utf-8")
    for name in missing:
        print(f"not in the list: {name}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
