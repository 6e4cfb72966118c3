"""The rows of the papers' tables: methods, their options as published and here, and their search spaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trueward.benchmark.protocols import AS_PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Mapping

PAPERS = ("causalrm", "implicitrm")
#: Search of the authors for every method: learning rate and weight decay.
SEARCH = {"lr": {"low": 5e-5, "high": 2e-3, "log": True}, "weight_decay": [1e-7, 1e-6, 1e-5]}
#: Lower bound of propensities in the authors' code.
CLIP = 0.1


@dataclass(frozen=True)
class Row:
    """A row of a paper's table.

    Attributes
    ----------
    key, title : str
        Name in `published.json`, and in the paper.
    method : str
        The method here.
    options : mapping
        Options in both protocols.
    published : mapping or None
        Further options as published. None: the paper does not have the method.
    published_method : str or None
        The method here that is the published one, if it is another.
    known : tuple of str
        Nuisances that the authors' code takes from the simulation.
    own : mapping
        Options instead where nothing of the simulation is known.
    space : mapping
        Search space of the method's own options, in both protocols.
    published_space : mapping
        Further search space as published.

    """

    key: str
    title: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, Any] | None = field(default_factory=dict)
    published_method: str | None = None
    known: tuple[str, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)
    published_space: Mapping[str, Any] = field(default_factory=dict)

    def entry(self, protocol: str) -> dict[str, Any] | None:
        """Return the method as in a benchmark's YAML; None if the protocol does not have it.

        Parameters
        ----------
        protocol : str
            ``as published`` or ``by prompt``.

        """
        entry: dict[str, Any] = {"name": self.method, "label": self.key}
        if protocol != AS_PUBLISHED:
            return {**entry, "options": {**self.options, **self.own}, "space": dict(self.space)}
        if self.published is None:
            return None
        options = {**self.options, **self.published}
        space = {**SEARCH, **self.space, **self.published_space}
        entry["name"] = self.published_method or self.method
        return {**entry, "options": options, "known": list(self.known), "space": space}

    def label(self, protocol: str) -> str:
        """Return the label of the method in a run.

        Parameters
        ----------
        protocol : str
            ``as published`` or ``by prompt``.

        """
        known = self.known if protocol == AS_PUBLISHED else ()
        return f"{self.key} (known nuisances)" if known else self.key


_CLIPPED: dict[str, Any] = {"published": {"clip": CLIP}}
_RATES = {"rho_01": {"low": 0.0, "high": 0.4}, "rho_10": {"low": 0.0, "high": 0.4}}
_REFERENCES = (
    Row("clean-mcar", "as many true labels, drawn at random", "clean-mcar"),
    Row("oracle", "all true labels", "oracle"),
)
_AUTO = Row("auto", "`auto`, without gold labels", "auto", published=None)

#: Rows of the table of CausalRM, in its order, and four more methods that the authors name.
CAUSALRM = (
    Row("naive", "Naive", "naive"),
    Row("ips", "IPS", "ips", **_CLIPPED),
    Row("mtips", "MT-IPS", "mtips", space={"w_prop": [0.2, 0.5, 1.0, 2.0]}, **_CLIPPED),
    Row(
        *("cvib", "CVIB", "cvib"),
        space={
            "w_reg": {"low": 5.0, "high": 15.0},
            "w_info": {"low": 0.1, "high": 1.0},
            "w_ent": {"low": 0.1, "high": 5.0, "log": True},
        },
    ),
    Row("dr", "DR", "dr", **_CLIPPED),
    Row("mtdr", "MT-DR", "mtdr", space={"w_imp": [0.1, 0.2, 0.5, 1.0, 2.0]}, **_CLIPPED),
    Row("sdr", "SDR", "sdr", space={"balance": [0.5, 1.0, 2.0, 5.0]}, **_CLIPPED),
    Row("f_correction", "F-correction", "f_correction"),
    Row("co_teaching", "Co-Teaching", "co_teaching", space={"forget": {"low": 0.1, "high": 0.3}}),
    Row("codis", "CoDis", "codis", space={"weight": {"low": 0.05, "high": 0.2}}),
    Row("labelwave", "LabelWave", "labelwave", space={"window": [3, 5, 10]}),
    Row(
        *("eps_softmax", "ε-Softmax", "eps_softmax"),
        space={"m": [1e2, 1e3, 1e4], "alpha": [0.01, 0.02, 0.05], "beta": [0.1, 1.0, 10.0]},
    ),
    Row(
        *("dividemix", "Robust DivideMix", "dividemix"),
        space={"weight": [10.0, 25.0], "adversarial": [0.1, 0.2, 0.5], "a": [0.5, 4.0]},
    ),
    Row("kmeidtm", "kMEIDTM", "kmeidtm"),
    Row("ilde", "ILDE", "ilde"),
    Row("selectmix", "SelectMix", "selectmix"),
    Row(
        *("causalrm_ips", "CausalRM-IPS (OME-IPS)", "causalrm", {"estimator": "ips"}),
        published={"preset": "paper"},
        published_space=_RATES,
    ),
    Row(
        *("causalrm_dr", "CausalRM-DR (OME-DR)", "causalrm", {"estimator": "dr"}),
        published={"preset": "paper"},
        published_space=_RATES,
    ),
    _AUTO,
    *_REFERENCES,
)

_CLICKS = {"view": "clicks", "alpha": 0.5, "rate": 0.2}
_THETA: dict[str, Any] = {"known": ("propensity",), "own": {"theta": "scar"}}
#: Rows of the table of ImplicitRM. θ and the prior come from the simulation, as in the authors' code.
IMPLICITRM = (
    Row("naive", "Naive", "naive"),
    Row("ips", "IPS", "ips", _CLICKS, **_CLIPPED),
    Row("mtips", "MT-IPS", "mtips", _CLICKS, **_CLIPPED),
    Row("dr", "DR", "dr", _CLICKS, **_CLIPPED),
    Row("mtdr", "MT-DR", "mtdr", _CLICKS, **_CLIPPED),
    Row("sdr", "SDR", "sdr", _CLICKS, **_CLIPPED),
    Row("bpr", "BPR", "bpr"),
    Row("ubpr", "UBPR", "ubpr", **_THETA),
    Row("cubpr", "CUBPR", "ubpr", {"clip": 0.3}, **_THETA),
    Row("nnpu", "nnPU", "nnpu", known=("prior",)),
    Row("upu", "uPU", "upu", known=("prior",)),
    Row("uprl", "UPL", "uprl", **_THETA),
    Row("rmf", "Rel-MF", "rmf", {"clip": 1e-8}, **_THETA),
    Row("ncrmf", "Rel-MF, clipped", "rmf", {"clip": 0.1}, **_THETA),
    Row(
        *("counterif", "Counter-IF", "counterif"),
        space={"nu": {"low": 0.05, "high": 0.2}, "far": {"low": 0.05, "high": 0.2}},
    ),
    Row("recrec", "ReCRec-I", "recrec"),
    # as published: two networks on x and nothing that identifies them; recrec form=F is that EM step
    Row(
        *("implicitrm", "ImplicitRM", "implicitrm"),
        published={"form": "F", "w_popularity": 0.0},
        published_method="recrec",
        own={"identify": "scar"},
    ),
    *_REFERENCES,
)


def rows_of(paper: str) -> tuple[Row, ...]:
    """Return the rows of a paper's table.

    Parameters
    ----------
    paper : str
        One of `PAPERS`.

    """
    return CAUSALRM if paper == "causalrm" else IMPLICITRM
