# SPDX-License-Identifier: GPL-3.0-or-later
"""Transcripts of SDK sessions: what a line holds, and how a live answer is compared with a recorded one.

A file of tests/data/sdk is JSON Lines. The first line holds the sets of request headers:
  {"sdk": "fireworks 1.2.30", "headers": [[["accept", "*/*"], …], …]}
Each further line is one request in the order of arrival, exactly as the SDK sent it, and what came back:
  {"method", "path", "headers": index, "body": text | "body64": base64,
   "ids": {"/session_id": "sess-1f…"}, "status": 200, "type": "application/json", "expect": …}
`ids`: places of the answer whose values the server made up; later requests hold them, and a replay puts the live ones in
their place. They have the same length every time, so binary bodies stay valid. `expect`: the answer with what differs from run to run replaced by "$time", "$text",
{"$floats": n} and the like; numbers of the mathematics are kept and compared within 2 %.
"""

import base64
import json
import re

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
# Keys whose values the server makes up and later requests name.
IDS = {"session_id", "model_id", "request_id", "sampling_session_id", "training_run_id"}
# Keys whose values depend on the machine, the moment or a random draw: only their type is compared.
LOOSE = {"id", "created", "text", "tokens", "completion_token_ids", "logprob", "sampling_logprob", "token", "bytes", "token_id",
         "url", "path_on_disk", "key_file", "createdBy", "hotLoadBucketUrl", "queue_state_reason", "sizeBytes", "size_bytes",
         "text_offset", "boundary", "stop_reason", "finish_reason", "completion_tokens", "total_tokens", "identity",
         "chat_template", "logprobs", "seconds", "total_count"}
# Lists of what all clients of a server made: one row of the right shape is enough.
SHARED = {"training_runs"}
# Headers that are secret, or different in every request, or the transport's own.
DROPPED_HEADERS = {"host", "content-length", "connection", "x-api-key", "authorization", "x-idempotency-key",
                   "x-tinker-create-promise-roundtrip-time", "x-request-id", "traceparent", "keep-alive", "transfer-encoding"}


def expectation(value, key=""):
    if isinstance(value, dict):
        return {name: expectation(one, name) for name, one in value.items()}
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return "$number" if key in LOOSE or key.startswith("perf") else value
    if isinstance(value, str):
        if TIME.match(value):
            return "$time"
        # Paths inside the data folder, too.
        return "$text" if key in LOOSE or key in IDS or len(value) > 400 or "/objects/" in value else value
    if value and all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in value):
        if key in LOOSE or len(value) > 8:
            kind = "$ints" if all(isinstance(one, int) for one in value) else "$floats"
            return {kind: None if key in LOOSE else len(value)}
    if key in LOOSE:
        return "$list"
    if key in SHARED and value:
        return {"$some": expectation(value[0])}
    return [expectation(one, key) for one in value]


def ids_of(value, at=""):
    found = {}
    if isinstance(value, dict):
        for key, one in value.items():
            if isinstance(one, str) and (key in IDS or f"{at}/{key}" == "/operation/name"):
                found[f"{at}/{key}"] = one
            else:
                found.update(ids_of(one, f"{at}/{key}"))
    return found


def at(value, pointer):
    for part in pointer.strip("/").split("/"):
        value = value[part]
    return value


def substitute(text, ids):
    """Every recorded id by its live one, in one pass, longer ids first: a model id begins with its session's."""
    if not ids:
        return text
    return re.sub("|".join(re.escape(old) for old in sorted(ids, key=len, reverse=True)), lambda hit: ids[hit.group(0)], text)


def close(wanted, got):
    return abs(wanted - got) <= 1e-3 + 0.02 * abs(wanted)


def compare(wanted, got, ids, path="$"):
    """Differences, as texts. Keys that the live answer has beside the recorded ones are allowed."""
    if isinstance(wanted, dict):
        marks = [key for key in wanted if key in ("$ints", "$floats")]
        if marks:
            if not isinstance(got, list) or not all(isinstance(one, (int, float)) for one in got):
                return [f"{path}: a list of numbers became {str(got)[:100]}"]
            count = wanted[marks[0]]
            return [] if count is None or len(got) == count else [f"{path}: {count} numbers became {len(got)}"]
        if "$some" in wanted:
            if not isinstance(got, list) or not got:
                return [f"{path}: rows became {str(got)[:100]}"]
            tries = [compare(wanted["$some"], one, ids, f"{path}[{i}]") for i, one in enumerate(got)]
            return min(tries, key=len)
        if not isinstance(got, dict):
            return [f"{path}: an object became {str(got)[:100]}"]
        found = [f"{path}/{key} is missing" for key in wanted if key not in got]
        for key in wanted:
            if key in got:
                found += compare(wanted[key], got[key], ids, f"{path}/{key}")
        return found
    if isinstance(wanted, list):
        if not isinstance(got, list) or len(got) != len(wanted):
            return [f"{path}: a list of {len(wanted)} became {str(got)[:200]}"]
        return [text for i, one in enumerate(wanted) for text in compare(one, got[i], ids, f"{path}[{i}]")]
    if wanted == "$time":
        return [] if isinstance(got, str) and TIME.match(got) else [f"{path}: a time became {got!r}"]
    if wanted == "$text":
        return [] if isinstance(got, str) else [f"{path}: a text became {got!r}"]
    if wanted == "$list":
        return [] if isinstance(got, list) else [f"{path}: a list became {got!r}"]
    if wanted == "$number":
        return [] if isinstance(got, (int, float)) and not isinstance(got, bool) else [f"{path}: a number became {got!r}"]
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        return [] if isinstance(got, (int, float)) and close(wanted, got) else [f"{path}: {wanted} became {got}"]
    if isinstance(wanted, str):
        wanted = substitute(wanted, ids)
    return [] if wanted == got else [f"{path}: {wanted!r} became {got!r}"]


def events_of(body):
    """JSON objects of a stream, and whether it ends as it must."""
    text = body.decode()
    data = [line[5:].strip() for block in text.split("\n\n") for line in block.split("\n") if line.startswith("data:")]
    return [json.loads(one) for one in data if one != "[DONE]"], bool(data) and data[-1] == "[DONE]" and text.endswith("\n\n")


def expect_of(content_type, body):
    """What is kept of an answer's body."""
    if content_type.startswith("application/json"):
        return expectation(json.loads(body)) if body else None
    if content_type.startswith("text/event-stream"):
        events, done = events_of(body)
        return {"$stream": sorted({key for event in events for key in event}), "$done": done}
    return {"$bytes": bool(body)}


def encode_body(line, body):
    try:
        line["body"] = body.decode()
    except UnicodeDecodeError:
        line["body64"] = base64.b64encode(body).decode()


def body_of(line):
    return base64.b64decode(line["body64"]) if "body64" in line else line.get("body", "").encode()
