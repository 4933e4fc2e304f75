"""`zenmoon-gateway`: scan, pair, run, status. Heavy imports wait until a command needs them, so that `status` is quick."""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from zenmoon_gateway.errors import GatewayError, Reason
from zenmoon_gateway.settings import DEFAULT_HOME

SCAN_S = 5.0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXITS = {
    Reason.ALREADY_RUNNING: 3,
    Reason.STORAGE: EXIT_FAILED,
    Reason.DAMAGED: EXIT_FAILED,
    Reason.BLUETOOTH: EXIT_FAILED,
}

app = typer.Typer(
    help="The phone's ZenMoon service: Bluetooth in, a durable outbox, the cloud out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Home = Annotated[
    Path, typer.Option("--home", envvar="ZENMOON_GATEWAY_HOME", help="Folder with keys, outbox and state, readable by you only.")
]
AdapterOption = Annotated[
    str | None,
    typer.Option(
        "--adapter",
        envvar="ZENMOON_GATEWAY_ADAPTER",
        help="HCI transport of a virtual adapter, such as tcp-client:127.0.0.1:9000; without it this machine's Bluetooth.",
    ),
]


@app.command()
def scan(
    home: Home = DEFAULT_HOME,
    adapter: AdapterOption = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=60.0, help="How long to listen.")] = SCAN_S,
) -> None:
    """List the wearables nearby: name, address, signal, and whether they are paired here."""
    from rich.console import Console
    from rich.table import Table
    from zenmoon_edge import client

    from zenmoon_gateway.adapter import Adapter, AdapterDownError
    from zenmoon_gateway.pairing import Pairings

    async def look() -> list[client.Sighting]:
        bluetooth = Adapter(adapter)
        try:
            backend = await bluetooth.backend()
            return await client.scan(seconds=seconds, backend=backend.scanner)
        finally:
            await bluetooth.drop()

    try:
        sightings = asyncio.run(look())
    except (AdapterDownError, client.WearableError) as error:
        raise GatewayError(Reason.BLUETOOTH, f"{error}. Next: switch Bluetooth on, and check that you may use it") from error
    endings = {pairing.name[-4:] for pairing in Pairings(home.expanduser()).load()}
    if not sightings:
        print(
            "No wearable is advertising nearby. Next: bring it closer, charge it, and end other gateways that are connected to it."
        )
        return
    table = Table("name", "address", "signal", "paired")
    for sighting in sightings:
        table.add_row(
            sighting.name or "–", sighting.address, f"{sighting.rssi} dBm", "yes" if sighting.name.lower()[-4:] in endings else "no"
        )
    Console().print(table)


@app.command()
def pair(
    device: Annotated[str, typer.Option("--device", help="The wearable's id, 16 hex digits.")],
    key_file: Annotated[Path, typer.Option("--key-file", help="File with the key: 64 hex digits, or 32 bytes.")],
    key_id: Annotated[int, typer.Option("--key-id", help="The key's number, 0–255.")] = 1,
    home: Home = DEFAULT_HOME,
) -> None:
    """Remember a wearable and the key it shares with this gateway."""
    from zenmoon_gateway import durable
    from zenmoon_gateway.pairing import Pairing, Pairings, parse_device, read_key

    home = home.expanduser()
    durable.make_folder(home)
    pairing = Pairing(device=parse_device(device), key=read_key(key_file), key_id=key_id)
    Pairings(home).store(pairing)
    print(f"paired {pairing.name}. Next: zenmoon-gateway run --cloud https://… --credentials FILE")


@app.command()
def run(  # noqa: PLR0917 - options, given by name
    cloud: Annotated[str, typer.Option("--cloud", envvar="ZENMOON_GATEWAY_CLOUD", help="The cloud's address.")],
    credentials: Annotated[
        Path, typer.Option("--credentials", envvar="ZENMOON_GATEWAY_CREDENTIALS", help='JSON file with "gateway_id" and "token".')
    ],
    home: Home = DEFAULT_HOME,
    adapter: AdapterOption = None,
    clock: Annotated[
        str | None, typer.Option("--clock", envvar="ZENMOON_GATEWAY_CLOCK", help="A demo's clock, utc_ms:monotonic_us:rate.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say more.")] = False,
) -> None:
    """Gather what the paired wearables record and deliver it, until ended."""
    from zenmoon_gateway.run import run as serve
    from zenmoon_gateway.settings import Settings, check_cloud, parse_clock, read_credentials

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", force=True)
    logging.getLogger("zenmoon_gateway").setLevel(logging.DEBUG if verbose else logging.INFO)
    settings = Settings(
        home=home.expanduser(),
        cloud=check_cloud(cloud),
        credentials=read_credentials(credentials),
        adapter=adapter,
        clock=parse_clock(clock),
    )
    asyncio.run(serve(settings))


@app.command()
def status(home: Home = DEFAULT_HOME, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show links, outbox and counts; works whether `run` is running or not."""
    from zenmoon_gateway.status import collect

    content = collect(home.expanduser())
    if as_json:
        print(json.dumps(content, indent=2))
        return
    from zenmoon_gateway.tables import show

    show(content)


def main() -> None:
    """Entry point: a known failure becomes one line that names the cause and the next action."""
    try:
        app()
    except GatewayError as error:
        print(f"zenmoon-gateway: {error}", file=sys.stderr)
        sys.exit(EXITS.get(error.reason, EXIT_BAD_INPUT))
    except OSError as error:
        print(f"zenmoon-gateway: {error}. Next: check the disk, and who owns the home folder", file=sys.stderr)
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
