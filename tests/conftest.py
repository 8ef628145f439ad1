"""Settings of all tests and of the processes that they start."""

import os

# On shared cores, threads that spin while they wait slow down the others. torch reads the variable when it is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
