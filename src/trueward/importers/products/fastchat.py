"""FastChat and Chatbot Arena: raw logs of chats and votes, and the published sets of battles."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from trueward.importers.channels import brief
from trueward.importers.contract import Ask, Bad, Event, Record, Response, Row, Skip, Source
from trueward.importers.values import answer, conversation, decoded, message, moment, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VOTES = {"upvote": "thumbs_up", "downvote": "thumbs_down", "flag": "flag"}
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


def shape(record: Mapping[str, Any]) -> str | None:
    """Tell chats, votes and battles of a raw log from the published sets."""
    keys = record.keys()
    if {"tstamp", "type"} <= keys and ("state" in keys or "states" in keys):
        return "battle" if "states" in keys else "chat" if record["type"] == "chat" else "vote"
    if {"conversation_a", "conversation_b", "winner"} <= keys or "winner_model_a" in keys:
        return "published battle"
    return None


def rows(unit: Sequence[Record], _: Ask) -> Iterator[Row]:
    """Give the last answer of each state as a response, and votes as events."""
    for record in unit:
        value = record.value
        if record.shape == "published battle":
            yield from _published(value)
        elif record.shape == "battle":
            yield from _battle(value)
        elif record.shape == "chat":
            yield _answer(value["state"], value, shown_at=moment(value["tstamp"]))
        elif value["type"] in VOTES:
            voted = _answer(value["state"], value)
            voted.standing = "echo"
            yield voted
            yield _vote(VOTES[value["type"]], 1.0, voted, value)
        else:
            yield Skip(f"a record of type {value['type']} is no chat and no vote")


def _answer(state: Mapping[str, Any], value: Mapping[str, Any], shown_at: Any = None) -> Response:
    """Give the last answer of a state; the id is the chat, the turn and the text."""
    said = [
        message(list(pair)) for pair in state["messages"][state.get("offset") or 0 :] if pair[1]
    ]
    if len(said) < 2 or said[-1]["role"] != str(state.get("roles", ["", "assistant"])[1]).lower():
        raise Bad("the last message of the state is no answer")
    turn = sum(m["role"] == said[-1]["role"] for m in said[:-1])
    text = said[-1]["content"]
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]
    chat = word(state.get("conv_id"))
    system = state.get("system_message")
    prompt = [*([message(system, "system")] if system else []), *said[:-1]]
    return Response(
        response_id=f"fastchat:{chat}/{turn}/{digest}",
        prompt=prompt,
        response=text,
        user_id=word(value.get("ip")),
        session_id=chat,
        shown_at=shown_at,
        model=word(state.get("model_name")),
        turn=turn,
        siblings=f"{chat}/{turn}/" + _digest(prompt),
    )


def _digest(prompt: Any) -> str:
    return hashlib.sha256(json.dumps(prompt).encode()).hexdigest()[:16]


def _vote(channel: str, worth: float, voted: Response, value: Mapping[str, Any]) -> Event:
    at = moment(value.get("tstamp"))
    kind = "flag" if channel == "flag" else "vote"  # of several votes on one state the last counts
    about: dict[str, Any] = {
        "response_id": voted.response_id,
        "at": at,
        "updated": at,
        "actor_id": voted.user_id,
    }
    return Event(channel, worth, "user", **about, key=kind)


def _battle(value: Mapping[str, Any]) -> Iterator[Row]:
    """Give both answers and the vote on the left one; the states name the models, the aliases do not."""
    if value["type"] not in BATTLES:
        yield Skip(f"a record of type {value['type']} is no vote")
        return
    names, states = value.get("models") or ["", ""], value["states"]
    public = [str(n) for n in names if str(n).strip().lower() not in ALIASES]
    if len(public) == 1:
        raise Bad(f"one side of the battle has a name and the other none: {brief(names)}")
    if len(public) == 2 and public != [s.get("model_name") for s in states]:
        raise Bad(f"the names {brief(names)} contradict the models of the states")
    sides = [_answer(state, value) for state in states]
    for place, side in enumerate(sides):
        side.position, side.siblings = place, None
        side.standing = "echo"  # beside the chat records of both sides, where there are any
        yield side
    yield from _preferred(sides, BATTLES[value["type"]], moment(value["tstamp"]), sides[0].user_id)


def _preferred(
    sides: Sequence[Response], worth: tuple[float, float], at: Any, user: str | None
) -> Iterator[Row]:
    """Give one event per side, so that what is known of a response does not hang on its place."""
    for this, other, value in zip(sides, reversed(sides), worth, strict=True):
        about = {"response_id": this.response_id, "other_response_id": other.response_id}
        key = f"battle/{other.response_id}"
        yield Event("preferred", value, "user", **about, at=at, updated=at, actor_id=user, key=key)


def _published(value: Mapping[str, Any]) -> Iterator[Row]:
    """Give both sides of a published battle: conversations, or prompts and responses as lists."""
    winner = value.get("winner")
    if "winner_model_a" in value:
        chosen = [
            k
            for k in ("model_a", "model_b", "tie")
            if str(value.get(f"winner_{k}")) in {"1", "1.0", "True"}
        ]
        winner = chosen[0] if len(chosen) == 1 else None
    if winner not in WINNERS:
        raise Bad(f"the winner should be model_a, model_b, tie or both bad, and is {brief(winner)}")
    chats = [_sided(value, side) for side in ("a", "b")]
    name = word(value.get("question_id") or value.get("id"))
    sides = [
        Response(
            response_id=f"fastchat:{name}/{side}",
            prompt=conversation(chat[:-1]),
            response=answer(chat[-1:]),
            user_id=word(value.get("judge")) if "question_id" in value else None,
            session_id=word(value.get("evaluation_session_id")) or name,
            shown_at=moment(value.get("tstamp") or value.get("timestamp")),
            model=word(value.get(f"model_{side}")),
            position=place,
        )
        for place, (side, chat) in enumerate(zip("ab", chats, strict=True))
    ]
    yield from sides
    yield from _preferred(sides, WINNERS[winner], None, sides[0].user_id)


def _sided(value: Mapping[str, Any], side: str) -> list[Any]:
    """Give the messages of one side, the last of which is the answer that was judged."""
    if f"conversation_{side}" in value:
        chat = decoded(value[f"conversation_{side}"])
    else:
        asked, said = decoded(value["prompt"]), decoded(value[f"response_{side}"])
        asked, said = ([v] if isinstance(v, str) else v for v in (asked, said))
        turns = zip(asked, said, strict=False)
        chat = [m for q, a in turns for m in (message(q), message(a or "", "assistant"))]
    if not isinstance(chat, list) or len(chat) < 2:
        raise Bad(f"side {side} has no prompt and answer")
    return chat


SOURCE = Source(
    title="FastChat logs and Chatbot Arena battles",
    levels={"chat": "full", "vote": None, "battle": None, "published battle": "rated_only"},
    shape=shape,
    rows=rows,
    covers="logs with their chat records: `full`; published battles, or votes alone: `rated_only`",
    wider="read the raw logs of the server, whose records of type chat hold every answer",
    available=frozenset({"regenerate"}),
    addresses=True,
)
