"""Settings of all tests, and of the processes that they start."""

import os

# If cores are shared, threads that spin while they wait slow down the threads that they wait for. torch reads this
# variable when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
