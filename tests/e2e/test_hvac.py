"""Python's client, hvac: what people's programs call."""

from harness import DevCase

try:
    import hvac
    import hvac.exceptions
except ImportError:
    hvac = None


class Hvac(DevCase):
    def setUp(self):
        if hvac is None:
            self.skipTest("hvac is missing: tests/run installs it")
        self.client = hvac.Client(url=self.server.address, token=self.server.token)
        self.addCleanup(self.client.adapter.close)

    def test_the_server_tells_its_state(self):
        self.assertTrue(self.client.sys.is_initialized())
        self.assertFalse(self.client.sys.is_sealed())
        self.assertEqual(self.client.sys.read_seal_status()["t"], 1)
        self.assertTrue(self.client.sys.read_health_status(method="GET")["initialized"])
        self.assertEqual(self.client.sys.read_health_status(method="HEAD").status_code, 200)
        self.assertTrue(self.client.sys.read_leader_status()["is_self"])

    def test_secrets_of_version_2_live_their_life(self):
        kv = self.client.secrets.kv.v2
        self.assertEqual(kv.create_or_update_secret("h/a", {"x": "1"})["data"]["version"], 1)
        kv.create_or_update_secret("h/a", {"x": "2"}, cas=1)
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "check-and-set"):
            kv.create_or_update_secret("h/a", {"x": "3"}, cas=1)
        kv.patch("h/a", {"y": "2"})
        self.assertEqual(kv.read_secret_version("h/a")["data"]["data"], {"x": "2", "y": "2"})
        self.assertEqual(kv.read_secret_version("h/a", version=1)["data"]["data"], {"x": "1"})
        self.assertEqual(kv.list_secrets("h")["data"]["keys"], ["a"])
        kv.update_metadata("h/a", max_versions=5, cas_required=True, custom_metadata={"k": "v"})
        metadata = kv.read_secret_metadata("h/a")["data"]
        self.assertEqual(metadata["max_versions"], 5)
        self.assertEqual(metadata["custom_metadata"], {"k": "v"})
        kv.delete_latest_version_of_secret("h/a")
        with self.assertRaises(hvac.exceptions.InvalidPath):
            kv.read_secret_version("h/a", raise_on_deleted_version=True)
        deleted = kv.read_secret_version("h/a", raise_on_deleted_version=False)
        self.assertIsNone(deleted["data"]["data"])
        kv.undelete_secret_versions("h/a", [3])
        kv.delete_secret_versions("h/a", [1])
        kv.destroy_secret_versions("h/a", [1, 2])
        self.assertTrue(kv.read_secret_metadata("h/a")["data"]["versions"]["1"]["destroyed"])
        kv.delete_metadata_and_all_versions("h/a")
        with self.assertRaises(hvac.exceptions.InvalidPath):
            kv.read_secret_metadata("h/a")

    def test_the_configuration_of_a_mount_of_version_2_is_read_and_written(self):
        self.client.sys.enable_secrets_engine("kv", path="hv2", options={"version": "2"})
        kv = self.client.secrets.kv.v2
        kv.configure(max_versions=3, cas_required=True, delete_version_after="3h", mount_point="hv2")
        read = kv.read_configuration(mount_point="hv2")["data"]
        self.assertEqual((read["max_versions"], read["cas_required"]), (3, True))

    def test_secrets_of_version_1_live_their_life(self):
        self.client.sys.enable_secrets_engine("kv", path="hv1", options={"version": "1"})
        kv = self.client.secrets.kv.v1
        kv.create_or_update_secret("a", {"x": [1, {"deep": None}]}, mount_point="hv1")
        read = kv.read_secret("a", mount_point="hv1")["data"]
        self.assertEqual(read, {"x": [1, {"deep": None}]})
        self.assertEqual(kv.list_secrets("", mount_point="hv1")["data"]["keys"], ["a"])
        kv.delete_secret("a", mount_point="hv1")
        with self.assertRaises(hvac.exceptions.InvalidPath):
            kv.read_secret("a", mount_point="hv1")

    def test_mounts_are_enabled_tuned_and_disabled(self):
        sys = self.client.sys
        sys.enable_secrets_engine("kv", path="m1", description="one", options={"version": "1"})
        # It reads the copy at the top level, which old clients know.
        self.assertEqual(sys.list_mounted_secrets_engines()["m1/"]["description"], "one")
        sys.tune_mount_configuration("m1", default_lease_ttl="1h", max_lease_ttl="2h")
        tuned = sys.read_mount_configuration("m1")["data"]
        self.assertEqual((tuned["default_lease_ttl"], tuned["max_lease_ttl"]), (3600, 7200))
        sys.disable_secrets_engine("m1")
        self.assertNotIn("m1/", sys.list_mounted_secrets_engines()["data"])

    def test_policies_are_written_read_listed_and_deleted(self):
        sys = self.client.sys
        text = 'path "secret/data/*" { capabilities = ["read"] }'
        sys.create_or_update_policy("h1", text)
        self.assertEqual(sys.read_policy("h1")["data"]["rules"], text)
        self.assertIn("h1", sys.list_policies()["data"]["policies"])
        sys.create_or_update_acl_policy("h2", {"path": {"x": {"capabilities": ["list"]}}})
        self.assertIn("h2", sys.list_acl_policies()["data"]["keys"])
        self.assertIn("list", sys.read_acl_policy("h2")["data"]["policy"])
        sys.delete_policy("h1")
        sys.delete_acl_policy("h2")
        self.assertNotIn("h1", sys.list_policies()["data"]["policies"])
        self.assertEqual(sys.get_capabilities(["secret/x"])["data"]["capabilities"], ["root"])

    def test_anything_can_be_written_and_read(self):
        self.client.write_data("cubbyhole/h/a", data={"k": "v"})
        self.assertEqual(self.client.read("cubbyhole/h/a")["data"], {"k": "v"})
        self.assertEqual(self.client.list("cubbyhole/h")["data"]["keys"], ["a"])
        self.client.delete("cubbyhole/h/a")
        self.assertIsNone(self.client.read("cubbyhole/h/a"))
        self.assertIsNone(self.client.list("cubbyhole/h"))

    def test_a_wrong_token_is_forbidden(self):
        stranger = hvac.Client(url=self.server.address, token="wrong")
        self.addCleanup(stranger.adapter.close)
        with self.assertRaises(hvac.exceptions.Forbidden):
            stranger.secrets.kv.v2.read_secret_version("x", raise_on_deleted_version=True)
