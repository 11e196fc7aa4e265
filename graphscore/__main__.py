"""``python -m graphscore`` is the command line."""

from graphscore.cli import main

main()
