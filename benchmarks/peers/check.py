"""Do the peers compute what the library does?  check.py GOLDENS     Exits with 1 where they do not.

Losses and gradients of the published form and of both folded orders, in PyTorch (eager; compiled for the files in
single precision) and JAX, against golden files of the library's tests. The worst relative error of a tensor has to be
below 1e-3.
"""
import json
import pathlib
import struct
import sys

import jax
import numpy as np
import torch

import common
import jax_model
import torch_model

GOLDENS = ["mae_flat_p4_f32", "mae_flat_p2_f64", "forecast_flat_p2_f32", "forecast_flat_many_channels_p1_f64"]


def load(path):
    """Tensors of a safetensors file, as float32 or int64, and its configuration."""
    data = path.read_bytes()
    size, = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    cfg = json.loads(header.pop("__metadata__")["dchag.config"])
    types, tensors = {"F32": np.float32, "F64": np.float64, "I64": np.int64}, {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        value = np.frombuffer(body[begin:end], types[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = value.astype(np.int64 if entry["dtype"] == "I64" else np.float32)
    return tensors, cfg


def relative(got, expected):
    scale = np.abs(expected).max()
    return float(np.abs(got - expected).max() / (scale if scale > 1e-6 else 1))


def transposed(name, value):
    return value.swapaxes(1, 2) if name == "tokenizer.weight" else value


def of_torch(inputs, param, cfg, form, compiled=False):
    inputs = {name: torch.from_numpy(value) for name, value in inputs.items()}
    param = {name: torch.from_numpy(value.copy()).requires_grad_() for name, value in param.items()}
    forward = torch.compile(torch_model.TASKS[cfg["task"]]) if compiled else torch_model.TASKS[cfg["task"]]
    loss = forward(inputs, param, cfg, form)
    loss.backward()
    return loss.item(), {name: value.grad.numpy() for name, value in param.items()}


def of_compiled_torch(*arguments):
    return of_torch(*arguments, compiled=True)


def of_jax(inputs, param, cfg, form):
    inputs = jax.device_put(inputs)
    loss = lambda param: jax_model.TASKS[cfg["task"]](inputs, param, cfg, form)
    loss, gradients = jax.jit(jax.value_and_grad(loss))(param)
    return float(loss), {name: np.asarray(value) for name, value in gradients.items()}


PEERS = {"PyTorch": of_torch, "torch.compile": of_compiled_torch, "JAX": of_jax}


def worst_error(loss, gradients, tensors):
    errors = {"loss": relative(np.float32(loss), tensors["output.loss"])}
    for name, value in gradients.items():
        errors[name] = relative(value, transposed(name, tensors["grad." + name]))
    return max(errors.items(), key=lambda item: item[1])


def main():
    failed = False
    for golden in GOLDENS:
        tensors, cfg = load(pathlib.Path(sys.argv[1]) / (golden + ".safetensors"))
        inputs = {name[6:]: value for name, value in tensors.items() if name.startswith("input.")}
        inputs = common.with_constants(inputs, cfg)
        param = {name: np.ascontiguousarray(transposed(name, tensors["param." + name]))
                 for name in common.parameter_shapes(cfg)}
        for form in ("published", "patch", "token"):
            for peer, of in PEERS.items():
                if of is of_compiled_torch and not golden.endswith("f32"):
                    continue
                name, error = worst_error(*of(inputs, param, cfg, form), tensors)
                failed |= not error < 1e-3
                print(f"{golden:36s} {form:10s} {peer:14s} {error:.1e} {name}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
