"""Tokens, with OpenBao's command line, ours and hvac."""

import harness
from harness import Client, DevCase

try:
    import hvac
    import hvac.exceptions
except ImportError:
    hvac = None

POLICY = 'path "secret/data/mine/*" { capabilities = ["create", "read", "update"] }'


class Tokens(DevCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.programs = (harness.bao_program(), harness.STRONGROOM)
        answer = cls.server.write("sys/policies/acl/mine", {"policy": POLICY})
        assert answer.status == 204, answer

    def each(self):
        for program in self.programs:
            client = Client(program, self.server, self.folder)
            with self.subTest(program=program):
                yield client

    def test_a_token_may_do_what_its_policies_allow_and_no_more(self):
        for client in self.each():
            made = client.json("token", "create", "-policy=mine", "-ttl=1h")["auth"]
            self.assertEqual(made["policies"], ["default", "mine"])
            self.assertEqual(made["lease_duration"], 3600)
            client.token = made["client_token"]
            client.ok("kv", "put", "secret/mine/a", "x=1")
            refused = client.run("kv", "put", "secret/other/a", "x=1")
            self.assertEqual(refused.status, 2, refused)
            self.assertIn("permission denied", refused.err)
            shown = client.ok("token", "capabilities", "secret/data/mine/a").out.strip()
            self.assertEqual(shown, "create, read, update")
            self.assertEqual(client.ok("token", "capabilities", "secret/data/x").out.strip(), "deny")

    def test_a_token_is_looked_up_renewed_and_revoked_with_its_children(self):
        for client in self.each():
            parent = client.json("token", "create", "-policy=root", "-ttl=1h")["auth"]["client_token"]
            root, client.token = client.token, parent
            child = client.json("token", "create", "-ttl=30m")["auth"]["client_token"]
            found = client.json("token", "lookup", child)["data"]
            self.assertEqual((found["creation_ttl"], found["orphan"]), (1800, False))
            renewed = client.json("token", "renew", "-increment=20m", child)["auth"]
            self.assertLessEqual(renewed["lease_duration"], 1800)
            client.token = root
            client.ok("token", "revoke", parent)
            for gone in (parent, child):
                self.assertEqual(client.run("token", "lookup", gone).status, 2)

    def test_login_keeps_the_token_and_a_wrong_one_is_refused(self):
        for client in self.each():
            token, client.token = client.token, ""
            refused = client.run("login", "wrong")
            self.assertNotEqual(refused.status, 0, refused)
            client.ok("login", token)
            self.assertEqual(client.json("token", "lookup")["data"]["policies"], ["root"])

    def test_the_last_use_of_a_token_is_its_last(self):
        for client in self.each():
            made = client.json("token", "create", "-policy=mine", "-use-limit=2")["auth"]
            token = made["client_token"]
            for status in (404, 404, 403):
                self.expect(self.server.read("secret/data/mine/none", token=token), status)

    def test_a_use_counts_where_it_was_refused_too(self):
        made = self.expect(self.server.write("auth/token/create", {"policies": ["mine"], "num_uses": 2}), 200)
        token = made.json()["auth"]["client_token"]
        self.expect(self.server.read("secret/data/other", token=token), 403)
        self.expect(self.server.read("secret/data/mine/none", token=token), 404)
        self.expect(self.server.read("secret/data/mine/none", token=token), 403)

    def test_hvac_makes_looks_up_renews_and_revokes(self):
        if hvac is None:
            self.skipTest("hvac is missing: tests/run installs it")
        client = hvac.Client(url=self.server.address, token=self.server.token)
        self.addCleanup(client.adapter.close)
        self.assertTrue(client.is_authenticated())
        made = client.auth.token.create(policies=["mine"], ttl="1h", meta={"who": "me"})["auth"]
        found = client.auth.token.lookup(made["client_token"])["data"]
        self.assertEqual((found["meta"], found["policies"]), ({"who": "me"}, ["default", "mine"]))
        by_accessor = client.auth.token.lookup_accessor(made["accessor"])["data"]
        self.assertEqual(by_accessor["id"], "")
        client.auth.token.renew(made["client_token"])
        client.auth.token.revoke(made["client_token"])
        with self.assertRaises(hvac.exceptions.Forbidden):
            client.auth.token.lookup(made["client_token"])
        client.token = "wrong"
        self.assertFalse(client.is_authenticated())
