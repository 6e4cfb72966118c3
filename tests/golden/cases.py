"""Every method with every one of its forms, and the log each is fitted on: a fixed list."""

BACK = "backward"
BY_METHOD = {
    "anchored": [
        {},
        {"signals": ("clicks", "channel.copy"), "log": "clicks"},
        {"signals": "none"},
        {"signals": ("ratings",), "monotone": "both"},
        {"log": "clicks"},
        {"log": "weighted"},
        {"nuisance_width": 4},
        {"signals": ("ratings",), "nuisance_width": 4},
        {"signals": "none", "nuisance_width": 4},
    ],
    "auto": [{}, {"log": "clicks"}],
    "bpr": [{"log": "clicks"}],
    "bradley_terry": [
        {"log": "compared"},
        {"ties": "rao_kupper", "noise": 0.1, "log": "compared"},
        {"ties": "half", "position": False, "log": "compared"},
    ],
    "causalrm": [
        {},
        *(
            {"estimator": e, "correction": c}
            for e in ("none", "ips", "snips", "dr")
            for c in ("none", BACK, "forward")
        ),
        *(
            {"estimator": e, "correction": BACK, "risk": r}
            for e in ("none", "ips", "snips", "dr")
            for r in ("nonnegative", "capped", "brier")
        ),
        {
            "estimator": "dr",
            "correction": BACK,
            "risk": "plain",
            "rates": "batch",
            "impute": "noisy",
            "quantile": 0.97,
            "clip": 0.1,
        },
        {"preset": "paper"},
        {"preset": "paper", "proxy_loss": "squared_ips", "nuisance_fit": "out_of_fold"},
        {"preset": "paper", "estimator": "ips", "stop_on": "training"},
        {"propensity_from": "z"},
        {"propensity_from": "xz"},
    ],
    "channels": [
        {"channels": ("copy", "like")},
        {"channels": ("copy", "like", "share"), "misclick": (0.01,), "negative": ("share",)},
        {"channels": ("copy", "like"), "activity": "xz"},
        {"channels": ("copy", "like"), "activity": "one"},
        {"channels": ("copy", "like"), "form": "likelihood"},
        {"channels": ("copy", "like"), "form": "ratio"},
        {"channels": ("copy", "like"), "form": "ratio", "nuisance_width": 4},
    ],
    "co_teaching": [{}],
    "codis": [{}, {"penalise": False}],
    "counterif": [{"log": "clicks"}],
    "cvib": [{}],
    "dividemix": [{}, {"prior": 0.5}],
    "dr": [{}, {"view": "clicks", "log": "clicks"}, {"propensity_from": "z"}],
    "eps_softmax": [{}],
    "f_correction": [{}, {"rho_01": 0.1, "rho_10": 0.2}, {"rho_01": 0.1}],
    "ilde": [{}],
    "implicitrm": [
        *({"identify": i, "form": f} for i in ("scar", "split", "gold") for f in ("direct", "em")),
        {"identify": "scar", "prior": 0.7},
        {"identify": "split", "prior": 0.7, "false_click": 0.05, "missed_click": 0.1},
        {"identify": "split", "activity_from": "xz"},
        {"identify": "split", "form": "em", "w_prior": 0.0, "w_mu": 0.0},
        {"identify": "activity"},
        {"identify": "none", "allow_unidentified": True},
        {"identify": "scar", "log": "clicks"},
    ],
    "ips": [
        {},
        {"view": "clicks", "log": "clicks"},
        {"propensity_from": "z"},
        {"log": "weighted"},
    ],
    "joint": [{"log": "compared"}, {"base": "ratings", "log": "compared"}],
    "kmeidtm": [{}],
    "labelwave": [{}],
    "mtdr": [{}, {"view": "clicks", "log": "clicks"}],
    "mtips": [{}, {"view": "clicks", "log": "clicks"}],
    "naive": [{}, {"members": 2, "hidden": (4, 3)}, {"hidden": ()}, {"log": "clicks"}],
    "nnpu": [
        {"prior_from": "anchor", "log": "clicks"},
        {"prior": 0.7, "log": "clicks"},
        {"prior_from": "gold", "log": "clicks"},
    ],
    "oracle": [{"log": "truth"}],
    "recrec": [
        {"log": "clicks"},
        {"form": "F", "log": "clicks"},
        {"sampler": "published", "log": "clicks"},
    ],
    "rmf": [
        {"theta": "logged", "log": "logged"},
        {"cost": "log", "log": "logged"},
        {"theta": "scar", "log": "clicks"},
        {"theta": "scar", "prior": 0.7, "log": "clicks"},
    ],
    "sdr": [{}, {"view": "clicks", "log": "clicks"}],
    "selectmix": [{}],
    "snips": [{}, {"members": 2, "micro_batch": 7}],
    "three_outcome": [
        {},
        {"form": "two_step"},
        {"form": "joint", "rho_01": 0.1, "rho_10": 0.2},
        {"form": "joint", "selection": "reward"},
        {"nuisance_width": 4},
    ],
    "ubpr": [
        {"log": "logged"},
        {"theta": "scar", "log": "clicks"},
        {"beta": None, "log": "logged"},
        {"theta": "scar", "beta": None, "log": "clicks"},
    ],
    "uprl": [
        {"log": "logged"},
        {"theta": "scar", "log": "clicks"},
        {"score": "point", "log": "logged"},
    ],
    "upu": [
        {"prior_from": "anchor", "log": "clicks"},
        {"prior": 0.7, "log": "clicks"},
        {"prior_from": "gold", "log": "clicks"},
    ],
}

# a rate of learning at which two epochs move every score by far more than any tolerance
TINY = {
    "precision": "fp32",
    "device": "cpu",
    "hidden": (4,),
    "epochs": 2,
    "lr": 0.05,
    "nuisance_epochs": 3,
    "nuisance_lr": 0.05,
    "folds": 2,
    "batch_size": 40,
}


def words(value):
    """A value as it stands in the name of a case."""
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def every():
    """Name -> (method, name of its log, options) of every case."""
    found = {}
    for method, forms in BY_METHOD.items():
        for form in forms:
            chosen = {k: v for k, v in form.items() if k != "log"}
            name = " ".join([method, *(f"{k}={words(v)}" for k, v in form.items())])
            found[name] = (method, form.get("log", "rated"), chosen)
    return found


# what is saved beside one model of every form: name -> (case, more options of the training)
MORE_MODELS = {
    "naive of three members": ("naive", {"members": 3, "hidden": (4, 3)}),
    "shared trunk of two members": ("mtdr", {"members": 2}),
    "channels of two members": ("channels channels=copy+like activity=xz", {"members": 2}),
    "anchored on three folds": ("anchored signals=ratings nuisance_width=4", {"folds": 3}),
}
LARGE = ("anchored nuisance_width=4",)  # not stored: its parts are all in others
