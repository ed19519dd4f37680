"""Entry of the frozen program."""

from lm_client.cli import main

main()
