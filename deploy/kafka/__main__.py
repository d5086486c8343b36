"""`python -m deploy.kafka up|down`: an Apache Kafka node to work with by hand."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.kafka.libraries import KafkaError
from deploy.kafka.node import ApacheKafka
from deploy.local.service import ROOT

app = typer.Typer(help="One Apache Kafka node on this machine.", no_args_is_help=True, add_completion=False)
Directory = Annotated[Path, typer.Option(help="Where the node keeps its log and settings.")]
HOME = ROOT / ".bangfu" / "apache-kafka"


@app.command()
def up(
    directory: Directory = HOME,
    port: Annotated[int | None, typer.Option(help="Its port; a free one by default.")] = None,
) -> None:
    """Start the node in the background and print its address."""
    node = ApacheKafka(directory, port)
    try:
        node.start()
    except KafkaError as error:
        sys.exit(f"bangfu: {error}")
    print(node.bootstrap_servers)


@app.command()
def down(
    directory: Directory = HOME,
    wipe: Annotated[bool, typer.Option("--wipe", help="Forget topics, records and offsets too.")] = False,
) -> None:
    """Stop the node; it keeps everything unless --wipe."""
    node = ApacheKafka(directory)
    node.stop()
    if wipe:
        node.wipe()


if __name__ == "__main__":
    app(prog_name="python -m deploy.kafka")
