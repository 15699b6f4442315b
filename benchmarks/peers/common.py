"""What the peers share: the cases, their parameters and inputs by name, and the protocol of benchmarks/compare.py."""
import ctypes
import json
import os
import sys
import time

import numpy as np

_FRONT_END = {"task": "front_end"}
_FORECAST = {"task": "forecast", "batch": 1, "channels": 80, "out_channels": 3, "height": 32, "width": 64, "patch": 2,
             "embed": 512, "heads": 8, "depth": 8, "mlp_ratio": 4, "decoder_depth": 2}
_AUTOENCODER = {"task": "masked_autoencoder", "batch": 8, "channels": 200, "height": 144, "width": 144, "patch": 8,
                "embed": 256, "heads": 8, "depth": 6, "mlp_ratio": 4, "mask_ratio": 0.75,
                "decoder": {"embed": 128, "heads": 8, "depth": 2, "mlp_ratio": 4}}
_RANKS = {**_FORECAST, "embed": 256, "depth": 2}

# A front end has one image whose locations are a row of patches. "unit": what ranks have below the last unit.
CASES = {
    "front_end_80x4": {**_FRONT_END, "rows": 512, "channels": 80, "patch": 2, "embed": 512, "heads": 8},
    "front_end_500x64": {**_FRONT_END, "rows": 256, "channels": 500, "patch": 8, "embed": 512, "heads": 8},
    "front_end_500x256": {**_FRONT_END, "rows": 64, "channels": 500, "patch": 16, "embed": 512, "heads": 8},
    "front_end_200x64": {**_FRONT_END, "rows": 324, "channels": 200, "patch": 8, "embed": 256, "heads": 8},
    "trunk": {"task": "trunk", "rows": 512, "embed": 512, "heads": 8, "depth": 8, "mlp_ratio": 4},
    "forecast": _FORECAST,
    "forecast_trunk": {**_FORECAST, "channels": 1, "front_end": "embedding"},
    "autoencoder_8": _AUTOENCODER,
    "autoencoder_1": {**_AUTOENCODER, "batch": 1},
    "dchag_linear_2": {**_RANKS, "unit": "linear"},
    "dchag_cross_2": {**_RANKS, "unit": "cross_attention"},
    "flat_2": {**_RANKS, "unit": None},
}


def locations(cfg):
    return cfg["height"] // cfg["patch"] * (cfg["width"] // cfg["patch"])


def attention_unit(prefix, dim):
    return {prefix + "query": (1, 1, dim), prefix + "in_proj_weight": (3 * dim, dim),
            prefix + "in_proj_bias": (3 * dim,), prefix + "out_proj.weight": (dim, dim),
            prefix + "out_proj.bias": (dim,)}


def block_shapes(prefix, c):
    d, hidden, shapes = c["embed"], int(c["embed"] * c["mlp_ratio"]), {}
    for at in (f"{prefix}blocks.{i}." for i in range(c["depth"])):
        for norm in ("norm1", "norm2"):
            shapes.update({at + norm + ".weight": (d,), at + norm + ".bias": (d,)})
        shapes.update({at + "attn.qkv.weight": (3 * d, d), at + "attn.qkv.bias": (3 * d,),
                       at + "attn.proj.weight": (d, d), at + "attn.proj.bias": (d,),
                       at + "mlp.fc1.weight": (hidden, d), at + "mlp.fc1.bias": (hidden,),
                       at + "mlp.fc2.weight": (d, hidden), at + "mlp.fc2.bias": (d,)})
    return {**shapes, prefix + "norm.weight": (d,), prefix + "norm.bias": (d,)}


def parameter_shapes(cfg):
    """Name -> shape of every parameter, as in the library's checkpoints; but tokenizer.weight is [C, P, D]."""
    task = cfg["task"]
    if task == "trunk":
        return block_shapes("", cfg)
    dim, pixels, channels = cfg["embed"], cfg["patch"] ** 2, cfg["channels"]
    shapes = {"tokenizer.weight": (channels, pixels, dim), "tokenizer.bias": (channels, dim)}
    if cfg.get("front_end") != "embedding":
        shapes.update({"channel_embed": (channels, dim), **attention_unit("aggregator.0.0.", dim)})
    if task == "front_end":
        return shapes
    shapes.update({"pos_embed": (1, locations(cfg), dim), **block_shapes("", cfg)})
    if task == "forecast":
        shapes.update({"lead_time_embed.weight": (dim, 1), "lead_time_embed.bias": (dim,)})
        sizes = [dim] * (cfg["decoder_depth"] + 1) + [cfg["out_channels"] * pixels]
        for i, (columns, rows) in enumerate(zip(sizes, sizes[1:])):
            shapes.update({f"head.{2 * i}.weight": (rows, columns), f"head.{2 * i}.bias": (rows,)})
        return shapes
    dec, out = cfg["decoder"], channels * pixels
    return {**shapes, "decoder_embed.weight": (dec["embed"], dim), "decoder_embed.bias": (dec["embed"],),
            "mask_token": (1, 1, dec["embed"]), "decoder.pos_embed": (1, locations(cfg), dec["embed"]),
            **block_shapes("decoder.", dec), "decoder_pred.weight": (out, dec["embed"]), "decoder_pred.bias": (out,)}


