"""A reward model as an estimator of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from trueward.core.arguments import MAPPING, NUMBER, TEXT, WHOLE, require_kinds
from trueward.core.errors import TruewardError
from trueward.data.feedback import Feedback
from trueward.data.pairs import read_pairs
from trueward.features import backbone as backbone_of
from trueward.features import features
from trueward.features.columns import group_codes
from trueward.features.given import BACKBONE

from .fit import fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.model.reward_model import RewardModel, Scores

TABLES = frozenset({"pandas", "polars", "pyarrow", "datasets"})


class TruewardClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fit a reward model as a classifier of scikit-learn: good or bad, or no feedback.

    ``X`` is an (n, d) array of features, or a table with the columns ``prompt`` and ``response``, which are
    encoded. ``y`` holds two classes; NaN or None where a response has no feedback.

    Parameters
    ----------
    method : str, default "auto"
        Name of a method, see `trueward.methods`.
    val : float, default 0.2
        Share of the prompts that is held out for early stopping.
    backbone : str, default "wordllama"
        What makes features of texts, see `trueward.encode`.
    random_state : int, default 0
        Seed of the split and of the fit.
    options : mapping of str to Any, optional
        Options of the method and of `trueward.Train`, such as ``{"epochs": 5}``.

    Attributes
    ----------
    model_ : RewardModel
        The fitted model.
    classes_ : (2,) array
        The two classes in rising order; the last one is the preferred one.
    n_features_in_ : int
        Number of features, where ``X`` was an array.

    Examples
    --------
    >>> import numpy as np
    >>> import trueward as tw
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> y = np.where(np.arange(200) % 4 == 0, np.nan, X[:, 0] > 0)
    >>> classifier = tw.TruewardClassifier("naive", options={"epochs": 2}).fit(X, y)
    >>> classifier.predict_proba(X).shape, classifier.classes_.tolist()
    ((200, 2), [0.0, 1.0])

    """

    def __init__(
        self,
        method: str = "auto",
        *,
        val: float = 0.2,
        backbone: str = BACKBONE,
        random_state: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.method = method
        self.val = val
        self.backbone = backbone
        self.random_state = random_state
        self.options = options

    def __sklearn_tags__(self) -> Any:
        """Return the tags of scikit-learn: two classes only."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any, groups: Any = None) -> TruewardClassifier:
        """Fit the method on responses and their feedback.

        Parameters
        ----------
        X : (n, d) array, or table of prompt and response
            The responses.
        y : (n,) array
            Feedback of two classes; NaN or None where there is none.
        groups : (n,) array, optional
            Prompt of every row; no prompt is in both parts of the split. Of a table it is its prompt.

        Returns
        -------
        TruewardClassifier
            This object.

        """
        require_kinds(
            "TruewardClassifier",
            val=(self.val, NUMBER),
            backbone=(self.backbone, TEXT),
            random_state=(self.random_state, WHOLE.or_none),
            options=(self.options, MAPPING.or_none),
        )
        x, prompts, backbone = self._read(X, y, reset=True)
        label, seen = self._labels(y, x)
        group = prompts if groups is None else groups
        if group is not None:
            check_consistent_length(x, group)
            group = group_codes(pl.Series("group", [str(g) for g in group]))
        rows = Feedback(x, label, seen, group=group, backbone=backbone)
        seed = self.random_state or 0
        options = {"seed": seed, **(self.options or {})}
        train, held = rows.split(self.val, seed)
        self.model_: RewardModel = fit(self.method, train, held, method_options=options)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : (n, d) array, or table of prompt and response
            The responses.

        Returns
        -------
        (n, 2) array
            Each row sums to 1.

        """
        p = _values(self._scores(X).preferred)
        return np.stack([1 - p, p], axis=1)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the reward, the log-odds of the preferred class.

        Parameters
        ----------
        X : (n, d) array, or table of prompt and response
            The responses.

        Returns
        -------
        (n,) array
            Above 0 where the preferred class is the more likely one.

        """
        return _values(self._scores(X).reward)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the more likely class of each response.

        Parameters
        ----------
        X : (n, d) array, or table of prompt and response
            The responses.

        Returns
        -------
        (n,) array
            Of the classes in ``classes_``.

        """
        scores = self.decision_function(X)
        return np.asarray(self.classes_[(scores > 0).astype(int)])

    def _scores(self, X: Any) -> Scores:
        check_is_fitted(self, "model_")
        x, _, _ = self._read(X, None, reset=False)
        return self.model_.score_features(x)

    def _read(self, X: Any, y: Any, *, reset: bool) -> tuple[Tensor, Any, str | None]:
        """Features, prompts and backbone of the rows; arrays have the last two as None."""
        names = [str(name) for name in getattr(X, "columns", ())]
        if type(X).__module__.partition(".")[0] in TABLES and {"prompt", "response"} <= {*names}:
            table = read_pairs(X)
            texts = (table["prompt"].to_list(), table["response"].to_list())
            model = backbone_of(self.backbone)
            return features(model, *texts, None), texts[0], model.spec()
        if reset and y is None:
            validate_data(self, X, y)  # raises
        checked = validate_data(self, X, reset=reset, ensure_min_samples=2 if reset else 1)
        return torch.from_numpy(np.array(checked, dtype=np.float32)), None, None

    def _labels(self, y: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """1 for the preferred class and 0 for the other, and 1 where there is feedback."""
        y = column_or_1d(
            check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=False), warn=True
        )
        check_consistent_length(x, y)
        seen = np.array([v is not None and v == v for v in y], dtype=bool)  # noqa: PLR0124 - NaN differs from itself
        rated = y[seen]
        rated = np.array(rated.tolist()) if rated.dtype == object else rated
        if rated.dtype.kind == "f" and not np.isfinite(rated).all():
            raise TruewardError(
                "Input y contains infinity: give two classes, and NaN for no feedback"
            )
        check_classification_targets(rated)
        self.classes_, code = np.unique(rated, return_inverse=True)
        if len(self.classes_) != 2:
            kind = type_of_target(rated) if len(self.classes_) > 2 else "one class"
            raise TruewardError(
                f"Only binary classification is supported. The type of the target is {kind}; it has "
                f"{len(self.classes_)} classes, and good and bad are needed"
            )
        label = np.zeros(len(y), dtype=np.float32)
        label[seen] = code
        return torch.from_numpy(label), torch.from_numpy(seen.astype(np.float32))


def _values(scores: Tensor | None) -> NDArray[np.float64]:
    if scores is None:
        raise TruewardError(
            "a classifier needs one P(preferred) a row, and this method identifies only an interval: fit "
            "another one"
        )
    return np.asarray(scores.double().cpu().numpy())
