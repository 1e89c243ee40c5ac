"""OpenBao's command line, which is built on the official Go client, against our server: not only
that it is content, but that it did what it said."""

import json
import pathlib

import harness
from harness import Client, DevCase


class Bao(DevCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = harness.bao_program()

    def setUp(self):
        self.bao = Client(self.program, self.server, self.folder)

    def test_status_ends_with_0_and_shows_an_unsealed_server(self):
        status = self.bao.json("status")
        self.assertEqual((status["initialized"], status["sealed"]), (True, False))
        self.assertEqual((status["t"], status["n"], status["type"]), (1, 1, "shamir"))

    def test_what_put_wrote_get_reads_version_by_version(self):
        written = self.bao.json("kv", "put", "-mount=secret", "bao/put/a", "x=1", "y=two words")
        self.assertEqual(written["data"]["version"], 1)
        self.bao.ok("kv", "put", "secret/bao/put/a", "x=2")
        self.assertEqual(self.bao.ok("kv", "get", "-field=x", "secret/bao/put/a").out, "2")
        first = self.bao.json("kv", "get", "-version=1", "secret/bao/put/a")
        self.assertEqual(first["data"]["data"], {"x": "1", "y": "two words"})
        self.assertEqual(first["data"]["metadata"]["version"], 1)
        self.assertEqual(self.bao.json("kv", "list", "secret/bao/put"), ["a"])

    def test_check_and_set_refuses_what_is_not_the_newest(self):
        self.bao.ok("kv", "put", "-cas=0", "secret/bao/cas", "x=1")
        refused = self.bao.run("kv", "put", "-cas=0", "secret/bao/cas", "x=2")
        self.assertEqual(refused.status, 2, refused)
        self.assertIn("check-and-set parameter did not match the current version", refused.err)
        self.bao.ok("kv", "put", "-cas=1", "secret/bao/cas", "x=3")
        self.assertEqual(self.bao.ok("kv", "get", "-field=x", "secret/bao/cas").out, "3")

    def test_patch_keeps_the_other_fields_in_both_ways(self):
        self.bao.ok("kv", "put", "secret/bao/patch", "a=1", "b=2")
        self.bao.ok("kv", "patch", "-method=patch", "secret/bao/patch", "b=3")
        self.bao.ok("kv", "patch", "-method=rw", "secret/bao/patch", "c=4")
        read = self.bao.json("kv", "get", "secret/bao/patch")
        self.assertEqual(read["data"]["data"], {"a": "1", "b": "3", "c": "4"})
        missing = self.bao.run("kv", "patch", "secret/bao/none", "b=3")
        self.assertEqual(missing.status, 2, missing)

    def test_deleted_versions_come_back_and_destroyed_ones_do_not(self):
        for number in range(3):
            self.bao.ok("kv", "put", "secret/bao/gone", f"x={number + 1}")
        self.bao.ok("kv", "delete", "secret/bao/gone")
        self.assertNotEqual(self.bao.run("kv", "get", "-field=x", "secret/bao/gone").status, 0)
        self.bao.ok("kv", "undelete", "-versions=3", "secret/bao/gone")
        self.assertEqual(self.bao.ok("kv", "get", "-field=x", "secret/bao/gone").out, "3")
        self.bao.ok("kv", "destroy", "-versions=1,2", "secret/bao/gone")
        self.bao.ok("kv", "undelete", "-versions=1", "secret/bao/gone")
        first = self.bao.run("kv", "get", "-version=1", "-field=x", "secret/bao/gone")
        self.assertNotEqual(first.status, 0, first)
        versions = self.bao.json("kv", "metadata", "get", "secret/bao/gone")["data"]["versions"]
        self.assertEqual([versions[n]["destroyed"] for n in "123"], [True, True, False])
        self.bao.ok("kv", "metadata", "delete", "secret/bao/gone")
        self.assertEqual(self.bao.run("kv", "metadata", "get", "secret/bao/gone").status, 2)

    def test_rollback_makes_an_older_version_the_newest(self):
        self.bao.ok("kv", "put", "secret/bao/back", "x=1")
        self.bao.ok("kv", "put", "secret/bao/back", "x=2", "y=2")
        self.assertEqual(self.bao.json("kv", "rollback", "-version=1", "secret/bao/back")["data"]["version"], 3)
        read = self.bao.json("kv", "get", "secret/bao/back")
        self.assertEqual(read["data"]["data"], {"x": "1"})

    def test_metadata_limits_the_versions_and_demands_check_and_set(self):
        self.bao.ok(
            "kv", "metadata", "put", "-max-versions=2", "-cas-required=true",
            "-custom-metadata=owner=me", "secret/bao/meta",
        )
        refused = self.bao.run("kv", "put", "secret/bao/meta", "x=1")
        self.assertIn("check-and-set parameter required", refused.err)
        for number in range(4):
            self.bao.ok("kv", "put", f"-cas={number}", "secret/bao/meta", f"x={number}")
        data = self.bao.json("kv", "metadata", "get", "secret/bao/meta")["data"]
        self.assertEqual(sorted(data["versions"]), ["3", "4"])
        self.assertEqual(data["custom_metadata"], {"owner": "me"})
        self.assertEqual((data["oldest_version"], data["current_version"]), (3, 4))

    def test_secrets_come_from_files_and_standard_input(self):
        file = pathlib.Path(self.bao.home) / "value"
        file.write_text("from a file\nof two lines")
        self.bao.ok("kv", "put", "secret/bao/file", f"x=@{file}", "y=-", stdin="from stdin")
        read = self.bao.json("kv", "get", "secret/bao/file")["data"]["data"]
        self.assertEqual(read, {"x": "from a file\nof two lines", "y": "from stdin"})
        whole = {"number": 12345678901234567890, "list": [1, {"a": None}], "text": "ü"}
        self.bao.ok("kv", "put", "secret/bao/whole", "-", stdin=json.dumps(whole))
        read = self.bao.json("kv", "get", "secret/bao/whole")["data"]["data"]
        self.assertEqual(read, whole)

    def test_a_version_1_mount_keeps_one_value(self):
        self.bao.ok("secrets", "enable", "-path=bao1", "-version=1", "kv")
        self.bao.ok("kv", "put", "bao1/a/b", "x=1")
        self.bao.ok("kv", "put", "bao1/a/b", "y=2")
        self.assertEqual(self.bao.json("kv", "get", "bao1/a/b")["data"], {"y": "2"})
        self.assertEqual(self.bao.json("kv", "list", "bao1"), ["a/"])
        self.bao.ok("kv", "delete", "bao1/a/b")
        self.assertEqual(self.bao.run("kv", "get", "bao1/a/b").status, 2)
        self.assertEqual(self.bao.run("kv", "list", "bao1").status, 2)

    def test_engines_are_enabled_tuned_and_disabled_with_all_they_held(self):
        self.bao.ok("secrets", "enable", "-path=bao/deep", "-description=mine", "kv-v2")
        self.bao.ok("kv", "put", "bao/deep/x", "a=1")
        self.bao.ok("secrets", "tune", "-default-lease-ttl=90m", "-description=ours", "bao/deep")
        self.bao.ok("secrets", "tune", "-max-lease-ttl=3h", "bao/deep")
        mount = self.bao.json("secrets", "list")["bao/deep/"]
        self.assertEqual((mount["type"], mount["options"]), ("kv", {"version": "2"}))
        self.assertEqual(mount["config"]["default_lease_ttl"], 5400)
        self.assertEqual(mount["config"]["max_lease_ttl"], 10800)
        self.bao.ok("secrets", "disable", "bao/deep")
        self.assertNotIn("bao/deep/", self.bao.json("secrets", "list"))
        self.bao.ok("secrets", "enable", "-path=bao/deep", "kv-v2")
        self.assertEqual(self.bao.run("kv", "get", "bao/deep/x").status, 2)

    def test_policies_are_written_read_listed_and_deleted(self):
        text = 'path "secret/data/bao/*" {\n  capabilities = ["read"]\n}\n'
        self.bao.ok("policy", "write", "Bao", "-", stdin=text)
        self.assertEqual(self.bao.ok("policy", "read", "bao").out.strip(), text.strip())
        self.assertIn("bao", self.bao.json("policy", "list"))
        self.bao.ok("policy", "delete", "bao")
        self.assertNotIn("bao", self.bao.json("policy", "list"))
        refused = self.bao.run("policy", "write", "bao", "-", stdin="path {")
        self.assertEqual(refused.status, 2, refused)
        self.assertIn("failed to parse policy", refused.err)

    def test_auth_methods_are_listed(self):
        methods = self.bao.json("auth", "list")
        self.assertEqual(methods["token/"]["type"], "token")
        unknown = self.bao.run("auth", "enable", "nosuch")
        self.assertIn("plugin not found in the catalog: nosuch", unknown.err)

    def test_capabilities_of_the_root_token_are_root(self):
        self.assertEqual(self.bao.ok("token", "capabilities", "secret/x").out.strip(), "root")

    def test_any_path_can_be_written_read_listed_and_deleted(self):
        self.bao.ok("write", "cubbyhole/bao/a", "k=v")
        self.assertEqual(self.bao.json("read", "cubbyhole/bao/a")["data"], {"k": "v"})
        self.assertEqual(self.bao.json("list", "cubbyhole/bao"), ["a"])
        self.bao.ok("delete", "cubbyhole/bao/a")
        self.assertEqual(self.bao.run("read", "cubbyhole/bao/a").status, 2)

    def test_an_outline_of_a_request_can_be_run_by_curl(self):
        self.bao.ok("kv", "put", "secret/bao/curl", "a=1")
        outline = self.bao.ok("read", "-output-curl-string", "secret/data/bao/curl").out
        self.assertTrue(outline.startswith("curl "), outline)
        self.assertNotIn(self.server.token, outline)