def random_parameters(cfg, seed=0):
    """Name -> float32 array; no bias is zero and no gain is one."""
    draw, parameters = np.random.default_rng(seed), {}
    for name, shape in parameter_shapes(cfg).items():
        if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
            scale, offset = 0.1, 1
        elif name == "tokenizer.weight":
            scale, offset = shape[1] ** -0.5, 0
        elif name.endswith("weight"):
            scale, offset = shape[-1] ** -0.5, 0
        else:
            scale, offset = 0.3, 0
        parameters[name] = scale * draw.standard_normal(shape, np.float32) + np.float32(offset)
    return parameters


def random_inputs(cfg, seed=1):
    """Name -> array: a batch."""
    draw = np.random.default_rng(seed)
    normal = lambda *shape: draw.standard_normal(shape, np.float32)
    if cfg["task"] == "trunk":
        return {"x": normal(1, cfg["rows"], cfg["embed"]), "upstream": normal(1, cfg["rows"], cfg["embed"])}
    if cfg["task"] == "front_end":
        return {"x": normal(1, cfg["channels"], cfg["patch"], cfg["rows"] * cfg["patch"]),
                "upstream": normal(cfg["rows"], cfg["embed"])}
    batch, plane = cfg["batch"], (cfg["height"], cfg["width"])
    inputs = {"x": normal(batch, cfg["channels"], *plane)}
    if cfg["task"] == "forecast":
        return {**inputs, "target": normal(batch, cfg["out_channels"], *plane), "lead_time": normal(batch)}
    kept = locations(cfg) - int(cfg["mask_ratio"] * locations(cfg))
    orders = np.stack([draw.permutation(locations(cfg)) for _ in range(batch)])
    return {**inputs, "keep": orders[:, :kept]}


def hidden_locations(cfg, keep):
    """[B, L - kept]: the locations that are not in keep [B, kept], ascending."""
    every = np.arange(locations(cfg))
    return np.stack([np.setdiff1d(every, row) for row in keep])


def latitude_weights(height):
    """cos(latitude) of the row centres of a global grid, divided by their mean."""
    weights = np.cos(np.deg2rad(-90 + (np.arange(height) + 0.5) * 180 / height))
    return (weights / weights.mean()).astype(np.float32)


def with_constants(inputs, cfg):
    """Adds what follows from a batch and is the same in every step."""
    if cfg["task"] == "forecast":
        inputs["weights"] = latitude_weights(cfg["height"])
    elif cfg["task"] == "masked_autoencoder":
        inputs["hidden"] = hidden_locations(cfg, inputs["keep"])
    return inputs


def step_inputs(cfg):
    return with_constants(random_inputs(cfg), cfg)


def orders_cost(rows, channels, pixels, dim, heads):
    """Multiply-adds a step of the two folded orders, forward: {"patch": ..., "token": ...}.

    "patch": no token is formed, keys and values are projections of patches. "token": scores are, values are not.
    """
    scores = rows * channels * pixels * heads + channels * pixels * dim * heads
    return {"patch": scores + rows * channels * (pixels + 1) * dim + channels * (pixels + 1) * dim * dim,
            "token": scores + rows * channels * (pixels + heads) * dim + rows * dim * dim}


def cheapest_order(*sizes):
    cost = orders_cost(*sizes)
    return min(cost, key=cost.get)


def seconds_of_process():
    """Since the system started this process, imports included."""
    with open("/proc/self/stat") as file:
        ticks = float(file.read().rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def peak_resident_bytes():
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def pause_threads():
    """Gives back OpenMP threads that would spin for work between steps; the next parallel region starts new ones."""
    with open("/proc/self/maps") as file:
        libraries = {line.split()[-1] for line in file if "libgomp" in line}
    for library in libraries:
        ctypes.CDLL(library).omp_pause_resource_all(1)


class OneProcess:
    """How a run of one process answers where ranks would agree: see torch_ranks.py."""

    def more(self, read):
        return read()

    def most(self, value):
        return value


def serve(peer, case, form, run, speaks=True):
    """Steps of `run`, one for each line of standard input; see benchmarks/compare.py. `run` has step(), held_bytes(),
    peak_bytes(), about(), what the output says of threads and the like, and the functions of OneProcess."""
    def say(**fields):
        if speaks:
            print(json.dumps(fields), flush=True)

    run.step()
    ready = run.most(seconds_of_process())
    run.step()
    pause_threads()
    say(peer=peer, case=case, form=form, ready_s=round(ready, 3), about=run.about())
    while run.more(lambda: bool(sys.stdin.readline())):
        start = time.perf_counter()
        run.step()
        seconds = time.perf_counter() - start
        pause_threads()
        say(seconds=run.most(seconds))
    resident = run.most(peak_resident_bytes())
    say(peak_bytes=run.peak_bytes(), held_bytes=run.held_bytes(), peak_resident_bytes=resident)
