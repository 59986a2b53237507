"""``python -m ems.cli``: the same as ``ems``."""

from ems.cli import main

main(prog_name="ems")
