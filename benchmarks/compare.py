#!/usr/bin/env python3
"""Times the library and its peers, taking turns, case by case: tables, a JSON file and a picture.

    compare.py [--own PROGRAM] [--peers] [--cases NAME...] [--allocator NAME...] [--json FILE] [--plot FILE]

Every program of a case is started and does two steps; it prints a line of JSON when it is ready, {"seconds": t} after
each step that a line of its standard input asks for, and a last line about memory. One runs at a time, the others wait
without using a processor; the order is reversed every other round, so that what else the machine does hits all alike.
A turn is one step, or some 0.4 s of shorter ones.
Called by benchmarks/run.sh.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).resolve().parent / "peers"

FRONT_ENDS = ["front_end_80x4", "front_end_200x64", "front_end_500x64", "front_end_500x256"]
STEPS = ["forecast", "autoencoder_8", "autoencoder_1"]
TRUNKS = ["trunk", "forecast_trunk"]
RANKS = ["flat_2", "dchag_linear_2", "dchag_cross_2"]
CASES = [*FRONT_ENDS, *STEPS, *TRUNKS, *RANKS]

# GLIBC_TUNABLES of the peers. "keeping": blocks that are freed stay with the process; as installed, much of a step of
# PyTorch on a CPU goes into page faults.
ALLOCATORS = {"keeping": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184", "installed": ""}


def own_command(program, case, threads):
    env = {"OMP_WAIT_POLICY": "active", "OMP_PLACES": "cores"}
    if case in RANKS:
        return ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2", program, case], \
            {**env, "OMP_NUM_THREADS": "1", "OMP_PROC_BIND": "false", "OMP_WAIT_POLICY": "passive"}
    return [program, case], {**env, "OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "spread"}


def peer_commands(case, threads, allocator):
    """(command, environment) of every peer of a case."""
    env = {"OMP_NUM_THREADS": "1" if case in RANKS else str(threads), "GLIBC_TUNABLES": ALLOCATORS[allocator],
           "OMP_WAIT_POLICY": "passive" if case in RANKS else "active", "JAX_PLATFORMS": "cpu",
           "CUDA_VISIBLE_DEVICES": ""}
    python = lambda script, *rest: ([sys.executable, str(FOLDER / script), case, *rest], env)
    if case in RANKS:
        return [python("torch_ranks.py")]
    forms = ["plain"] if case in TRUNKS else ["published", "folded"]
    return [command for form in forms for command in
            (python("torch_peer.py", form), python("torch_peer.py", form, "--compile"), python("jax_peer.py", form))]


TURN = 0.4  # seconds


class Program:
    def __init__(self, command, environment, cores):
        self.command = command
        self.allocator = environment.get("GLIBC_TUNABLES")
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env={**os.environ, **environment}, preexec_fn=lambda: os.sched_setaffinity(0, cores))
        self.seconds = []
        self.about = self.answer()

    def answer(self):
        """The next line of JSON; what else a program prints is passed over."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.process.wait()
        self.log.seek(0)
        status = f"compare.py: ended with {self.process.returncode}: {' '.join(self.command)}"
        raise SystemExit(f"{self.log.read()[-2000:]}\n{status}")

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()["seconds"]

    def turn(self):
        """A step; of short ones several, after one that finds the caches as others left them and does not count."""
        first = self.step()
        count = min(int(TURN / first), 10)
        self.seconds += [self.step() for _ in range(count)] or [first]

    def finish(self):
        """What is known of it, as JSON."""
        self.process.stdin.close()
        memory = self.answer()
        self.process.stdout.read()
        self.process.wait()
        return {**self.about, "allocator": self.allocator, **memory, "median_s": statistics.median(self.seconds),
                "seconds": self.seconds}

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def measure(commands, cores, turns, budget):
    """A row for each command: `turns` rounds at least, and up to 25 of them within `budget` seconds."""
    programs = []
    try:
        for command, environment in commands:
            programs.append(Program(command, environment, cores))
        start, rounds = time.monotonic(), 0
        while rounds < turns or (rounds < 25 and time.monotonic() - start < budget):
            for program in programs if rounds % 2 == 0 else programs[::-1]:
                program.turn()
            rounds += 1
        rows = [program.finish() for program in programs]
        if rows[0]["peer"] == "dchag":
            for row in rows:
                row["time_ratio"] = row["median_s"] / rows[0]["median_s"]
                row["memory_ratio"] = memory(row) / memory(rows[0])
        return rows
    finally:
        for program in programs:
            program.end()


def label(row):
    form = f", {row['form']}" if row.get("form") else ""
    return row["peer"] + form + (", as installed" if row.get("allocator") == "" else "")


def memory(row):
    return row["peak_bytes"] + row["held_bytes"]


