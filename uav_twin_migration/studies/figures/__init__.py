"""The paper's studies as pictures (PNG, PDF, SVG) and as the numbers in them (CSV), one group a file.

A file has ``SUMMARY`` (what it shows), ``NEEDS`` (the requirements that it has besides its command's) and
``run(directory: Path) -> None``; `uavtwin figures` finds it by its name.
"""
