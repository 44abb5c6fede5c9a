"""`python -m roundel`: the command line."""

from roundel.cli.main import main

main()
