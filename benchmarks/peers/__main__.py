"""Let `python -m benchmarks.peers` run the runner."""

import typer

from benchmarks.peers.runner import main

if __name__ == "__main__":
    typer.run(main)
