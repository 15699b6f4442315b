"""The models in JAX: the functions of torch_model.py, of the same parameters by name."""
import math
from functools import partial

import jax
import jax.numpy as jnp

from common import cheapest_order

UNIT = "aggregator.0.0."


def patches_of(image, p):
    """[B, C, H, W] -> [C, B L, p p]."""
    b, c, height, width = image.shape
    x = image.reshape(b, c, height // p, p, width // p, p).transpose(1, 0, 2, 4, 3, 5)
    return x.reshape(c, b * (height // p) * (width // p), p * p)


def visible_patches(image, keep, p):
    """[B, C, H, W] and locations [B, kept] -> [C, B kept, p p]."""
    b, c, height, width = image.shape
    grid = image.reshape(b, c, height // p, p, width // p, p).transpose(1, 0, 2, 4, 3, 5)
    at = jnp.arange(b)[:, None]
    return grid[:, at, keep // (width // p), keep % (width // p)].reshape(c, keep.size, p * p)


def hidden_pixels(image, hidden, p):
    """[B, C, H, W] and locations [B, n] -> [B, n, p p C], the channel fastest."""
    b, c, height, width = image.shape
    grid = image.reshape(b, c, height // p, p, width // p, p).transpose(0, 2, 4, 3, 5, 1)
    at = jnp.arange(b)[:, None]
    return grid[at, hidden // (width // p), hidden % (width // p)].reshape(b, hidden.shape[1], p * p * c)


def linear(x, weight, bias):
    return x @ weight.T + bias


# ----------------------------------------------------------------------------------------------------- the front end
def published(x, param, heads):
    """[C, N, P] -> [N, D]; the query is projected once, not for every row."""
    channels, rows, _ = x.shape
    dim = param["channel_embed"].shape[1]
    beta = param["tokenizer.bias"] + param["channel_embed"]
    tokens = x @ param["tokenizer.weight"] + beta[:, None]
    weight, bias = param[UNIT + "in_proj_weight"], param[UNIT + "in_proj_bias"]
    query = linear(param[UNIT + "query"][0], weight[:dim], bias[:dim]).reshape(heads, dim // heads)
    keys, values = jnp.split(linear(tokens, weight[dim:], bias[dim:]).reshape(channels, rows, 2 * heads, -1), 2, 2)
    scores = jnp.einsum("cnhd,hd->nhc", keys, query) / math.sqrt(dim // heads)
    z = jnp.einsum("nhc,cnhd->nhd", jax.nn.softmax(scores), values).reshape(rows, dim)
    return linear(z, param[UNIT + "out_proj.weight"], param[UNIT + "out_proj.bias"])


def folded(x, param, heads, order=None):
    """The same function of x [C, N, P]; `order` as in common.orders_cost, the cheapest unless given."""
    channels, rows, pixels = x.shape
    dim = param["channel_embed"].shape[1]
    d = dim // heads
    weight, beta = param["tokenizer.weight"], param["tokenizer.bias"] + param["channel_embed"]
    wq, wk, wv = jnp.split(param[UNIT + "in_proj_weight"], 3)
    bq, _, bv = jnp.split(param[UNIT + "in_proj_bias"], 3)
    kappa = linear(param[UNIT + "query"].reshape(dim), wq, bq).reshape(heads, d) / math.sqrt(d)
    u = jnp.einsum("hd,hde->he", kappa, wk.reshape(heads, d, dim))
    scores = x @ (weight @ u.T) + (beta @ u.T)[:, None]  # [C, N, h]
    if (order or cheapest_order(rows, channels, pixels, dim, heads)) == "patch":
        patches = jnp.concatenate([x, jnp.ones((channels, rows, 1), x.dtype)], 2).transpose(1, 0, 2)
        values = jnp.concatenate([weight, beta[:, None]], 1) @ wv.T  # [C, P + 1, D]
        a = jax.nn.softmax(scores.transpose(2, 1, 0))  # [h, N, C]
        weighted = (a[..., None] * patches).reshape(heads, rows, -1)
        z = weighted @ values.reshape(-1, heads, d).transpose(1, 0, 2)  # [h, N, d]
    else:
        tokens = x @ weight + beta[:, None]  # [C, N, D]
        a = jax.nn.softmax(scores.transpose(1, 2, 0))  # [N, h, C]
        z = (a @ tokens.transpose(1, 0, 2)).transpose(1, 0, 2) @ wv.reshape(heads, d, dim).transpose(0, 2, 1)
    z = z.transpose(1, 0, 2).reshape(rows, dim) + bv
    return linear(z, param[UNIT + "out_proj.weight"], param[UNIT + "out_proj.bias"])


def embedding(x, param, heads):
    """Of one channel: no aggregation."""
    return x[0] @ param["tokenizer.weight"][0] + param["tokenizer.bias"]


FORMS = {"published": published, "folded": folded, "embedding": embedding,
         "patch": partial(folded, order="patch"), "token": partial(folded, order="token")}


# --------------------------------------------------------------------------------------------------- the transformer
def layer_norm(x, param, at):
    centred = x - x.mean(-1, keepdims=True)
    scale = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred * scale * param[at + ".weight"] + param[at + ".bias"]


def block(x, param, at, heads):
    """Pre-norm: x + attention(norm1(x)), then x + mlp(norm2(x))."""
    b, length, dim = x.shape
    qkv = linear(layer_norm(x, param, at + "norm1"), param[at + "attn.qkv.weight"], param[at + "attn.qkv.bias"])
    q, k, v = jnp.moveaxis(qkv.reshape(b, length, 3, heads, dim // heads), 2, 0)
    y = jax.nn.dot_product_attention(q, k, v).reshape(b, length, dim)
    x = x + linear(y, param[at + "attn.proj.weight"], param[at + "attn.proj.bias"])
    y = linear(layer_norm(x, param, at + "norm2"), param[at + "mlp.fc1.weight"], param[at + "mlp.fc1.bias"])
    y = jax.nn.gelu(y, approximate=False)
    return x + linear(y, param[at + "mlp.fc2.weight"], param[at + "mlp.fc2.bias"])


def encode(x, param, cfg, prefix=""):
    for i in range(cfg["depth"]):
        x = block(x, param, f"{prefix}blocks.{i}.", cfg["heads"])
    return layer_norm(x, param, prefix + "norm")


# ----------------------------------------------------------------------------------------------------------- the tasks
def front_end(inputs, param, cfg, form):
    return FORMS[form](patches_of(inputs["x"], cfg["patch"]), param, cfg["heads"])


def trunk(inputs, param, cfg, form):
    return encode(inputs["x"], param, cfg)


def forecast(inputs, param, cfg, form):
    """The latitude-weighted squared error."""
    b, p, dim = inputs["x"].shape[0], cfg["patch"], cfg["embed"]
    x = FORMS[form](patches_of(inputs["x"], p), param, cfg["heads"]).reshape(b, -1, dim)
    lead = linear(inputs["lead_time"][:, None], param["lead_time_embed.weight"], param["lead_time_embed.bias"])
    x = encode(x + param["pos_embed"] + lead[:, None], param, cfg)
    for i in range(cfg["decoder_depth"]):
        x = jax.nn.gelu(linear(x, param[f"head.{2 * i}.weight"], param[f"head.{2 * i}.bias"]), approximate=False)
    last = 2 * cfg["decoder_depth"]
    x = linear(x, param[f"head.{last}.weight"], param[f"head.{last}.bias"])
    height, width, out = cfg["height"], cfg["width"], cfg["out_channels"]
    image = x.reshape(b, height // p, width // p, p, p, out).transpose(0, 5, 1, 3, 2, 4).reshape(b, out, height, width)
    return (inputs["weights"][:, None] * (image - inputs["target"]) ** 2).mean()


def masked_autoencoder(inputs, param, cfg, form):
    """The mean squared error of hidden locations; only visible ones are tokenized, only hidden ones predicted."""
    dim, dec, keep, hidden = cfg["embed"], cfg["decoder"], inputs["keep"], inputs["hidden"]
    b, kept = keep.shape
    x = FORMS[form](visible_patches(inputs["x"], keep, cfg["patch"]), param, cfg["heads"]).reshape(b, kept, dim)
    x = encode(x + param["pos_embed"][0][keep], param, cfg)
    x = linear(x, param["decoder_embed.weight"], param["decoder_embed.bias"])
    at = jnp.arange(b)[:, None]
    full = jnp.broadcast_to(param["mask_token"], (b, kept + hidden.shape[1], dec["embed"])).at[at, keep].set(x)
    x = encode(full + param["decoder.pos_embed"], param, dec, "decoder.")[at, hidden]
    pixels = linear(x, param["decoder_pred.weight"], param["decoder_pred.bias"])
    return ((pixels - hidden_pixels(inputs["x"], hidden, cfg["patch"])) ** 2).mean()


TASKS = {"front_end": front_end, "trunk": trunk, "forecast": forecast, "masked_autoencoder": masked_autoencoder}
