"""Coverage-guided fuzzing of one reader with atheris, where that is installed (pip install atheris)::

    python -m uav_twin_migration.studies.harnesses.coverage_fuzzing READER CORPUS [libFuzzer's options]

CORPUS is a folder of inputs; what reaches new code is added to it. It ends at the first exception that the reader does
not declare, and libFuzzer writes the input to a file. How slow and how large an input is, `bench fuzz` measures:
instrumented code is several times slower.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["uav_twin_migration"]):
    from uav_twin_migration.studies.harnesses.fuzzing import LARGEST, READERS


def main(name: str, corpus: str, options: list[str]) -> None:
    """Fuzz until an option of libFuzzer ends it. Raises KeyError where there is no such reader."""
    reader, folder = READERS[name], Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(reader.seeds()):
        (folder / f"seed_{number}").write_bytes(seed)

    def one_input(data: bytes) -> None:
        with contextlib.suppress(*reader.declared):
            reader.read(data)

    atheris.Setup([sys.argv[0], corpus, f"-max_len={LARGEST}", *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
