"""`python -m benchmarks`: run benchmarks, print their rows, keep them, write the page."""

from __future__ import annotations

import argparse
import signal
import time

from benchmarks import (
    between_nodes,
    bridge,
    burst,
    data_path,
    fill_curve,
    growth,
    keeping,
    leases,
    living,
    machine,
    page,
    peers,
    plugin,
    pod_network,
    policy,
    report,
    reports,
    restores,
    rounds,
    service,
    veth,
)
from benchmarks.table import Scale

BENCHMARKS = {
    module.NAME: module
    for module in (
        plugin,
        leases,
        reports,
        bridge,
        veth,
        living,
        restores,
        data_path,
        between_nodes,
        service,
        peers,
        growth,
        fill_curve,
        burst,
        keeping,
        pod_network,
        policy,
        page,
    )
}
GROWING = ("growth", "fill", "keeping", "living", "page")
"""Those that measure more when they are given time."""


def main() -> None:
    """Run what is named; what was started is ended also when this is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="default: all of the scale")
    parser.add_argument("--scale", type=Scale, default=Scale.FULL, choices=list(Scale))
    parser.add_argument(
        "--repeat-on-noise",
        action="store_true",
        help="measure rounds of rates again beside which plain work took a fifth longer than beside others",
    )
    options = parser.parse_args()
    if options.repeat_on_noise:
        rounds.repeat_on_noise()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    for name in options.only or (GROWING if options.scale is Scale.GROWTH else BENCHMARKS):
        _run(name, options.scale)
    if options.scale is not Scale.QUICK:
        report.write(list(BENCHMARKS))
    print(f"{time.monotonic() - began:.0f} s in all", flush=True)


def _run(name: str, scale: Scale) -> None:
    began = time.monotonic()
    print(f"{name} ({scale})", flush=True)
    table = BENCHMARKS[name].measure(scale)
    table.scale, table.machine = scale, machine.describe()
    table.seconds = time.monotonic() - began
    print(f"  {table.seconds:.0f} s", flush=True)
    if scale is not Scale.QUICK:
        report.save(table)


def _interrupt(_number: int, _frame: object) -> None:
    """An exception, so that everything is ended on the way out; in the background SIGINT would be ignored."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
