"""Draws docs/images/plan.svg, a picture of a terminal, from the output that a test holds `aci-dns plan` to.

    python3 docs/images/terminal.py

tests/it/reference.rs compares the lines of the picture with the same file.
"""

import re
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
GROUPS = ("fresh", "gone", "misnamed", "moved", "slow", "stopped")
COLOURS = {"+": "#3fb950", "-": "#ff7b72", "~": "#d29922"}
ROW, COLUMN, MARGIN = 20, 8.0, 18


def lines() -> list[str]:
    """The blocks of the groups, and the count of record sets."""
    snapshot = (ROOT / "tests" / "operate" / "plan.snap").read_text()
    output = snapshot.partition("$ aci-dns plan\n")[2].partition("\nexit code")[0]
    kept = [
        re.search(rf"^rg-spoke1/{group}: .*\n(?:  .*\n)+", output, re.M)[0].splitlines() for group in GROUPS
    ]
    return [*(line for block in kept for line in block), re.search(r"^Record sets: .*", output, re.M)[0]]


def picture(rows: list[str]) -> str:
    everything = ["$ aci-dns plan", *rows]
    width = round(max(map(len, everything)) * COLUMN + 2 * MARGIN)
    height = len(everything) * ROW + 2 * MARGIN
    text = []
    for number, line in enumerate(everything):
        colour = COLOURS.get(line.strip()[0], "#e6edf3")
        weight = ' font-weight="bold"' if line.startswith("rg-") or number == 0 else ""
        # A leading blank would be dropped.
        left = MARGIN + (len(line) - len(line.lstrip())) * COLUMN
        marked = f' data-line="{escape(line)}"' if number else ""
        text.append(
            f'<text x="{left:g}" y="{MARGIN + (number + 0.75) * ROW:g}" fill="{colour}"{weight}{marked}>'
            f"{escape(line.strip())}</text>"
        )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" role="img">',
            "<title>The output of aci-dns plan: a diff of the record sets of each container group</title>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
            *text,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    (ROOT / "docs" / "images" / "plan.svg").write_text(picture(lines()))
