"""Errors in a log of valgrind that have a frame of this package: python ours.py LOG. Exit status 1 if there are any."""

import re
import sys
from pathlib import Path

text = re.sub(r"^==\d+== ?", "", Path(sys.argv[1]).read_text(), flags=re.MULTILINE)
blocks = [block for block in text.split("\n\n") if re.search(r"^\s+at 0x", block, re.MULTILINE)]
ours = [block for block in blocks if re.search(r"kernels\.cpython|pepg_|csrc/", block)]
print(f"{len(blocks)} reports by valgrind, {len(ours)} with a frame of pepg_fast")
print("\n\n".join(ours))
sys.exit(bool(ours))
