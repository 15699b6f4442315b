"""The models in PyTorch: functions of parameters by name. Rows are (image, location) pairs, N of them.

A front end is `published` (per-channel embedding, then multi-head attention of one learned query over the channels:
ClimaX, D-CHAG) or `folded` by hand: keys and values are never formed, since between a patch and its key or value there
is no nonlinearity, and since the query is the same for every row.
"""
import math
from functools import partial

import torch
import torch.nn.functional as F

from common import cheapest_order

UNIT = "aggregator.0.0."


def patches_of(image, p):
    """[B, C, H, W] -> [C, B L, p p]."""
    b, c, height, width = image.shape
    x = image.view(b, c, height // p, p, width // p, p).permute(1, 0, 2, 4, 3, 5)
    return x.reshape(c, b * (height // p) * (width // p), p * p)


def visible_patches(image, keep, p):
    """[B, C, H, W] and locations [B, kept] -> [C, B kept, p p]."""
    b, c, height, width = image.shape
    grid = image.view(b, c, height // p, p, width // p, p).permute(1, 0, 2, 4, 3, 5)
    at = torch.arange(b)[:, None]
    return grid[:, at, keep // (width // p), keep % (width // p)].reshape(c, keep.numel(), p * p)


def hidden_pixels(image, hidden, p):
    """[B, C, H, W] and locations [B, n] -> [B, n, p p C], the channel fastest."""
    b, c, height, width = image.shape
    grid = image.view(b, c, height // p, p, width // p, p).permute(0, 2, 4, 3, 5, 1)
    at = torch.arange(b)[:, None]
    return grid[at, hidden // (width // p), hidden % (width // p)].reshape(b, hidden.shape[1], p * p * c)


# ----------------------------------------------------------------------------------------------------- the front end
def tokenize(x, param):
    """[C, N, P] -> [C, N, D]."""
    beta = param["tokenizer.bias"] + param["channel_embed"]
    return torch.baddbmm(beta[:, None], x, param["tokenizer.weight"])


def attend(tokens, param, heads, prefix=UNIT):
    """[n, N, D] -> [N, D]: torch.nn.MultiheadAttention of one learned query; need_weights=False makes it fused."""
    _, rows, dim = tokens.shape
    query = param[prefix + "query"].expand(1, rows, dim)
    out, _ = F.multi_head_attention_forward(
        query, tokens, tokens, dim, heads, param[prefix + "in_proj_weight"], param[prefix + "in_proj_bias"], None, None,
        False, 0.0, param[prefix + "out_proj.weight"], param[prefix + "out_proj.bias"], need_weights=False)
    return out[0]


def published(x, param, heads):
    return attend(tokenize(x, param), param, heads)


def folded(x, param, heads, order=None):
    """The same function of x [C, N, P]; `order` as in common.orders_cost, the cheapest unless given."""
    channels, rows, pixels = x.shape
    dim = param["channel_embed"].shape[1]
    d = dim // heads
    weight, beta = param["tokenizer.weight"], param["tokenizer.bias"] + param["channel_embed"]
    wq, wk, wv = param[UNIT + "in_proj_weight"].chunk(3)
    bq, _, bv = param[UNIT + "in_proj_bias"].chunk(3)
    kappa = (wq @ param[UNIT + "query"].view(dim) + bq).view(heads, 1, d) / math.sqrt(d)
    u = torch.bmm(kappa, wk.view(heads, d, dim)).view(heads, dim)
    scores = torch.baddbmm((beta @ u.T)[:, None], x, F.linear(weight, u))  # [C, N, h]
    if (order or cheapest_order(rows, channels, pixels, dim, heads)) == "patch":
        ones = x.new_ones(rows, channels, 1)
        patches = torch.cat([x.transpose(0, 1), ones], 2)  # [N, C, P + 1]
        values = F.linear(torch.cat([weight, beta[:, None]], 1), wv)  # [C, P + 1, D]
        a = torch.softmax(scores.permute(2, 1, 0), -1)  # [h, N, C]
        weighted = (a[..., None] * patches).view(heads, rows, channels * (pixels + 1))
        z = torch.bmm(weighted, values.view(-1, heads, d).transpose(0, 1))  # [h, N, d]
    else:
        tokens = torch.baddbmm(beta[:, None], x, weight)  # [C, N, D]
        a = torch.softmax(scores.permute(1, 2, 0), -1)  # [N, h, C]
        pooled = torch.bmm(a, tokens.transpose(0, 1))  # [N, h, D]
        z = torch.bmm(pooled.transpose(0, 1), wv.view(heads, d, dim).transpose(1, 2))
    z = z.transpose(0, 1).reshape(rows, dim) + bv
    return F.linear(z, param[UNIT + "out_proj.weight"], param[UNIT + "out_proj.bias"])


def embedding(x, param, heads):
    """Of one channel: no aggregation."""
    return torch.addmm(param["tokenizer.bias"], x[0], param["tokenizer.weight"][0])


FORMS = {"published": published, "folded": folded, "embedding": embedding,
         "patch": partial(folded, order="patch"), "token": partial(folded, order="token")}


# --------------------------------------------------------------------------------------------------- the transformer
def block(x, param, at, heads):
    """Pre-norm: x + attention(norm1(x)), then x + mlp(norm2(x))."""
    b, length, dim = x.shape
    y = F.layer_norm(x, (dim,), param[at + "norm1.weight"], param[at + "norm1.bias"])
    qkv = F.linear(y, param[at + "attn.qkv.weight"], param[at + "attn.qkv.bias"])
    q, k, v = qkv.view(b, length, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, length, dim)
    x = x + F.linear(y, param[at + "attn.proj.weight"], param[at + "attn.proj.bias"])
    y = F.layer_norm(x, (dim,), param[at + "norm2.weight"], param[at + "norm2.bias"])
    y = F.gelu(F.linear(y, param[at + "mlp.fc1.weight"], param[at + "mlp.fc1.bias"]))
    return x + F.linear(y, param[at + "mlp.fc2.weight"], param[at + "mlp.fc2.bias"])


def encode(x, param, cfg, prefix=""):
    for i in range(cfg["depth"]):
        x = block(x, param, f"{prefix}blocks.{i}.", cfg["heads"])
    return F.layer_norm(x, (cfg["embed"],), param[prefix + "norm.weight"], param[prefix + "norm.bias"])


# ----------------------------------------------------------------------------------------------------------- the tasks
def front_end(inputs, param, cfg, form):
    return FORMS[form](patches_of(inputs["x"], cfg["patch"]), param, cfg["heads"])


def trunk(inputs, param, cfg, form):
    return encode(inputs["x"], param, cfg)


def forecast(inputs, param, cfg, form, encode=encode):
    """The latitude-weighted squared error."""
    b, p, dim = inputs["x"].shape[0], cfg["patch"], cfg["embed"]
    x = FORMS[form](patches_of(inputs["x"], p), param, cfg["heads"]).view(b, -1, dim)
    lead = F.linear(inputs["lead_time"][:, None], param["lead_time_embed.weight"], param["lead_time_embed.bias"])
    x = encode(x + param["pos_embed"] + lead[:, None], param, cfg)
    for i in range(cfg["decoder_depth"]):
        x = F.gelu(F.linear(x, param[f"head.{2 * i}.weight"], param[f"head.{2 * i}.bias"]))
    last = 2 * cfg["decoder_depth"]
    x = F.linear(x, param[f"head.{last}.weight"], param[f"head.{last}.bias"])
    height, width, out = cfg["height"], cfg["width"], cfg["out_channels"]
    image = x.view(b, height // p, width // p, p, p, out).permute(0, 5, 1, 3, 2, 4).reshape(b, out, height, width)
    return (inputs["weights"][:, None] * (image - inputs["target"]) ** 2).mean()


def masked_autoencoder(inputs, param, cfg, form):
    """The mean squared error of hidden locations; only visible ones are tokenized, only hidden ones predicted."""
    dim, dec, keep, hidden = cfg["embed"], cfg["decoder"], inputs["keep"], inputs["hidden"]
    b, kept = keep.shape
    x = FORMS[form](visible_patches(inputs["x"], keep, cfg["patch"]), param, cfg["heads"]).view(b, kept, dim)
    x = encode(x + param["pos_embed"][0][keep], param, cfg)
    x = F.linear(x, param["decoder_embed.weight"], param["decoder_embed.bias"])
    at = keep[:, :, None].expand(-1, -1, dec["embed"])
    full = param["mask_token"].expand(b, kept + hidden.shape[1], dec["embed"]).scatter(1, at, x)
    x = encode(full + param["decoder.pos_embed"], param, dec, "decoder.")
    x = torch.gather(x, 1, hidden[:, :, None].expand(-1, -1, dec["embed"]))
    pixels = F.linear(x, param["decoder_pred.weight"], param["decoder_pred.bias"])
    return F.mse_loss(pixels, hidden_pixels(inputs["x"], hidden, cfg["patch"]))


TASKS = {"front_end": front_end, "trunk": trunk, "forecast": forecast, "masked_autoencoder": masked_autoencoder}