def table(case, rows):
    """Lines; ratios are to the library in the same run."""
    lines = [case, f"  {'':36s} {'median':>10s} {'ratio':>7s} {'memory':>10s} {'ratio':>7s} {'resident':>10s} "
             f"{'ready':>8s} {'steps':>6s}"]
    for row in rows:
        ratio = lambda name: f"{row[name]:6.2f}x" if name in row else ""
        lines.append(f"  {label(row):36s} {1e3 * row['median_s']:7.1f} ms {ratio('time_ratio'):>7s} "
                     f"{memory(row) / 2**20:6.0f} MiB {ratio('memory_ratio'):>7s} "
                     f"{row['peak_resident_bytes'] / 2**20:6.0f} MiB {row['ready_s']:6.1f} s {len(row['seconds']):6d}")
    return lines


def plot(results, path):
    """Bars of the peers' times and memory, in the library's, of the cases that have peers."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    peers = {case: [row for row in rows if row["peer"] != "dchag" and "time_ratio" in row]
             for case, rows in results.items()}
    peers = {case: rows for case, rows in peers.items() if rows}
    names = list(dict.fromkeys(label(row) for rows in peers.values() for row in rows))
    figure, axes = pyplot.subplots(2, 1, figsize=(11, 8), sharex=True, layout="constrained")
    for axis, ratio, title in zip(axes, ("time_ratio", "memory_ratio"), ("time of a step", "memory")):
        for at, rows in enumerate(peers.values()):
            width = 0.9 / len(rows)
            for i, row in enumerate(rows):
                axis.bar(at - 0.45 + width * (i + 0.5), row[ratio], width, color=f"C{names.index(label(row))}")
        axis.axhline(1, color="black", linewidth=1)
        axis.set_yscale("log", base=2)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_ylabel(f"{title}, that of dchag = 1")
    axes[0].legend(handles=[pyplot.Rectangle((0, 0), 1, 1, color=f"C{i}", label=name) for i, name in enumerate(names)],
                   ncols=3, fontsize="small")
    axes[1].set_xticks(range(len(peers)), list(peers), rotation=20, ha="right")
    figure.savefig(path, dpi=110)


def machine():
    names = re.findall(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return names[0] if names else os.uname().machine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--own", help="the library's program, benchmark_cases; without it there are no ratios")
    parser.add_argument("--peers", action="store_true", help="time the peers too, under this Python")
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="NAME", choices=CASES,
                        help=f"of: {' '.join(CASES)}")
    parser.add_argument("--only", default="", metavar="REGEX", help="peers whose command matches")
    parser.add_argument("--allocator", nargs="+", choices=ALLOCATORS, default=["keeping"],
                        help="glibc's of the peers: keeping (freed blocks stay with the process), as installed, or both")
    parser.add_argument("--threads", type=int, default=2, help="of every program; cases of two ranks have one a rank")
    parser.add_argument("--turns", type=int, default=5, help="rounds at least")
    parser.add_argument("--seconds", type=float, default=15, help="more rounds, up to 25, while within this time")
    parser.add_argument("--json", type=pathlib.Path, help="file to write; what it has and is not timed again is kept")
    parser.add_argument("--plot", type=pathlib.Path, help="picture to write, of all cases in the JSON file")
    options = parser.parse_args()
    cores = set(sorted(os.sched_getaffinity(0))[:options.threads])
    results = {}
    if options.json and options.json.exists():
        results = json.loads(options.json.read_text())["cases"]
    print(f"{machine()}, {options.threads} threads; medians of {options.turns} rounds at least")
    if options.peers:
        print("peers: allocator of glibc", " or ".join(
            f"with {ALLOCATORS[name]}" if ALLOCATORS[name] else "as installed" for name in options.allocator))
    print("memory: parameters, gradients, moments, batch, the most that a step allocates; resident: of the process;\n"
          "ready: seconds from start to the end of the first step, with compilation unless PyTorch kept it from before",
          flush=True)
    for case in options.cases:
        commands = [own_command(options.own, case, options.threads)] if options.own else []
        if options.peers:
            commands += [c for name in options.allocator for c in peer_commands(case, options.threads, name)
                         if re.search(options.only, " ".join(c[0]))]
        rows = measure(commands, cores, options.turns, options.seconds)
        print("\n" + "\n".join(table(case, rows)), flush=True)
        timed = {label(row) for row in rows}
        results[case] = rows + [row for row in results.get(case, []) if label(row) not in timed]
        if options.json:
            ordered = {name: results[name] for name in CASES if name in results}
            written = {"machine": machine(), "threads": options.threads, "cases": ordered}
            options.json.write_text(json.dumps(written, indent=1))
    if options.plot:
        plot({case: results[case] for case in CASES if case in results}, options.plot)


if __name__ == "__main__":
    main()
