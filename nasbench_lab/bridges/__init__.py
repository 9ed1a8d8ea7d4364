"""Tables and other benchmarks as problems of other packages, so that their optimisers search them.

One module for each package: ``optuna`` (OptunaHub), ``syne_tune``, ``ioh`` and ``carps``. Each can be
imported without the package, and says what to install when it is used.
"""
