"""One case in PyTorch:  torch_peer.py CASE FORM [--compile]    FORM: published, folded or plain (nothing to fold)."""
import argparse
import os

import torch

import common
import torch_model


def allocated_peak(step):
    """The most bytes that tensors allocated in a step take at once, of those that were not there before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


class Run(common.OneProcess):
    """Steps on one batch: forward and backward, then AdamW where the task has a loss."""

    def __init__(self, cfg, form, compile=False):
        self.param = {name: torch.from_numpy(value).requires_grad_()
                      for name, value in common.random_parameters(cfg).items()}
        self.inputs = {name: torch.from_numpy(value) for name, value in common.step_inputs(cfg).items()}
        self.wanted = list(self.param.values())
        if cfg["task"] == "trunk":
            self.wanted.append(self.inputs["x"].requires_grad_())
        self.optimizer = None
        if "upstream" not in self.inputs:
            self.optimizer = torch.optim.AdamW(self.wanted, lr=1e-3, weight_decay=0.01, fused=True)
        task = torch_model.TASKS[cfg["task"]]
        forward = lambda inputs, param: task(inputs, param, cfg, form)
        self.forward = torch.compile(forward) if compile else forward

    def step(self):
        for value in self.wanted:
            value.grad = None
        out = self.forward(self.inputs, self.param)
        out.backward(self.inputs.get("upstream"))
        if self.optimizer:
            self.optimizer.step()

    def held_bytes(self):
        states = self.optimizer.state.values() if self.optimizer else []
        moments = [value for state in states for value in state.values()]
        return sum(t.nbytes for t in [*self.wanted, *(value.grad for value in self.wanted), *moments])

    def peak_bytes(self):
        """Beyond held_bytes(), where gradients are, though a step frees them first and makes them anew."""
        gradients = sum(value.grad.nbytes for value in self.wanted)
        return allocated_peak(self.step) - gradients + sum(t.nbytes for t in self.inputs.values())

    def about(self):
        return f"torch {torch.__version__}, {torch.get_num_threads()} threads"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=common.CASES)
    parser.add_argument("form", choices=["published", "folded", "plain"])
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    cfg = common.CASES[options.case]
    form = cfg.get("front_end", options.form)
    peer = "PyTorch, torch.compile" if options.compile else "PyTorch"
    common.serve(peer, options.case, options.form, Run(cfg, form, options.compile))


if __name__ == "__main__":
    main()
