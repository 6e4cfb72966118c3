"""FastChat and Chatbot Arena: server logs of chats and votes, and published battles.

Fields read of a server log: ``tstamp``, ``type``, ``ip``, ``models``, and of ``state`` or ``states``:
``conv_id``, ``model_name``, ``messages``, ``offset``, ``roles``, ``system_message``. Of published battles:
``winner`` or ``winner_model_a``, ``winner_model_b``, ``winner_tie``; ``conversation_a`` and
``conversation_b``, or ``prompt``, ``response_a`` and ``response_b``; ``model_a``, ``model_b``,
``question_id`` or ``id``, ``judge``, ``evaluation_session_id``, ``tstamp`` or ``timestamp``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trueward.data.digests import text_id
from trueward.importers.channels import shortened
from trueward.importers.contract import (
    Event,
    InvalidRecord,
    Record,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, to_message, to_messages
from trueward.importers.spans import mapped
from trueward.importers.values import decode_json, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VOTES = {"upvote": "thumbs_up", "downvote": "thumbs_down", "flag": "flag"}
# value of `preferred` for the left and the right response: 1 won, 0 lost, 0.5 tie, -1 both bad
BATTLES = {
    "leftvote": (1.0, 0.0),
    "rightvote": (0.0, 1.0),
    "tievote": (0.5, 0.5),
    "bothbad_vote": (-1.0, -1.0),
}
WINNERS = {
    "model_a": (1.0, 0.0),
    "model_b": (0.0, 1.0),
    "tie": (0.5, 0.5),
    **dict.fromkeys(("tie (bothbad)", "both_bad", "bothbad"), (-1.0, -1.0)),
}
ALIASES = {"", "model a", "model b", "none"}
TRUE_SPELLINGS = {"1", "1.0", "True"}


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: chat, vote, battle or published battle.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``chat``, ``vote``, ``battle`` or ``published battle``, or None if the record is not of this source.

    """
    keys = record.keys()
    if {"tstamp", "type"} <= keys and ("state" in keys or "states" in keys):
        return "battle" if "states" in keys else "chat" if record["type"] == "chat" else "vote"
    if {"conversation_a", "conversation_b", "winner"} <= keys or "winner_model_a" in keys:
        return "published battle"
    return None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the last answer of each state as a response, and votes as events.

    Parameters
    ----------
    records : sequence of Record
        Any number of records.
    mapping : UserMapping
        Paths of the prompt, of the responses of a published battle, and of user and session.

    Yields
    ------
    Row
        A response, an event, or a Skip for what gives neither.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.
    NoAnswer
        If a record has an answer without text, such as a tool call.

    """
    for record in records:
        value = record.value
        if record.kind == "published battle":
            yield from _published_battle(value, mapping)
        elif record.kind == "battle":
            yield from _battle(value, mapping)
        elif record.kind == "chat":
            yield _last_answer(value["state"], value, mapping, parse_time(value["tstamp"]))
        elif value["type"] in VOTES:
            response = _last_answer(value["state"], value, mapping)
            response.precedence = "echo"
            yield response
            yield _vote(VOTES[value["type"]], response, value)
        else:
            yield Skip(f"a record of type {value['type']} is neither a chat nor a vote")


def _last_answer(
    state: Mapping[str, Any],
    value: Mapping[str, Any],
    mapping: UserMapping,
    shown_at: Any = None,
) -> Response:
    """Return the last answer of a state; its id is made of the chat, the turn and the text."""
    pairs = state["messages"][state.get("offset") or 0 :]
    messages = [_turn(*pair[:2]) for pair in pairs if pair[1]]
    role = str(state.get("roles", ["", "assistant"])[1]).lower()
    if len(messages) < 2 or messages[-1]["role"] != role:
        raise InvalidRecord("the last message of the state is not an answer")
    turn = sum(m["role"] == role for m in messages[:-1])
    text = messages[-1]["content"]
    digest = text_id(text, digits=8)
    chat = id_text(state.get("conv_id"))
    system = state.get("system_message")
    asked = mapped(value, mapping, "prompt", None)
    prompt = [*([to_message(system, "system")] if system else []), *messages[:-1]]
    prompt = prompt if asked is None else to_messages(asked)
    prompt_digest = text_id(json.dumps(prompt))
    return Response(
        response_id=f"fastchat:{chat}/{turn}/{digest}",
        prompt=prompt,
        response=text,
        user_id=id_text(mapped(value, mapping, "user", value.get("ip"))),
        session_id=id_text(mapped(value, mapping, "session", chat)),
        shown_at=shown_at,
        model=id_text(state.get("model_name")),
        turn=turn,
        sibling_group=f"{chat}/{turn}/{prompt_digest}",
    )


def _turn(role: Any, content: Any) -> dict[str, str]:
    """Return a message; one with images is a pair of its text and the list of them."""
    if isinstance(content, list) and len(content) == 2 and isinstance(content[1], list):
        content = "\n".join(filter(None, [str(content[0] or ""), *["[image]"] * len(content[1])]))
    return to_message([role, content])


def _vote(channel: str, response: Response, value: Mapping[str, Any]) -> Event:
    """Return a vote; of several votes on one state the last counts."""
    at = parse_time(value.get("tstamp"))
    return Event(
        channel,
        1.0,
        "user",
        response_id=response.response_id,
        at=at,
        updated_at=at,
        actor_id=response.user_id,
        key="flag" if channel == "flag" else "vote",
    )


def _battle(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield both answers and the preference; the states name the models, the aliases do not."""
    if value["type"] not in BATTLES:
        yield Skip(f"a record of type {value['type']} is no vote")
        return
    names, states = value.get("models") or ["", ""], value["states"]
    public = [str(n) for n in names if str(n).strip().lower() not in ALIASES]
    if len(public) == 1:
        raise InvalidRecord(
            f"one side of the battle has a name and the other none: {shortened(names)}"
        )
    if len(public) == 2 and public != [s.get("model_name") for s in states]:
        raise InvalidRecord(f"the names {shortened(names)} contradict the models of the states")
    sides = [_last_answer(state, value, mapping) for state in states]
    for place, side in enumerate(sides):
        side.position, side.sibling_group = place, None
        side.precedence = "echo"  # the chat records of both sides win, if there are any
        yield side
    at = parse_time(value["tstamp"])
    yield from _preferences(sides, BATTLES[value["type"]], at, sides[0].user_id)


