"""The `alloy` command: one file per subcommand.

Here: arguments, and a call into the library. Not here: logic that a stage needs as well.
"""
