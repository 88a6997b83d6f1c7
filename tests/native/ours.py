"""python ours.py LOG: print valgrind's errors that have a frame of this package; the exit status is 1 if there are any.

A frame has the name of the library or, with debug information, of the source file.
"""

import re
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "csrc"
NAMES = "|".join(
    re.escape(path.name) for path in SOURCES.rglob("*.*") if path.suffix in (".c", ".h", ".inc")
)
OURS = re.compile(rf"kernels\.(cpython|pyx|c\b)|pepg_|csrc/|\(({NAMES}):\d+\)")

text = re.sub(r"^==\d+== ?", "", Path(sys.argv[1]).read_text(), flags=re.MULTILINE)
if "ERROR SUMMARY:" not in text:
    sys.exit(f"{sys.argv[1]}: valgrind did not come to its end")
blocks = [block for block in text.split("\n\n") if re.search(r"^\s+at 0x", block, re.MULTILINE)]
ours = [block for block in blocks if OURS.search(block)]
print(f"{len(blocks)} reports by valgrind, {len(ours)} with a frame of pepg_fast")
print("\n\n".join(ours))
sys.exit(bool(ours))
