"""Records of chats, as their products write them."""


def message(name, parent, role, text, **more):
    """A message of an Open WebUI chat."""
    return {"id": name, "parentId": parent, "role": role, "content": text, "done": True} | more


def open_webui(*messages):
    """A chat of Open WebUI with a system prompt."""
    history = {"messages": {m["id"]: m for m in messages}, "currentId": messages[-1]["id"]}
    return {"id": "c", "user_id": "u", "chat": {"history": history, "params": {"system": "Old."}}}


def libre_chat(name, parent, is_user, text, **more):
    """A message of LibreChat."""
    ids = {"messageId": name, "conversationId": "c", "parentMessageId": parent, "user": "u"}
    return ids | {"isCreatedByUser": is_user, "text": text} | more


def chat_gpt(name, parent, role, content, **more):
    """Name and node of a conversation of ChatGPT."""
    author = {"author": {"role": role}, "content": content, "recipient": "all"}
    return name, {"id": name, "parent": parent, "message": author | more}
