"""Small logs with every column that a method may need, and every method with its variants."""

from dataclasses import replace

import torch

from trueward.data.comparisons import Pairs
from trueward.data.feedback import Columns, Feedback


def rates(n, rho_01=0.1, rho_10=0.2):
    return {"rho_01": torch.full((n,), rho_01), "rho_10": torch.full((n,), rho_10)}


def compared(n):
    """Every row of a prompt of three beats the next one, for two users; one pair is a tie."""
    winner = torch.tensor([i for i in range(n - 1) if i % 3 < 2], dtype=torch.long)
    m = len(winner)
    return Pairs.of(
        winner.repeat(2),
        (winner + 1).repeat(2),
        sources=("battle", "judge"),
        styles=("length", "markdown"),
        source=torch.arange(2) // 1 if m == 1 else torch.arange(2 * m) % 2,
        tie=(torch.arange(2 * m) == 2).double(),
        position=(torch.arange(2 * m) % 3 - 1).double(),
        margin=(torch.arange(2 * m) % 2).double() / 4,
        weight=1.0 + (torch.arange(2 * m) % 3).double(),
        user=torch.arange(2 * m) // max(1, m),
        style=torch.stack([(torch.arange(2 * m) % 5 - 2).double()] * 2, 1),
    )


def toy(n=6, seed=0, y=None, o=None, d=3):
    """Return n rows with all columns and nuisances drawn at random; y and o may be given."""
    g = torch.Generator().manual_seed(seed)

    def u(*shape):
        return torch.rand(*shape, generator=g)

    y = (u(n) > 0.5).to(u(1)) if y is None else y
    o = (u(n) > 0.4).to(y) if o is None else o
    eta = Columns(
        propensity=0.2 + 0.7 * u(n),
        imputation=u(n),
        noisy=0.1 + 0.8 * u(n),
        activity_rate=torch.full((n,), 0.6),
        responds=0.1 + 0.8 * u(n),
        target=u(n),
        low=u(n),
        high=u(n),
        fires=torch.full((n,), 0.5),
        popularity=torch.linspace(0, 1, n),
        stratum=torch.arange(n) % 3.0,
        **rates(n),
    )
    eta |= Columns({f"activity.{k}": 0.1 + 0.8 * u(n) for k in ("copy", "like", "share")})
    gold = torch.where(u(n) > 0.5, (u(n) > 0.5).to(y), torch.nan)
    return Feedback(
        x=u(n, d),
        y=y * o,
        o=o,
        z=u(n, 2),
        channels=Columns(
            active=(u(n) > 0.5).to(y),
            copy=(u(n) > 0.5).to(y),
            like=torch.where(u(n) > 0.2, (u(n) > 0.5).to(y), torch.nan),
            share=(u(n) > 0.5).to(y),
        ),
        gold=gold,
        group=torch.arange(n) // 3,
        user=torch.arange(n) // 2,
        eta=eta,
        pairs=compared(n),
    )


def ready(method, b):
    """Return the rows with what training adds for ``method``: its memory, and a mixing of no rows."""
    columns = method.init_memory(b)
    if method.mixing(b, torch.Generator().manual_seed(0)) is not None:
        columns = columns | {"partner": torch.arange(len(b)), "share": torch.ones_like(b.y)}
    return replace(b, eta=b.eta | columns)


def logits(method, n, seed=1, *, scale=1.0):
    """Return n random logits for every head, with gradients, and a hidden layer if the method reads it."""
    g = torch.Generator().manual_seed(seed)
    out = {h: (torch.randn(n, generator=g) * scale).requires_grad_() for h in method.heads}
    if method.hidden:
        out["hidden"] = torch.randn(n, 4, generator=g).requires_grad_()
    return Columns(out)


def every_variant():
    """Return (id, method) for every variant of every method."""
    from trueward.estimators._registry import methods

    variants = []
    for name, cls in methods().items():
        for chosen in cls.variants:
            words = " ".join(f"{k}={v}" for k, v in chosen.items())
            variants.append((f"{name} {words}".strip(), cls(**chosen)))
    return variants
