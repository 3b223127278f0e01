"""Draws docs/decisions.png: the rule "fast" on a made-up world that changes and comes back.

python examples/decision_picture.py docs/decisions.png
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from decisions import made

from risk.files import write_atomic
from risk.report.figures import png
from risk.report.replay import chart, walks_of


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/decision_picture.py FILE.png")
    stream = made("recurring", 3)
    walks = walks_of(stream, ["fast"], 0)
    write_atomic(Path(sys.argv[1]), png(chart(stream, walks[-1], walks, 0)))


if __name__ == "__main__":
    main()
