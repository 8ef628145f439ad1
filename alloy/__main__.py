"""`python -m alloy` is the `alloy` command."""

from alloy.commands.app import main

if __name__ == "__main__":
    main()
