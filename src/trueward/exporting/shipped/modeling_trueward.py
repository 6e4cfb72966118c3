"""A reward model: the activations of a language model, and small networks on them.

    x = clip((h - mean) scale, -limit, limit),  h pooled from one layer of the language model
    r = logit mean_m sigmoid(b_m + w . x + sum_t c_t e_t),  m = 1 ... members

e_t follows from the outputs q and p of one or two MLPs on x:

    odds   e = q
    up     e = p + log sigmoid(q)
    down   e = p + log sigmoid(-q)
    place  e = log-odds of the point of a segment nearest to (sigmoid(p) sigmoid(q), sigmoid(p) sigmoid(-q));
           sigmoid(p) is 1 without p
    mixture e = logit sum_k w_k sigmoid(a_k + b_k q + c_k p)

One plain MLP has one member, one term and w = 0. Written by `trueward export --allow-remote-code`.
Needs torch and transformers, and nothing else. Reads no file and opens no connection.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class TruewardConfig(PretrainedConfig):
    """Configuration of the classifier.

    base: configuration of the language model. reading: layer (None: the last), pooling, normalize. head: see
    Head.
    """

    model_type = "trueward_reward"

    def __init__(self, base=None, reading=None, head=None, **more):
        super().__init__(**more)
        self.base, self.reading, self.head = base, reading, head


class Head(nn.Module):
    """(n, d) activations -> (n,) rewards, in float32 whatever the precision of the language model.

    about: width d, members M, limit, edge (bound of the outputs of the MLPs), terms [{kind, of, weight,
    ends}] and nets, name -> the sizes (d, ..., 1) of the MLPs whose mean is the output of that name.
    """

    def __init__(self, about):
        super().__init__()
        self.about = about
        self.mean, self.scale, self.linear = (number(about["width"]) for _ in range(3))
        self.offset = number(about["members"])
        self.nets = nn.ModuleDict(
            {
                k: nn.ModuleList(MLP(about["members"], s) for s in v)
                for k, v in about["nets"].items()
            }
        )

    def forward(self, h):
        limit, edge = self.about["limit"], self.about["edge"]
        x = ((h.float() - self.mean.float()) * self.scale.float()).clamp(-limit, limit)
        q = {
            k: torch.stack([f(x) for f in v]).mean(0).clamp(-edge, edge)
            for k, v in self.nets.items()
        }
        s = self.offset.float()[:, None] + x @ self.linear.float()
        for term in self.about["terms"]:
            s = s + term["weight"] * evidence(term, *(q[name] for name in term["of"]))
        if len(s) == 1:
            return s[0]
        return F.logsigmoid(s).logsumexp(0) - F.logsigmoid(-s).logsumexp(0)


def number(*size):
    """Return numbers that are loaded and not trained."""
    return nn.Parameter(torch.zeros(size), requires_grad=False)


def evidence(term, q, p=None):
    """Return e_t from the outputs of one or two MLPs."""
    if term["kind"] == "odds":
        return q
    if term["kind"] == "place":
        react = 1.0 if p is None else p.double().sigmoid()
        up, down = (react * v.double().sigmoid() for v in (q, -q))
        return place(term["ends"], (up, down, 1 - up - down)).float()
    if term["kind"] == "mixture":
        log_w, a, b, c = (torch.tensor(term["ends"][k::4], device=q.device) for k in range(4))
        f = a + b * q[..., None] + c * p[..., None]
        good, bad = ((log_w + F.logsigmoid(v)).logsumexp(-1) for v in (f, -f))
        return good - bad
    return p + F.logsigmoid(q if term["kind"] == "up" else -q)


def place(ends, seen):
    """Return argmax_s sum_k seen_k log P_k + 1e-5 log g(1-g), P = g G + (1 - g) B, g = sigmoid(s).

    ends: B, then G, each (P(up), P(down)). The derivative falls in g, so bisection finds its root.
    """
    bad, good = ([*pair, 1 - sum(pair)] for pair in (ends[:2], ends[2:]))
    low = torch.full_like(seen[0], -12.0)
    high = -low
    for _ in range(40):
        s = (low + high) / 2
        g, b = s.sigmoid(), (-s).sigmoid()
        slope = 1e-5 * (1 / g - 1 / b)
        for v, one, none in zip(seen, good, bad, strict=True):
            slope = slope + v * (one - none) / (g * one + b * none).clamp(min=1e-9)
        low, high = torch.where(slope > 0, s, low), torch.where(slope > 0, high, s)
    return (low + high) / 2


class MLP(nn.Module):
    """M MLPs with LeakyReLU side by side: (n, d) -> (M, n)."""

    def __init__(self, members, sizes):
        super().__init__()
        pairs = list(zip(sizes, sizes[1:], strict=False))
        self.weights = nn.ParameterList(number(members, a, b) for a, b in pairs)
        self.biases = nn.ParameterList(number(members, 1, b) for _, b in pairs)

    def forward(self, x):
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.matmul(F.leaky_relu(x) if k else x, w.float()) + b.float()
        return x[..., 0]


def pooled(h, mask, how):
    """Pool (n, t, d) activations over the tokens where mask (n, t) is 1: (n, d) float32."""
    if how in ("last", "cls"):
        place = (mask.cumsum(1) * mask).argmax(1) if how == "last" else mask.argmax(1)
        return h[torch.arange(len(h), device=h.device), place].float()
    w = mask[..., None].float()
    h = h.float().masked_fill(w == 0, -torch.inf if how == "max" else 0.0)
    if how == "max":
        return h.amax(1)
    w = w * w.cumsum(1) if how == "weightedmean" else w
    total = w.sum(1).clamp(min=1)
    return (h * w).sum(1) / (total.sqrt() if how == "mean_sqrt_len_tokens" else total)


class TruewardForSequenceClassification(PreTrainedModel):
    """One logit for each text, (n, 1): the reward. The attention mask marks the tokens of the text."""

    config_class = TruewardConfig
    base_model_prefix = "model"
    _keep_in_fp32_modules_strict = ["score"]

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = 1
        self.model = AutoModel.from_config(AutoConfig.for_model(**config.base))
        self.score = Head(config.head)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, position_ids=None, **_):
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        layer, how = self.config.reading["layer"], self.config.reading["pooling"]
        out = self.model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=position_ids,
            output_hidden_states=layer is not None,
        )
        h = out.last_hidden_state if layer is None else out.hidden_states[layer]
        v = pooled(h, mask.to(h.device), how)
        v = F.normalize(v) if self.config.reading["normalize"] else v
        return SequenceClassifierOutput(logits=self.score(v.to(self.score.mean.device))[:, None])
