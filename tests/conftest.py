"""What holds for all tests, and for the processes that they start."""

import os

# Threads that wait by spinning stand in the way of those they wait for, where cores are shared; torch reads it when it
# is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
