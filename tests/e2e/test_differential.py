"""Each request of a table, sent to our server and to OpenBao's, gets the same answer, but for what
`differences.txt` lists with its reason."""

import json
import pathlib
import re

from harness import Case, start_bao, start_dev
from requests_to_compare import REQUESTS

DIFFERENCES = pathlib.Path(__file__).parent / "differences.txt"


# What Vault allows from the start.
BAO_CONFIGURATION = "unsafe_allow_api_audit_creation = true\n"


class Differential(Case):
    def test_every_answer_is_openbao_s_or_differs_for_a_listed_reason(self):
        titles = [title for title, *_ in REQUESTS]
        self.assertEqual(len(titles), len(set(titles)), "two requests have one title")
        listed = read_differences()
        used = set()
        ours, theirs = start_dev(self.folder), start_bao(self.folder, BAO_CONFIGURATION)
        self.addCleanup(ours.stop)
        self.addCleanup(theirs.stop)
        for request in REQUESTS:
            our, their = send(ours, request), send(theirs, request)
            with self.subTest(request[0]):
                unlisted = []
                for where, ours_is, theirs_is in differences(our, their):
                    lines = [line for line in listed if line.covers(request[0], where)]
                    used.update(lines)
                    if not lines:
                        unlisted.append(f"{where}: ours {ours_is!r}, theirs {theirs_is!r}")
                text = "\n".join(unlisted)
                self.assertFalse(unlisted, f"{request[1]} {request[2]} {request[3] or ''}\n{text}")
        unused = [line.text for line in listed if line not in used]
        self.assertEqual(unused, [], "listed, but no longer different")


class Difference:
    """A line of the file."""

    def __init__(self, text):
        self.text = text
        self.title, where, self.why = (part.strip() for part in text.split(" | ", 2))
        self._title = re.compile(re.escape(self.title).replace(r"\*", ".*"))
        where = re.escape(where).replace(r"\*\*", ".*").replace(r"\*", "[^.]*")
        self._where = re.compile(where)
        assert self.why, text

    def covers(self, title, where):
        return bool(self._title.fullmatch(title) and self._where.fullmatch(where))


def read_differences():
    lines = DIFFERENCES.read_text().splitlines()
    return [Difference(line) for line in lines if line.strip() and not line.startswith("#")]


def send(server, request):
    _, method, path, body, more = request
    known = {"TOKEN": server.token} | KEPT.setdefault(server.address, {})

    def filled(text):
        for word, value in known.items():
            text = text.replace(word, value)
        return text

    text = filled(json.dumps(body)) if body is not None else None
    raw = more.get("raw", text.encode() if text is not None else None)
    token = filled(more["token"]) if "token" in more else None
    answer = server.send(method, filled(path), raw=raw, token=token, headers=more.get("headers"))
    for word, where in more.get("keep", {}).items():
        found = answer.json() if answer.body else {}
        for step in where.split("."):
            found = (found or {}).get(step)
        KEPT[server.address][word] = found or "nothing"
    kept = ("content-type", "cache-control", "location", "strict-transport-security", "allow")
    headers = {name: answer.headers[name] for name in kept if name in answer.headers}
    return normal({"status": answer.status, "headers": headers, "body": body_of(answer)}, server)


def body_of(answer):
    if not answer.body:
        return None
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return answer.body.decode(errors="replace")
    try:
        return json.loads(answer.body)
    except ValueError:
        return answer.body.decode(errors="replace")


def normal(value, server, name=""):
    """Without what differs from run to run."""
    if isinstance(value, dict):
        return {key: normal(inner, server, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [normal(inner, server, name) for inner in value]
    if name in NUMBERS and isinstance(value, int) and not isinstance(value, bool):
        return "<number>"
    if name in DRAWN and value:
        return "<drawn>"
    if name in TEXTS and isinstance(value, str):
        return "<text>"
    if isinstance(value, str):
        # Its digits may stand in what was drawn, too.
        text = re.sub(rf"\b{server.port}\b", "<port>", value.replace(server.token, "<token>"))
        for pattern, stands_for in VOLATILE:
            text = re.sub(pattern, stands_for, text)
        return text
    return value


TEXTS = ("password", "plaintext", "random_bytes")

NUMBERS = ("server_time_utc", "creation_time", "ttl", "1", "2")

# Seconds since 1970 that tell what was granted.
MOMENTS = ("expiration",)
MOMENTS_APART_MAX = 30

# What is drawn.
DRAWN = (
    "accessor", "client_token", "id", "namespace_id", "secret_id", "secret_id_accessor", "token", "unlock_key",
    "wrapped_accessor",
)

# What later requests use of earlier answers, by server.
KEPT = {}

VOLATILE = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"^[A-Za-z0-9+/]{43}=$", "<key>"),
    (r"\b([a-z0-9_]+)_[0-9a-f]{8}\b", r"\1_<accessor>"),
    (r"vault:v(\d+):[A-Za-z0-9+/=_-]+", r"vault:v\1:<sealed>"),
    (r"-----BEGIN [\s\S]*-----\n?", "<pem>"),
    # Go's decoder and ours tell where they stopped in words of their own.
    (r"failed to (decode|parse) JSON.*", "failed to decode JSON"),
]


def differences(ours, theirs, where=""):
    """Yields where, ours, theirs. What is missing is `None` there."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            inner = f"{where}.{key}" if where else key
            if key in ours and key in theirs:
                yield from differences(ours[key], theirs[key], inner)
            else:
                yield inner, ours.get(key, "(none)"), theirs.get(key, "(none)")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (our, their) in enumerate(zip(ours, theirs)):
            yield from differences(our, their, f"{where}.{number}")
    elif type(ours) is not type(theirs) or not are_same(where, ours, theirs):
        yield where, ours, theirs


def are_same(where, ours, theirs):
    # Asked one after the other, a second may begin in between.
    if where.rsplit(".", 1)[-1] in MOMENTS and isinstance(ours, int):
        return abs(ours - theirs) <= MOMENTS_APART_MAX
    return ours == theirs
