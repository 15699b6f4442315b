"""D-CHAG and plain tensor parallelism as published (arXiv 2506.21411), on two ranks of one thread: a training step.

    torch_ranks.py CASE [--check]     CASE: dchag_linear_2, dchag_cross_2 or flat_2; starts its second rank itself

A rank tokenizes its own channels and reduces them to one token by a Linear or a CrossAttention; one all-gather; then a
cross-attention and a transformer whose heads and hidden features are divided. `flat_2`: every rank tokenizes all
channels. --check compares loss and gradients with those of one process.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import torch
import torch.distributed as dist
import torch.nn.functional as F

import common
import torch_model
from torch_peer import allocated_peak

RANKS = 2


class Share(torch.autograd.Function):
    """What all ranks hold, for parts of the work: the parts' gradients are summed."""

    @staticmethod
    def forward(context, x):
        return x.view_as(x)

    @staticmethod
    def backward(context, gradient):
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient


class Sum(torch.autograd.Function):
    """The sum of the ranks' parts; its gradient is every part's."""

    @staticmethod
    def forward(context, x):
        x = x.contiguous()
        dist.all_reduce(x)
        context.mark_dirty(x)
        return x

    @staticmethod
    def backward(context, gradient):
        return gradient


class Gather(torch.autograd.Function):
    """[N, D] -> [ranks, N, D]; every rank has the whole gradient, and keeps its own part."""

    @staticmethod
    def forward(context, x):
        all_ranks = x.new_empty(RANKS * x.shape[0], x.shape[1])
        dist.all_gather_into_tensor(all_ranks, x.contiguous())
        return all_ranks.view(RANKS, *x.shape)

    @staticmethod
    def backward(context, gradient):
        return gradient[dist.get_rank()]


def attend(tokens, param, heads, prefix):
    """[n, N, D] -> [N, D], this rank's heads of a cross-attention, summed over the ranks."""
    count, rows, dim = tokens.shape
    own, d = heads // RANKS, dim // heads
    tokens = Share.apply(tokens)
    weight, bias = param[prefix + "in_proj_weight"], param[prefix + "in_proj_bias"]
    width = own * d
    query = F.linear(Share.apply(param[prefix + "query"]), weight[:width], bias[:width]).view(1, own, 1, d)
    both = F.linear(tokens, weight[width:], bias[width:]).view(count, rows, 2, own, d).permute(2, 1, 3, 0, 4)
    z = F.scaled_dot_product_attention(query.expand(rows, -1, -1, -1), both[0], both[1]).reshape(rows, width)
    return Sum.apply(F.linear(z, param[prefix + "out_proj.weight"])) + param[prefix + "out_proj.bias"]


def block(x, param, at, heads):
    b, length, dim = x.shape
    own, d = heads // RANKS, dim // heads
    y = Share.apply(F.layer_norm(x, (dim,), param[at + "norm1.weight"], param[at + "norm1.bias"]))
    qkv = F.linear(y, param[at + "attn.qkv.weight"], param[at + "attn.qkv.bias"])
    q, k, v = qkv.view(b, length, 3, own, d).permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, length, own * d)
    x = x + Sum.apply(F.linear(y, param[at + "attn.proj.weight"])) + param[at + "attn.proj.bias"]
    y = Share.apply(F.layer_norm(x, (dim,), param[at + "norm2.weight"], param[at + "norm2.bias"]))
    y = F.gelu(F.linear(y, param[at + "mlp.fc1.weight"], param[at + "mlp.fc1.bias"]))
    return x + Sum.apply(F.linear(y, param[at + "mlp.fc2.weight"])) + param[at + "mlp.fc2.bias"]


def encode(x, param, cfg):
    for i in range(cfg["depth"]):
        x = block(x, param, f"blocks.{i}.", cfg["heads"])
    return F.layer_norm(x, (cfg["embed"],), param["norm.weight"], param["norm.bias"])


def front_end(cfg):
    """The front end of a rank, of its own channels' patches."""
    prefix = f"aggregator.0.{dist.get_rank()}."

    def tree(x, param, heads):
        tokens = torch_model.tokenize(x, param)
        if cfg["unit"] is None:
            return attend(tokens, param, heads, "aggregator.0.0.")
        if cfg["unit"] == "linear":
            token = (param[prefix + "weight"] @ tokens.flatten(1)).view(tokens.shape[1:]) + param[prefix + "bias"]
        else:
            token = torch_model.attend(tokens, param, heads, prefix)
        return attend(Gather.apply(token), param, heads, "aggregator.1.0.")
    return tree


def whole_parameters(cfg):
    """Of one process, as common.random_parameters, with the units of the tree."""
    param, unit, dim = common.random_parameters(cfg), cfg["unit"], cfg["embed"]
    if unit:
        flat = {name[len("aggregator.0.0."):]: value for name, value in param.items() if name.startswith("aggregator")}
        for name, value in flat.items():
            del param["aggregator.0.0." + name]
            param["aggregator.1.0." + name] = value
            for rank in range(RANKS if unit == "cross_attention" else 0):
                param[f"aggregator.0.{rank}.{name}"] = value[::-1].copy() / (1 + rank)
        channels = cfg["channels"] // RANKS
        for rank in range(RANKS if unit == "linear" else 0):
            param[f"aggregator.0.{rank}.weight"] = param["channel_embed"][:1, :channels] / (1 + rank)
            param[f"aggregator.0.{rank}.bias"] = param["channel_embed"][0, :1]
    return {name: torch.from_numpy(value) for name, value in param.items()}


