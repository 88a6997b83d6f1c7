"""Say what the hot loops are limited by, from port counts of llvm-mca: ``python bench/ports.py``.

The program compiles the kernels to assembly, takes the loop that draws normals and the innermost loops of a layer, and
lets llvm-mca simulate each of them on several CPUs. It needs gcc and llvm-mca (Debian's package llvm-19; it simulates
Zen 5 as a Zen 4). The models have no cache misses, and no second thread on a core.
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from pepg_fast.benchmarks.report import markdown

ROOT = Path(__file__).parent.parent
X86 = ["-mavx2", "-mfma"]
UNITS = {
    "avx2": X86,
    "avx512": [*X86, *(f"-mavx512{each}" for each in ("f", "dq", "bw", "vl")), "-mprefer-vector-width=512"],
}  # fmt: skip
CPUS = {
    "avx2": ("znver3", "znver4", "znver5"),
    "avx512": ("znver4", "znver5", "skylake-avx512", "icelake-server"),
}


class Loop(NamedTuple):
    """A loop of the assembly."""

    function: str
    instructions: list[str]

    def count(self, pattern: str) -> int:
        """Return the number of instructions whose names match a pattern."""
        return sum(re.match(pattern, each) is not None for each in self.instructions)


def assembly(unit: str) -> str:
    """Compile the kernels of an instruction set as CMakeLists.txt does."""
    flags = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    source = ROOT / "csrc/isa_unit.c"
    include = [f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'csrc/include'}", f"-DPEPG_UNIT={unit}"]
    command = ["gcc", *flags, *UNITS[unit], *include, "-S", "-o", "-", str(source)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def loops_of(text: str) -> list[Loop]:
    """Return the instructions between each label and a jump back to it."""
    function, instructions, labels, found = "", [], {}, []
    for line in text.splitlines():
        if label := re.match(r"([\w.$]+):", line):
            if not label[1].startswith(".L"):
                function, instructions, labels = label[1], [], {}
            labels[label[1]] = len(instructions)
        elif line.startswith("\t") and not line.startswith("\t."):
            instructions.append(line.strip())
            jump = re.match(r"\tj\w+\s+([\w.]+)", line)
            if jump and jump[1] in labels:
                found.append(Loop(function, instructions[labels[jump[1]] :]))
    return found


def hottest(loops: list[Loop], function: str, pattern: str) -> Loop:
    """Return the loop of a function, without others inside, that has the most instructions of a pattern."""
    single = [each for each in loops if each.function == function and each.count("j") <= 3]
    return max(single, key=lambda each: (each.count(pattern), -len(each.instructions)))


def row_of(
    name: str, loop: Loop, unit: str, cpu: str, llvm_mca: str, per: float, what: str
) -> list[str]:
    """Simulate a loop on a CPU; return its row of the table, with cycles for each of `per` results."""
    straight = [each for each in loop.instructions if not each.startswith("j")]
    with tempfile.NamedTemporaryFile("w", suffix=".s") as file:
        file.write("\n".join(straight) + "\n")
        file.flush()
        command = [llvm_mca, "-mtriple=x86_64", f"-mcpu={cpu}", "-iterations=200", file.name]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cycles = float(re.search(r"Total Cycles: +(\d+)", out)[1]) / 200  # type: ignore[index]
    issued = float(re.search(r"uOps Per Cycle: +([\d.]+)", out)[1])  # type: ignore[index]
    names = dict(re.findall(r"^(\[[\d.]+\]) +- (\w+)", out, re.MULTILINE))
    heads, numbers = re.search(r"pressure per iteration:\n(.+)\n(.+)\n", out).groups()  # type: ignore[union-attr]
    pressure = dict(zip(heads.split(), numbers.split(), strict=True))
    taken = {
        names[each]: float(number) / cycles for each, number in pressure.items() if number != "-"
    }
    busiest = sorted(taken, key=lambda each: -taken[each])[:3]
    return [
        name, unit, cpu, f"{cycles / per:.2f} cycles per {what}", f"{issued:.1f}",
        ", ".join(f"{each} {taken[each]:.0%}" for each in busiest),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--llvm-mca", default="llvm-mca-19")
    options = parser.parse_args()
    rows = []
    for unit, cpus in CPUS.items():
        loops, lanes = loops_of(assembly(unit)), 16 if unit == "avx512" else 8
        normals = hottest(loops, "normals_block", "vpmul")
        rows += [
            row_of("normals", normals, unit, cpu, options.llvm_mca, 16 * lanes, "normal")
            for cpu in cpus
        ]
        for dtype, kind in (("f32", "ps"), ("f64", "pd")):
            layer = hottest(loops, f"layer_block_{dtype}", rf"vfmadd\w+{kind}")
            per = layer.count(rf"vfmadd\w+{kind}")
            rows += [
                row_of(
                    f"layer, {dtype}",
                    layer,
                    unit,
                    cpu,
                    options.llvm_mca,
                    per,
                    "vector multiply-add",
                )
                for cpu in cpus
            ]
    print(markdown(["loop", "unit", "CPU", "time", "operations per cycle", "busiest"], rows))


if __name__ == "__main__":
    main()
