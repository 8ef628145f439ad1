"""The `alloy` command: one file per subcommand.

Here: arguments, and calls into the library. Not here: logic that a stage also needs.
"""