def own_part(name, value, cfg, rank):
    """A rank's part of a parameter; None where it has none."""
    if name.startswith(("tokenizer.", "channel_embed")):
        return value.chunk(RANKS)[rank] if cfg["unit"] else value
    last = "aggregator.1.0." if cfg["unit"] else "aggregator.0.0."
    if name.startswith("aggregator") and not name.startswith(last):
        return value if name.startswith(f"aggregator.0.{rank}.") else None
    if "in_proj" in name or "qkv" in name:
        return value.view(3, RANKS, -1, *value.shape[1:])[:, rank].flatten(0, 1)
    if "fc1" in name:
        return value.chunk(RANKS)[rank]
    if name.endswith(("out_proj.weight", "attn.proj.weight", "fc2.weight")):
        return value.chunk(RANKS, 1)[rank]
    return value


class Run:
    """As torch_peer.Run; all ranks call step() and what has to do with the largest of them."""

    def __init__(self, cfg):
        rank = dist.get_rank()
        parts = {name: own_part(name, value, cfg, rank) for name, value in whole_parameters(cfg).items()}
        self.param = {name: part.clone().requires_grad_() for name, part in parts.items() if part is not None}
        self.inputs = {name: torch.from_numpy(value) for name, value in common.step_inputs(cfg).items()}
        if cfg["unit"]:
            self.inputs["x"] = self.inputs["x"].chunk(RANKS, 1)[rank].clone()
        torch_model.FORMS["tree"] = front_end(cfg)
        self.loss = lambda: torch_model.forecast(self.inputs, self.param, cfg, "tree", encode)
        self.optimizer = torch.optim.AdamW(self.param.values(), lr=1e-3, weight_decay=0.01, fused=True)

    def step(self):
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def more(self, read):
        """Whether rank 0 read another line; the other sleeps meanwhile."""
        more = torch.tensor(int(read()) if dist.get_rank() == 0 else 0)
        dist.broadcast(more, 0)
        return bool(more.item())

    def most(self, value):
        value = torch.tensor(value)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return value.item()

    def held_bytes(self):
        moments = [value for state in self.optimizer.state.values() for value in state.values()]
        param = list(self.param.values())
        return self.most(sum(t.nbytes for t in [*param, *(value.grad for value in param), *moments]))

    def peak_bytes(self):
        gradients = sum(value.grad.nbytes for value in self.param.values())
        return self.most(allocated_peak(self.step) - gradients + sum(t.nbytes for t in self.inputs.values()))

    def about(self):
        return f"torch {torch.__version__}, gloo, {RANKS} ranks of {torch.get_num_threads()} thread"


def one_process(cfg):
    """Loss and parameters with gradients of the same model without ranks."""
    param = {name: value.requires_grad_() for name, value in whole_parameters(cfg).items()}
    inputs = {name: torch.from_numpy(value) for name, value in common.step_inputs(cfg).items()}

    def tree(x, param, heads):
        tokens = torch_model.tokenize(x, param)
        if cfg["unit"] is None:
            return torch_model.attend(tokens, param, heads, "aggregator.0.0.")
        reduced = []
        for rank, part in enumerate(tokens.chunk(RANKS)):
            prefix = f"aggregator.0.{rank}."
            if cfg["unit"] == "linear":
                reduced.append(torch.einsum("cnd,c->nd", part, param[prefix + "weight"][0]) + param[prefix + "bias"])
            else:
                reduced.append(torch_model.attend(part, param, heads, prefix))
        return torch_model.attend(torch.stack(reduced), param, heads, "aggregator.1.0.")
    torch_model.FORMS["tree"] = tree
    loss = torch_model.forecast(inputs, param, cfg, "tree")
    loss.backward()
    return loss.item(), param


def check(cfg, run):
    """The worst relative error on this rank, of the loss or a gradient."""
    loss = run.loss()
    loss.backward()
    expected, param = one_process(cfg)
    errors = {"loss": abs(loss.item() / expected - 1)}
    for name, value in run.param.items():
        want = own_part(name, param[name].grad, cfg, dist.get_rank())
        errors[name] = ((value.grad - want).abs().max() / want.abs().max().clamp(min=1e-6)).item()
    return max(errors.items(), key=lambda item: item[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=[name for name, cfg in common.CASES.items() if "unit" in cfg])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--join", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cfg, rank = common.CASES[options.case], 1 if options.join else 0
    other = None
    if rank == 0:
        folder = tempfile.TemporaryDirectory()
        options.join = os.path.join(folder.name, "join")
        other = subprocess.Popen([sys.executable, *sys.argv, "--join", options.join], stdin=subprocess.DEVNULL)
    dist.init_process_group("gloo", init_method="file://" + options.join, rank=rank, world_size=RANKS)
    failed = False
    if options.check:
        name, error = check(cfg, Run(cfg))
        failed = not error < 1e-3
        print(f"{options.case:36s} rank {rank} {error:.1e} {name}", flush=True)
    else:
        common.serve("PyTorch, gloo", options.case, "published", Run(cfg), speaks=rank == 0)
    dist.barrier()
    dist.destroy_process_group()
    sys.exit(1 if failed or (other and other.wait()) else 0)


if __name__ == "__main__":
    main()
