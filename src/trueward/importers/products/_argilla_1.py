"""Records of Argilla 1.x in the flat form of 2.x: feedback datasets, and the older text tasks.

Read of feedback datasets: fields, ``QUESTION`` with ``user_id``, ``value`` and ``status``,
``QUESTION-suggestion`` and its ``agent``; or ``fields``, lists of ``responses`` and ``suggestions``;
``external_id`` and ``id``. Of text tasks: ``inputs`` or ``text``, ``annotation``, ``annotation_agent``,
``prediction``, ``prediction_agent``, ``status``, ``id``. Vectors and explanations are not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.contract import InvalidRecord, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER = frozenset({"user_id", "value", "status"})
SUGGESTION = "-suggestion"
META = "-suggestion-metadata"
TASK = frozenset({"annotation", "annotation_agent", "prediction", "prediction_agent"})
VALIDATED = "Validated"
CORRECTED = "annotation.corrected"
Value = dict[str, Any]


def kind_of_1(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record of 1.x.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``feedback row`` of a data set, ``feedback record`` of the client or the API, ``page`` of these,
        ``task record`` of the older tasks, or None.

    """
    keys = record.keys()
    if keys >= TASK:
        return "task record"
    if isinstance(record.get("fields"), dict) and isinstance(record.get("responses"), list):
        return "feedback record"
    if {"items", "total"} <= keys and isinstance(record["items"], list):
        inner = page_records(record)[:1]
        return "page" if any(kind_of_1(part) == "feedback record" for part in inner) else None
    has_pair = any(key.endswith(META) and key.removesuffix("-metadata") in keys for key in keys)
    has_answers = "external_id" in keys and any(map(_is_answers, record.values()))
    return "feedback row" if has_pair or has_answers else None


def page_records(page: Mapping[str, Any]) -> list[Value]:
    """Return the records of a page of the API, or of what a search found.

    Parameters
    ----------
    page : mapping
        An object with ``items``.

    Returns
    -------
    list of dict
        Records with ``fields`` and ``responses``.

    """
    items = [item for item in page["items"] if isinstance(item, dict)]
    return [item["record"] if isinstance(item.get("record"), dict) else item for item in items]


def _is_answers(value: Any) -> bool:
    """Whether a cell holds the answers to a question, as a list of objects or an object of lists."""
    part = value[0] if isinstance(value, list) and value else value
    return isinstance(part, dict) and part.keys() == ANSWER


def flat_row(record: Mapping[str, Any]) -> Value:
    """Return a row of a feedback data set in the flat form.

    Parameters
    ----------
    record : mapping
        A row as `datasets` holds it.

    Returns
    -------
    dict
        Fields, and ``QUESTION.responses`` with users and status, and ``QUESTION.suggestion``.

    """
    questions = {key.removesuffix(SUGGESTION) for key in record if key.endswith(SUGGESTION)}
    questions |= {key for key, value in record.items() if _is_answers(value)}
    flat: Value = {k: v for k, v in record.items() if k not in questions and SUGGESTION not in k}
    for question in sorted(questions):
        answers = record.get(question) or []
        if isinstance(answers, dict):  # a sequence of objects, as older versions keep it
            columns = [answers.get(key) or [] for key in ("user_id", "value", "status")]
            answers = [
                dict(zip(("user_id", "value", "status"), a, strict=True))
                for a in zip(*columns, strict=True)
            ]
        _add(flat, question, answers)
        flat[f"{question}.suggestion"] = record.get(f"{question}{SUGGESTION}")
        meta = record.get(f"{question}{META}") or {}
        flat[f"{question}.suggestion.agent"] = meta.get("agent")
    return flat


def flat_record(record: Mapping[str, Any]) -> Value:
    """Return a record of the client or the API in the flat form.

    Parameters
    ----------
    record : mapping
        An object with ``fields`` and lists of ``responses`` and ``suggestions``.

    Returns
    -------
    dict
        As `flat_row`.

    """
    flat: Value = {**record["fields"], "fields": record["fields"]}
    by_question: dict[str, list[Value]] = {}
    for response in record.get("responses") or ():
        for question, value in (response.get("values") or {}).items():
            inner = value.get("value") if isinstance(value, dict) else value
            by_question.setdefault(question, []).append({**response, "value": inner})
    for question, answers in by_question.items():
        _add(flat, question, answers)
    for suggestion in record.get("suggestions") or ():
        # the API may name a question by its id only
        name = suggestion.get("question_name") or suggestion.get("question_id")
        flat[f"{name}.suggestion"] = suggestion.get("value")
        flat[f"{name}.suggestion.agent"] = suggestion.get("agent")
    return flat


def _add(flat: Value, question: str, answers: list[Value]) -> None:
    flat[f"{question}.responses"] = [a.get("value") for a in answers]
    flat[f"{question}.responses.users"] = [a.get("user_id") for a in answers]
    flat[f"{question}.responses.status"] = [a.get("status") for a in answers]


def flat_task(record: Mapping[str, Any]) -> Value:
    """Return a record of text classification or text to text in the flat form.

    Parameters
    ----------
    record : mapping
        A record of the older tasks; its annotation is the answer to a question of that name, its best
        prediction the suggestion.

    Returns
    -------
    dict
        As `flat_row`; of text to text, the best prediction is the response, and ``annotation.corrected`` the
        text that an annotator made of it.

    Raises
    ------
    InvalidRecord
        If its labels are of tokens.
    NoAnswer
        If a text has no prediction.

    """
    if "tokens" in record:
        raise InvalidRecord("labels of tokens say nothing of a whole response")
    best = _best(record.get("prediction"))
    status = record.get("status") or VALIDATED
    answer = {
        "value": record.get("annotation"),
        "user_id": record.get("annotation_agent"),
        "status": "submitted" if status == VALIDATED else str(status),
    }
    if "inputs" not in record and "multi_label" not in record:
        if best is None:
            raise NoAnswer("a text without a prediction")
        return {"prompt": record.get("text"), "response": best, CORRECTED: answer}
    inputs = record.get("inputs") or {"text": record.get("text")}
    flat: Value = {**inputs, "inputs": inputs}
    _add(flat, "annotation", [] if answer["value"] is None else [answer])
    flat["annotation.suggestion"] = best
    flat["annotation.suggestion.agent"] = record.get("prediction_agent")
    return flat


def _best(predictions: Any) -> Any:
    """Return the label or text of the highest score."""
    found = []
    for n, part in enumerate(predictions or ()):
        if isinstance(part, dict):
            pair = part.get("label", part.get("text")), part.get("score")
        else:
            pair = tuple(part) if isinstance(part, list | tuple) else (part, None)
        found.append((float(pair[1]) if pair[1] is not None else 1.0, -n, pair[0]))
    return max(found, key=lambda row: row[:2])[2] if found else None
