"""`ringback simulator`: a telephone network that is none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from cli import Program


@click.group()
def simulator() -> None:
    """Serve a simulated telephone network."""


@simulator.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=8077, show_default=True, help="0 takes any free one.")
@click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    default=Path("var/simulator.jsonl"),
    show_default=True,
    help="Append-only file of what was asked and done; calls in it are known again after a restart.",
)
@click.option("--seed", type=int, help="The same seed gives the same fates. [RINGBACK_SIMULATOR_SEED]")
@click.option("--mix", help="How calls end, such as completed=40,busy=60. [RINGBACK_SIMULATOR_MIX]")
@click.option("--ring-seconds", type=click.FloatRange(min=0), help="[RINGBACK_SIMULATOR_RING_SECONDS]")
@click.option("--talk-seconds", type=click.FloatRange(min=0), help="[RINGBACK_SIMULATOR_TALK_SECONDS]")
@click.option("--faults", help="Faults and their probabilities, such as lose_answer=0.1. [RINGBACK_SIMULATOR_FAULTS]")
@click.option("--delay-seconds", type=float, nargs=2, default=(0, 0), metavar="LEAST MOST", help="Before it answers.")
@click.option(
    "--lookup-lag-seconds", type=float, nargs=2, default=(0, 0), metavar="LEAST MOST",
    help="How long a call cannot be found by its reference.",
)  # fmt: skip
@click.option("--idempotent", is_flag=True, help="A repeated reference makes no second call.")
@click.pass_obj
def serve(
    program: Program,
    host: str,
    port: int,
    ledger: Path,
    seed: int | None,
    mix: str | None,
    ring_seconds: float | None,
    talk_seconds: float | None,
    faults: str | None,
    delay_seconds: tuple[float, float],
    lookup_lag_seconds: tuple[float, float],
    idempotent: bool,
) -> None:
    """Serve a simulated network over HTTP, until Ctrl-C.

    It writes every start request into its ledger before it answers, so it can be asked afterwards what was
    really dialed. Daemons use it when RINGBACK_SIMULATOR_URL names its address, which it prints.

    \b
    Example:
      ringback simulator serve --port 8077 --faults lose_answer=0.05
      RINGBACK_SIMULATOR_URL=http://127.0.0.1:8077 ringback run
    """
    from scheduler.providers.network import FaultPlan, SimulatedNetwork, parse_faults, parse_mix
    from scheduler.providers.simulator_server import Behaviour, Span
    from scheduler.providers.simulator_server import serve as serve_network

    own = program.settings()
    seed = own.simulator_seed if seed is None else seed
    network = SimulatedNetwork(
        seed=seed,
        mix=parse_mix(own.simulator_mix if mix is None else mix),
        ring=timedelta(seconds=own.simulator_ring_seconds if ring_seconds is None else ring_seconds),
        talk=timedelta(seconds=own.simulator_talk_seconds if talk_seconds is None else talk_seconds),
        callback_after=timedelta(minutes=own.simulator_callback_minutes),
    )
    behaviour = Behaviour(
        FaultPlan(parse_faults(own.simulator_faults if faults is None else faults), seed=seed),
        Span(*_checked("--delay-seconds", delay_seconds)),
        Span(*_checked("--lookup-lag-seconds", lookup_lag_seconds)),
    )
    ledger.parent.mkdir(parents=True, exist_ok=True)
    serve_network(
        host, port, ledger, network=network, behaviour=behaviour, idempotent=idempotent,
        ready=lambda url: click.echo(url),
    )  # fmt: skip


def _checked(name: str, seconds: tuple[float, float]) -> tuple[float, float]:
    least, most = seconds
    if not 0 <= least <= most:
        raise click.BadParameter("write the least and the most seconds, such as 0 2.5", param_hint=name)
    return seconds
