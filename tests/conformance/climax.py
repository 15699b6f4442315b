#!/usr/bin/env python3
"""Writes goldens/climax_f64.safetensors, a tiny checkpoint of random weights in the names and layout of ClimaX (Nguyen
et al., arXiv 2301.10343), and goldens/climax_answers_f64.safetensors, what a PyTorch model of that layout makes of it.

    python3 climax.py

The answers' metadata `variables` (JSON) names the variables of the checkpoint, in its order; `channels` and
`out_channels` those of input.some and output.some. Tensors: input.all [B, V, H, W] and output.all, of all variables in
that order; input.some and output.some, of some of them in another; lead_time [B]. Needs torch; the files were written
with torch 1.13.0 on a CPU.
"""
import json
import math
import os
import struct

import torch
from torch import nn

VARIABLES = ["land_sea_mask", "2m_temperature", "geopotential_500", "u_component_of_wind_850", "temperature_850"]
CHANNELS = ["temperature_850", "land_sea_mask", "u_component_of_wind_850", "2m_temperature"]
OUT_CHANNELS = ["geopotential_500", "2m_temperature"]
HEIGHT, WIDTH, PATCH, EMBED, HEADS, DEPTH, DECODER_DEPTH, MLP_RATIO, BATCH = 6, 8, 2, 16, 4, 2, 2, 2.0, 2


class PatchEmbedding(nn.Module):
    """One variable [B, 1, H, W] to tokens [B, L, D]."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Conv2d(1, EMBED, PATCH, stride=PATCH)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with queries, keys and values of all heads from one linear layer."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(EMBED, 3 * EMBED), nn.Linear(EMBED, EMBED)

    def forward(self, x):
        b, length, dim = x.shape
        q, k, v = self.qkv(x).reshape(b, length, 3, HEADS, dim // HEADS).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(dim // HEADS), dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, length, dim))


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        hidden = int(MLP_RATIO * EMBED)
        self.fc1, self.act, self.fc2 = nn.Linear(EMBED, hidden), nn.GELU(), nn.Linear(hidden, EMBED)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(EMBED), Attention()
        self.norm2, self.mlp = nn.LayerNorm(EMBED), Perceptron()

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Forecast(nn.Module):
    """The layout of a ClimaX model; every variable that it knows is forecast."""

    def __init__(self):
        super().__init__()
        count, locations = len(VARIABLES), HEIGHT // PATCH * (WIDTH // PATCH)
        self.token_embeds = nn.ModuleList([PatchEmbedding() for _ in VARIABLES])
        self.var_embed = nn.Parameter(torch.zeros(1, count, EMBED))
        self.var_query = nn.Parameter(torch.zeros(1, 1, EMBED))
        self.var_agg = nn.MultiheadAttention(EMBED, HEADS, batch_first=True)
        self.pos_embed = nn.Parameter(torch.zeros(1, locations, EMBED))
        self.lead_time_embed = nn.Linear(1, EMBED)
        self.blocks = nn.ModuleList([Block() for _ in range(DEPTH)])
        self.norm = nn.LayerNorm(EMBED)
        head = [layer for _ in range(DECODER_DEPTH) for layer in (nn.Linear(EMBED, EMBED), nn.GELU())]
        self.head = nn.Sequential(*head, nn.Linear(EMBED, count * PATCH * PATCH))

    def forward(self, x, lead_time, variables, out_variables):
        numbers = [VARIABLES.index(name) for name in variables]
        tokens = torch.stack([self.token_embeds[v](x[:, c:c + 1]) for c, v in enumerate(numbers)], dim=2)  # B, L, V, D
        tokens = tokens + self.var_embed[:, numbers]
        b, locations = tokens.shape[:2]
        rows = tokens.flatten(0, 1)
        x, _ = self.var_agg(self.var_query.expand(len(rows), 1, EMBED), rows, rows)
        x = x.reshape(b, locations, EMBED) + self.pos_embed + self.lead_time_embed(lead_time[:, None])[:, None]
        for block in self.blocks:
            x = block(x)
        x = self.head(self.norm(x)).reshape(b, HEIGHT // PATCH, WIDTH // PATCH, PATCH, PATCH, len(VARIABLES))
        x = x.permute(0, 5, 1, 3, 2, 4).reshape(b, len(VARIABLES), HEIGHT, WIDTH)
        return x[:, [VARIABLES.index(name) for name in out_variables]]


def random_weights(model):
    """Values that exercise every term: no bias is zero and no gain is one."""
    for name, value in model.named_parameters():
        nn.init.normal_(value, std=1 / math.sqrt(value.shape[-1]) if value.dim() == 2 else 0.3)
        if "norm" in name and name.endswith("weight"):
            value.data += 1


def save(path, tensors, metadata):
    header, offset, blobs = {"__metadata__": metadata}, 0, []
    for name, tensor in tensors.items():
        blob = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F64", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def main():
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    model = Forecast()
    random_weights(model)
    everything, lead_time = torch.randn(BATCH, len(VARIABLES), HEIGHT, WIDTH), torch.rand(BATCH)
    some = torch.randn(BATCH, len(CHANNELS), HEIGHT, WIDTH)
    answers = {"input.all": everything, "output.all": model(everything, lead_time, VARIABLES, VARIABLES),
               "input.some": some, "output.some": model(some, lead_time, CHANNELS, OUT_CHANNELS),
               "lead_time": lead_time}
    goldens = os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens")
    save(os.path.join(goldens, "climax_f64.safetensors"), model.state_dict(), {"format": "pt"})
    save(os.path.join(goldens, "climax_answers_f64.safetensors"), answers,
         {"variables": json.dumps(VARIABLES), "channels": json.dumps(CHANNELS),
          "out_channels": json.dumps(OUT_CHANNELS)})


if __name__ == "__main__":
    main()
