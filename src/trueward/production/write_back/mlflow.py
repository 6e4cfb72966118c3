"""Scores as MLflow takes them: assessments of a trace, ``POST /api/3.0/mlflow/traces/ID/assessments``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

from .address import Address, RefusedError, address_of, basic, quoted
from .destination import Sent

if TYPE_CHECKING:
    from .scored import ScoredResponse

ADDRESS = ("MLFLOW_TRACKING_URI",)
TOKEN, USER, PASSWORD = (
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)
TRACES = "/api/3.0/mlflow/traces"


@dataclass(frozen=True)
class Mlflow:
    """MLflow tracking server of this address."""

    address: Address
    name = "mlflow"
    batch = 1  # MLflow takes one assessment a request

    @classmethod
    def at(cls, given: str | None) -> Mlflow:
        """Return the server that the user has named, with the key of the environment."""
        url = address_of(given, ADDRESS, "MLflow")
        token, user = os.environ.get(TOKEN), os.environ.get(USER)
        needed = f"{TOKEN}, or {USER} and {PASSWORD}"
        if user and not token:
            return cls(Address(url, basic(user, os.environ.get(PASSWORD, "")), "Basic", needed))
        return cls(Address(url, token, "Bearer", needed))

    def payload(self, response: ScoredResponse) -> list[dict[str, Any]]:
        """Return one assessment for each score of a response, as it is sent."""
        return [
            {
                "assessment": {
                    "trace_id": response.id,
                    "assessment_name": f"trueward.{name}",
                    "source": {
                        "source_type": "CODE",
                        "source_id": f"trueward/{response.digest[:16]}",
                    },
                    "feedback": {"value": value},
                    "metadata": {k: str(v) for k, v in response.about.items()},
                }
            }
            for name, value in response.values.items()
        ]

    def send(self, responses: list[ScoredResponse]) -> Sent:
        """Send the scores of one response that its trace does not have of this model yet."""
        (response,) = responses
        place = f"{TRACES}/{quoted(response.id)}"
        try:
            there = self._there(self.address.send(place))
            for body in self.payload(response):
                made = body["assessment"]
                if (made["assessment_name"], made["source"]["source_id"]) not in there:
                    self.address.send(f"{place}/assessments", body)
        except RefusedError as e:
            if e.status == 404:
                return Sent([], [response.id], {})
            if e.status in (400, 422):
                return Sent([], [], {response.id: e.status})
            raise
        return Sent([response.id], [], {})

    def _there(self, answer: Any) -> set[tuple[Any, Any]]:
        """Names and sources of the assessments of a trace."""
        try:
            listed = answer["trace"]["trace_info"].get("assessments") or ()
            return {(a.get("assessment_name"), a["source"]["source_id"]) for a in listed}
        except (AttributeError, KeyError, TypeError):
            raise TruewardError(
                f"{self.address.url} answered without a trace of MLflow 3: check the address"
            ) from None
