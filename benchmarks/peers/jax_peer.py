"""One case in JAX, compiled by jit:  jax_peer.py CASE FORM    FORM: published, folded or plain (nothing to fold)."""
import argparse
import os

import jax
import jax.numpy as jnp

import common
import jax_model


def adamw(param, gradient, state, rate=1e-3, decay=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Loshchilov and Hutter, arXiv 1711.05101."""
    count, first, second = state
    count = count + 1
    first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, gradient)
    scale1, scale2 = 1 / (1 - beta1**count), 1 / (1 - beta2**count)
    update = lambda p, m, v: p - rate * (m * scale1 / (jnp.sqrt(v * scale2) + epsilon) + decay * p)
    return jax.tree.map(update, param, first, second), (count, first, second)


class Run(common.OneProcess):
    """Steps on one batch: forward, backward, then AdamW where the task has a loss; what a step replaces is donated."""

    def __init__(self, cfg, form):
        inputs, param = common.step_inputs(cfg), common.random_parameters(cfg)
        task = jax_model.TASKS[cfg["task"]]
        self.upstream = inputs.pop("upstream", None)
        if self.upstream is None:
            zeros = {name: jnp.zeros_like(value) for name, value in param.items()}
            state = jnp.float32(0), zeros, jax.tree.map(jnp.copy, zeros)
            self.kept = jax.device_put((param, state))

            def step(kept, inputs):
                gradient = jax.grad(lambda param: task(inputs, param, cfg, form))(kept[0])
                return adamw(kept[0], gradient, kept[1])
            self.inputs, donated = jax.device_put(inputs), 0
        else:
            self.kept = jax.device_put(param)
            self.gradient = None

            def step(param, inputs):
                x, upstream = inputs
                if cfg["task"] == "trunk":
                    _, pull = jax.vjp(lambda param, x: task({**x}, param, cfg, form), param, x)
                else:
                    _, pull = jax.vjp(lambda param: task(x, param, cfg, form), param)
                return pull(upstream)
            self.inputs, donated = jax.device_put((inputs, self.upstream)), ()
        self.run = jax.jit(step, donate_argnums=donated).lower(self.kept, self.inputs).compile()

    def step(self):
        if self.upstream is None:
            self.kept = jax.block_until_ready(self.run(self.kept, self.inputs))
        else:
            self.gradient = None
            self.gradient = jax.block_until_ready(self.run(self.kept, self.inputs))

    def held_bytes(self):
        """Parameters and moments, and gradients as large as parameters."""
        param = self.kept[0] if self.upstream is None else self.kept
        size = sum(value.nbytes for value in param.values())
        return 4 * size if self.upstream is None else 2 * size

    def peak_bytes(self):
        """Beyond held_bytes(), as XLA's buffer assignment has it."""
        memory = self.run.memory_analysis()
        new = memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        param = self.kept[0] if self.upstream is None else self.kept
        gradients = sum(value.nbytes for value in param.values())
        return max(new - gradients, 0) + sum(value.nbytes for value in jax.tree.leaves(self.inputs))

    def about(self):
        return f"jax {jax.__version__}, {len(os.sched_getaffinity(0))} cores"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=common.CASES)
    parser.add_argument("form", choices=["published", "folded", "plain"])
    options = parser.parse_args()
    cfg = common.CASES[options.case]
    common.serve("JAX", options.case, options.form, Run(cfg, cfg.get("front_end", options.form)))


if __name__ == "__main__":
    main()
