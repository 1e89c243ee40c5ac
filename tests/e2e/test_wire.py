"""The wire itself, with curl and bare sockets: methods, bodies, paths, headers."""

import json
import socket
import subprocess

import harness
from harness import Answer, DevCase


class Wire(DevCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = harness.needs("curl")

    def setUp(self):
        # A mount for each test, so that they need no order.
        self.kv = self.mount(f"{self._testMethodName[5:40]}_1", "kv", options={"version": "1"})

    def curl(self, path, *flags, token=True, stdin=b""):
        """`path` begins with a slash and is sent as it stands."""
        arguments = [self.program, "--silent", "--show-error", "--path-as-is", "--include"]
        arguments += ["--no-keepalive", "--max-time", "60"]
        # Without it curl waits a second for leave to send a large body.
        arguments += ["--header", "Expect:"]
        if token:
            arguments += ["--header", f"X-Vault-Token: {self.server.token}"]
        done = subprocess.run(
            [*arguments, *flags, self.server.address + path],
            input=stdin,
            capture_output=True,
            timeout=harness.COMMAND_SECONDS_MAX,
        )
        self.assertEqual(done.returncode, 0, done)
        return parse(done.stdout)

    def raw(self, request):
        """Bytes as they stand, for what curl would not send."""
        with socket.create_connection((self.server.host, self.server.port), 60) as stream:
            stream.sendall(request)
            received = b""
            while chunk := stream.recv(65536):
                received += chunk
        return parse(received)

    def get_raw(self, target):
        head = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Vault-Token: %s\r\n\r\n"
        return self.raw(head % (target, self.server.token.encode()))

    def put_items(self, *names):
        for item in names:
            self.expect(self.server.write(f"{self.kv}/{item}", {"name": item}), 204)

    def test_the_three_ways_to_list_agree(self):
        self.put_items("b", "a/deep", "a-b")
        for path, flags in [
            (f"/v1/{self.kv}", ("--request", "LIST")),
            (f"/v1/{self.kv}/", ("--request", "LIST")),
            (f"/v1/{self.kv}?list=true", ()),
            (f"/v1/{self.kv}/?list=1", ()),
            (f"/v1/{self.kv}?list=T", ()),
        ]:
            with self.subTest(path=path, flags=flags):
                answer = self.expect(self.curl(path, *flags), 200)
                self.assertEqual(answer.data(), {"keys": ["a-b", "a/", "b"]})

    def test_a_list_parameter_that_is_no_boolean_is_400_without_a_text(self):
        answer = self.expect(self.curl(f"/v1/{self.kv}?list=maybe"), 400)
        self.assertEqual(answer.errors(), [])

    def test_a_list_of_nothing_is_404_without_a_text(self):
        answer = self.expect(self.curl(f"/v1/{self.kv}/none", "--request", "LIST"), 404)
        self.assertEqual(answer.errors(), [])

    def test_put_and_post_write_the_same(self):
        for method in ("PUT", "POST"):
            with self.subTest(method=method):
                flags = ("--request", method, "--data", '{"by":"%s"}' % method)
                self.expect(self.curl(f"/v1/{self.kv}/{method}", *flags), 204)
                self.assertEqual(self.server.read(f"{self.kv}/{method}").data(), {"by": method})

    def test_what_looks_like_json_is_json_whatever_its_content_type(self):
        for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
            with self.subTest(content_type=content_type):
                flags = ("--data", '{"a":[1]}', "--header", f"Content-Type: {content_type}")
                self.expect(self.curl(f"/v1/{self.kv}/x", *flags), 204)
                self.assertEqual(self.server.read(f"{self.kv}/x").data(), {"a": [1]})

    def test_a_form_becomes_parameters(self):
        flags = ("--data-urlencode", "a=x y&z", "--data-urlencode", "b=2")
        self.expect(self.curl(f"/v1/{self.kv}/form", *flags), 204)
        self.assertEqual(self.server.read(f"{self.kv}/form").data(), {"a": "x y&z", "b": "2"})

    def test_a_body_that_cannot_be_read_is_400(self):
        json_type = ("--header", "Content-Type: application/json")
        for body in ('{"a":', "not json", '[{"a":1}]', '"text"', "1", '{"a":1}}', '{"a":1} {"b":2}'):
            with self.subTest(body=body):
                answer = self.curl(f"/v1/{self.kv}/x", *json_type, "--data-binary", body)
                self.expect(answer, 400)
                self.assertIn("failed to ", answer.errors()[0])
        self.expect(self.server.read(f"{self.kv}/x"), 404)

    def test_a_byte_that_is_no_utf8_is_400(self):
        json_type = ("--header", "Content-Type: application/json")
        answer = self.curl(f"/v1/{self.kv}/x", *json_type, "--data-binary", "@-", stdin=b'{"a":"\xff"}')
        self.expect(answer, 400)

    def test_json_deeper_than_allowed_is_400_and_the_server_lives(self):
        for depth, status in ((200, 204), (1_000, 400), (1_000_000, 400)):
            with self.subTest(depth=depth):
                body = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
                self.expect(self.curl(f"/v1/{self.kv}/deep", "--data-binary", "@-", stdin=body), status)
        self.assertTrue(self.server.is_up())

    def test_a_body_of_33_mebibytes_is_413_however_it_is_sent(self):
        body = b'{"a":"' + b"x" * (33 << 20) + b'"}'
        for more in ((), ("--header", "Transfer-Encoding: chunked")):
            with self.subTest(more=more):
                answer = self.curl(f"/v1/{self.kv}/big", "--data-binary", "@-", *more, stdin=body)
                self.expect(answer, 413)
                self.assertIn("request body too large", answer.errors()[0])
        self.expect(self.server.read(f"{self.kv}/big"), 404)

    def test_patch_wants_its_own_content_type(self):
        path = self.mount("patched", "kv", options={"version": "2"}) + "/data/x"
        self.expect(self.server.write(path, {"data": {"a": 1, "b": 2}}), 200)
        patch = ("--request", "PATCH", "--data", '{"data":{"a":null,"c":3}}', "--header")
        answer = self.expect(self.curl(f"/v1/{path}", *patch, "Content-Type: application/json"), 415)
        self.assertEqual(
            answer.errors(),
            ["PATCH requires Content-Type of application/merge-patch+json, provided application/json"],
        )
        self.expect(self.curl(f"/v1/{path}", *patch, "Content-Type:"), 400)
        media_type = "Content-Type: application/merge-patch+json; charset=utf-8"
        self.expect(self.curl(f"/v1/{path}", *patch, media_type), 200)
        self.assertEqual(self.server.read(path).data()["data"], {"b": 2, "c": 3})

    def test_a_path_that_is_not_clean_is_redirected_before_policies_see_it(self):
        for path, clean in [
            (f"/v1/{self.kv}//x", f"/v1/{self.kv}/x"),
            (f"/v1/{self.kv}/./x", f"/v1/{self.kv}/x"),
            (f"/v1/{self.kv}/../sys/mounts", "/v1/sys/mounts"),
            (f"/v1/{self.kv}/a/../../sys/mounts?list=true", "/v1/sys/mounts?list=true"),
        ]:
            with self.subTest(path=path):
                answer = self.expect(self.curl(path), 307)
                self.assertEqual(answer.headers["location"], clean)

    def test_dots_that_were_encoded_are_refused(self):
        for path in (
            f"/v1/{self.kv}/%2e%2e/sys/mounts",
            f"/v1/{self.kv}/%2E%2E%2Fsys%2Fmounts",
            f"/v1/{self.kv}/..%2fsys/mounts",
            f"/v1/{self.kv}/a%2f%2e%2e%2fb",
            f"/v1/%2e%2e/{self.kv}",
        ):
            with self.subTest(path=path):
                self.expect(self.curl(path), 400)

    def test_a_path_that_is_no_text_is_400(self):
        for target in (b"/v1/secret/%ff", b"/v1/secret/%00", b"/v1/secret/%0a", b"/v1/secret/%zz",
                       b"/v1/secret/%e2%80%ae"):
            with self.subTest(target=target):
                self.expect(self.get_raw(target), 400)
        # Bytes that no URL may hold may also end the connection in a plain 400.
        self.expect(self.get_raw(b"/v1/secret/\xff\xfe"), 400)

    def test_a_name_outside_ascii_is_kept(self):
        self.expect(self.curl(f"/v1/{self.kv}/gr%C3%BC%C3%9Fe%20%E2%9C%93", "--data", '{"a":1}'), 204)
        answer = self.expect(self.curl(f"/v1/{self.kv}", "--request", "LIST"), 200)
        self.assertEqual(answer.data(), {"keys": ["grüße ✓"]})

    def test_head_is_answered_without_a_body_and_only_where_it_is_known(self):
        answer = self.expect(self.curl("/v1/sys/health", "--head"), 200)
        self.assertEqual(answer.body, b"")
        self.expect(self.curl(f"/v1/{self.kv}/x", "--head"), 405)

    def test_options_is_400(self):
        self.expect(self.curl("/v1/sys/health", "--request", "OPTIONS"), 400)

    def test_another_method_is_405_without_a_text(self):
        for method in ("BREW", "TRACE", "list"):
            with self.subTest(method=method):
                answer = self.expect(self.curl("/v1/sys/health", "--request", method), 405)
                self.assertEqual(answer.errors(), [])

    def test_what_is_outside_v1_is_404(self):
        for path in ("/", "/v2/sys/health", "/sys/health", "/v1", "/.well-known/x"):
            with self.subTest(path=path):
                self.expect(self.curl(path), 404)
        robots = self.expect(self.curl("/robots.txt"), 200)
        self.assertIn(b"Disallow: /", robots.body)

    def test_the_namespace_header_is_echoed_and_an_unknown_one_is_404(self):
        for namespace in ("", "root", "/", "root/"):
            with self.subTest(namespace=namespace):
                self.expect(self.curl("/v1/sys/mounts", "--header", f"X-Vault-Namespace: {namespace}"), 200)
        answer = self.curl("/v1/sys/mounts", "--header", "X-Vault-Namespace: nowhere")
        self.expect(answer, 404)
        self.assertEqual(answer.headers["x-vault-namespace"], "nowhere")
        self.assertIn("namespace not found", answer.errors()[0])

    def test_a_wrap_header_that_cannot_be_read_is_400(self):
        for ttl in ("-1", "-5m", "soon", "1h1"):
            with self.subTest(ttl=ttl):
                answer = self.curl("/v1/sys/mounts", "--header", f"X-Vault-Wrap-TTL: {ttl}")
                self.expect(answer, 400)
                self.assertIn("error parsing X-Vault-Wrap-TTL header: ", answer.errors()[0])

    def test_an_answer_that_was_to_be_wrapped_is_given_to_its_token_alone(self):
        self.put_items("x")
        wrap = ("--header", "X-Vault-Wrap-TTL: 5m")
        answer = self.curl(f"/v1/{self.kv}/x", *wrap)
        self.expect(answer, 200)
        body = answer.json()
        self.assertEqual((body["data"], body["auth"], body["request_id"]), (None, None, ""))
        self.assertEqual(body["wrap_info"]["ttl"], 300)
        unwrapping = ("--data", json.dumps({"token": body["wrap_info"]["token"]}))
        unwrapped = self.curl("/v1/sys/wrapping/unwrap", *unwrapping)
        self.expect(unwrapped, 200)
        self.assertFalse(unwrapped.body.endswith(b"\n"))
        plain = self.curl(f"/v1/{self.kv}/x").json()
        self.assertEqual(unwrapped.json()["data"], plain["data"])
        self.expect(self.curl("/v1/sys/wrapping/unwrap", *unwrapping), 400)
        self.expect(self.curl(f"/v1/{self.kv}/y", "--data", '{"a":1}', *wrap), 204)
        self.expect(self.curl(f"/v1/{self.kv}/x", "--header", "X-Vault-Wrap-TTL: 0"), 200)
        self.expect(self.curl("/v1/sys/seal-status", *wrap), 200)

    def test_numbers_are_kept_to_the_last_digit(self):
        v2 = self.mount("numbers_2", "kv", options={"version": "2"})
        numbers = b'{"big":12345678901234567890123,"price":1.10,"tiny":1e-400,"negative":-5}'
        self.expect(self.server.send("PUT", f"{self.kv}/n", raw=numbers), 204)
        self.expect(self.server.send("PUT", f"{v2}/data/n", raw=b'{"data":%s}' % numbers), 200)
        for path in (f"{self.kv}/n", f"{v2}/data/n"):
            with self.subTest(path=path):
                self.assertIn(numbers, self.server.read(path).body)

    def test_old_clients_find_data_at_the_top_level_too(self):
        for path, method, body in [
            ("sys/mounts", "GET", None),
            ("sys/auth", "GET", None),
            ("sys/policy", "GET", None),
            ("sys/policy/default", "GET", None),
            ("sys/capabilities-self", "POST", {"paths": ["sys/mounts"]}),
            (f"sys/mounts/{self.kv}", "GET", None),
            (f"sys/mounts/{self.kv}/tune", "GET", None),
        ]:
            with self.subTest(path=path):
                answer = self.expect(self.server.send(method, path, body=body), 200).json()
                self.assertTrue(answer["data"])
                for key, value in answer["data"].items():
                    self.assertEqual(answer[key], value, key)
                self.assertEqual(list(answer)[-8:-1], list(envelope)[1:-1])

    def test_the_envelope_keeps_its_order_and_ends_in_a_newline(self):
        self.put_items("x")
        answer = self.expect(self.curl(f"/v1/{self.kv}/x"), 200)
        self.assertEqual(list(answer.json()), envelope)
        self.assertTrue(answer.body.endswith(b"}\n"))

    def test_every_answer_has_the_common_headers(self):
        self.put_items("x")
        for path, flags, status in [
            (f"/v1/{self.kv}/x", (), 200),
            (f"/v1/{self.kv}/none", (), 404),
            (f"/v1/{self.kv}/x", ("--data", '{"a":1}'), 204),
            ("/v1/sys/health", (), 200),
            ("/v1/nowhere/x", (), 404),
            (f"/v1/{self.kv}//x", (), 307),
            (f"/v1/{self.kv}/%2e%2e/x", (), 400),
            ("/elsewhere", (), 404),
            ("/v1/sys/health", ("--request", "OPTIONS"), 400),
        ]:
            with self.subTest(path=path, flags=flags):
                answer = self.expect(self.curl(path, *flags), status)
                self.assertEqual(answer.headers["cache-control"], "no-store")
                self.assertEqual(answer.headers["content-type"], "application/json")
                self.assertEqual(
                    answer.headers["strict-transport-security"],
                    "max-age=31536000; includeSubDomains",
                )

    def test_a_token_is_taken_from_either_header_and_a_wrong_one_is_403(self):
        for headers, status in [
            (("X-Vault-Token: " + self.server.token,), 200),
            (("Authorization: Bearer " + self.server.token,), 200),
            (("X-Vault-Token: " + self.server.token, "Authorization: Bearer wrong"), 200),
            (("X-Vault-Token: wrong", "Authorization: Bearer " + self.server.token), 403),
            (("Authorization: Basic " + self.server.token,), 403),
            (("X-Vault-Token: ",), 403),
            ((), 403),
        ]:
            with self.subTest(headers=headers):
                flags = [flag for header in headers for flag in ("--header", header)]
                answer = self.curl("/v1/sys/mounts", *flags, token=False)
                self.expect(answer, status)
                if status == 403:
                    self.assertIn("permission denied", answer.errors()[0])

    def test_an_unknown_mount_is_404_to_root_and_403_to_others(self):
        answer = self.expect(self.curl("/v1/nosuch/x"), 404)
        self.assertEqual(answer.errors(), ["no handler for route \"nosuch/x\". route entry not found."])
        self.expect(self.curl("/v1/nosuch/x", token=False), 403)

    def test_requests_one_after_another_on_one_connection_do_not_mix(self):
        self.put_items("x")
        head = f"GET /v1/{self.kv}/%s HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {self.server.token}\r\n"
        first = head % "x" + "\r\n"
        last = head % "none" + "Connection: close\r\n\r\n"
        with socket.create_connection((self.server.host, self.server.port), 60) as stream:
            stream.sendall((first + last).encode())
            received = b""
            while chunk := stream.recv(65536):
                received += chunk
        self.assertEqual(received.count(b"HTTP/1.1 200"), 1)
        self.assertEqual(received.count(b"HTTP/1.1 404"), 1)
        self.assertLess(received.find(b"HTTP/1.1 200"), received.find(b"HTTP/1.1 404"))

    def test_a_request_that_could_be_read_in_two_ways_is_refused(self):
        head = b"POST /v1/sys/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        for more in (
            b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            b"Content-Length: -1\r\n\r\n",
        ):
            with self.subTest(more=more):
                self.expect(self.raw(head + more), 400)


envelope = [
    "request_id",
    "lease_id",
    "renewable",
    "lease_duration",
    "data",
    "wrap_info",
    "warnings",
    "auth",
    "mount_type",
]


def parse(received):
    """The last response in what curl or a socket has received."""
    head, _, body = received.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines]
    answer = Answer(int(status.split()[1]), headers, body)
    if answer.headers.get("content-type") == "application/json" and body:
        json.loads(body)
    return answer
