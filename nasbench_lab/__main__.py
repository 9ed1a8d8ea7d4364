"""The command line as ``python -m nasbench_lab``."""

from nasbench_lab.cli import main

main()