def _preferences(
    sides: Sequence[Response], values: tuple[float, float], at: Any, user: str | None
) -> Iterator[Row]:
    """Yield one event per side, so that the signals of a response do not depend on its place."""
    for this, other, value in zip(sides, reversed(sides), values, strict=True):
        ids: dict[str, Any] = {
            "response_id": this.response_id,
            "other_response_id": other.response_id,
        }
        key = f"battle/{other.response_id}"
        yield Event("preferred", value, "user", **ids, at=at, updated_at=at, actor_id=user, key=key)


def _published_battle(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield both sides of a published battle, and the preference."""
    winner = _winner(value)
    if winner not in WINNERS:
        raise InvalidRecord(
            f"the winner should be model_a, model_b, tie or both bad, and is {shortened(winner)}"
        )
    texts = [_side(value, side, mapping) for side in ("a", "b")]
    name = id_text(value.get("question_id") or value.get("id"))
    judge = id_text(value.get("judge")) if "question_id" in value else None
    session = id_text(value.get("evaluation_session_id")) or name
    sides = [
        Response(
            response_id=f"fastchat:{name}/{side}",
            prompt=prompt,
            response=answer,
            user_id=id_text(mapped(value, mapping, "user", judge)),
            session_id=id_text(mapped(value, mapping, "session", session)),
            shown_at=parse_time(value.get("tstamp") or value.get("timestamp")),
            model=id_text(value.get(f"model_{side}")),
            position=place,
        )
        for place, (side, (prompt, answer)) in enumerate(zip("ab", texts, strict=True))
    ]
    yield from sides
    yield from _preferences(sides, WINNERS[winner], None, sides[0].user_id)


def _winner(value: Mapping[str, Any]) -> Any:
    if "winner_model_a" not in value:
        return value.get("winner")
    names = ("model_a", "model_b", "tie")
    winners = [n for n in names if str(value.get(f"winner_{n}")) in TRUE_SPELLINGS]
    return winners[0] if len(winners) == 1 else None


def _side(
    value: Mapping[str, Any], side: str, mapping: UserMapping
) -> tuple[list[dict[str, str]], str]:
    """Return the prompt and the answer of one side of a published battle."""
    asked = mapped(value, mapping, "prompt", None)
    answered = mapped(value, mapping, f"response_{side}", None)
    chat = [] if asked is not None and answered is not None else _side_messages(value, side)
    return (
        to_messages(chat[:-1] if asked is None else asked),
        answer_text(chat[-1:] if answered is None else answered),
    )


def _side_messages(value: Mapping[str, Any], side: str) -> list[Any]:
    """Return the messages of one side; the last one is the answer that was judged."""
    if f"conversation_{side}" in value:
        chat = decode_json(value[f"conversation_{side}"])
        whole = _whole_session(value, side)
        if isinstance(chat, list) and chat and len(whole) > len(chat):
            is_same = answer_text(whole[-1:]) == answer_text(chat[-1:])
            chat = whole if is_same else chat  # with the turns before this comparison
    else:
        texts = decode_json(value["prompt"]), decode_json(value[f"response_{side}"])
        prompts, answers = ([v] if isinstance(v, str) else v for v in texts)
        turns = zip(prompts, answers, strict=False)
        chat = [m for p, a in turns for m in (to_message(p), to_message(a or "", "assistant"))]
    if not isinstance(chat, list) or len(chat) < 2:
        raise InvalidRecord(f"side {side} has no prompt and answer")
    return chat


def _whole_session(value: Mapping[str, Any], side: str) -> list[Any]:
    """Return all turns of a session of comparisons, with the answers of one side."""
    turns = decode_json(value.get("full_conversation"))
    turns = [t for t in turns if isinstance(t, dict)] if isinstance(turns, list) else []
    pairs = [(t.get("user"), t.get(f"model_side_{side}")) for t in turns]
    return [m for pair in pairs if all(isinstance(m, dict) for m in pair) for m in pair]


SOURCE = Source(
    title="FastChat logs and Chatbot Arena battles",
    levels={"chat": "full", "vote": None, "battle": None, "published battle": "rated_only"},
    record_kind=record_kind,
    rows=rows,
    covers="logs with their chat records: `full`; published battles, or votes alone: `rated_only`",
    wider="read the raw logs of the server, whose records of type chat hold every answer",
    always_logged=frozenset({"regenerate"}),
    ids_are_addresses=True,
    mappable=frozenset({"prompt", "response_a", "response_b", "session", "user"}),
)
