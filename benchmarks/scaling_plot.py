#!/usr/bin/env python3
"""Draws what benchmark_scaling printed: scaling_plot.py LINES.jsonl PICTURE.png

Time of a step and bytes kept for the backward pass, over channels and over rows, a line for each number of ranks.
Prints how each grew from the smallest size to the largest, beside the growth of the size.
"""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

QUANTITIES = {"seconds": "seconds a step", "kept_bytes": "bytes kept a rank"}


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    lines = [json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), sharex="col", layout="constrained")
    for column, sweep in enumerate(("channels", "rows")):
        for ranks in sorted({line["ranks"] for line in lines}):
            points = sorted((p for p in lines if p["sweep"] == sweep and p["ranks"] == ranks), key=lambda p: p[sweep])
            grown = lambda name: points[-1][name] / points[0][name]
            print(f"{ranks} ranks: {sweep} x {grown(sweep):.0f}, time x {grown('seconds'):.1f}, "
                  f"multiply-adds x {grown('multiply_adds'):.1f}, kept x {grown('kept_bytes'):.1f}")
            for axis, quantity in zip(axes[:, column], QUANTITIES):
                axis.plot([p[sweep] for p in points], [p[quantity] for p in points], "o-", label=f"{ranks} ranks")
        axes[1, column].set_xlabel(sweep)
        axes[1, column].set_xscale("log", base=2)
    for row, title in zip(axes, QUANTITIES.values()):
        for axis in row:
            axis.set_yscale("log")
            axis.grid(alpha=0.3)
        row[0].set_ylabel(title)
    axes[0, 0].legend()
    figure.savefig(sys.argv[2], dpi=110)


if __name__ == "__main__":
    main()
