"""The library that the stages use: one folder per concern, in layers.

A folder imports only from lower layers; the layers are listed in pyproject.toml (`[tool.importlinter]`) and `make
check` holds them. What people run is elsewhere: the stages in `stages/`, the `alloy` command in `alloy/commands`.
"""
