"""Response wrapping and login methods, with OpenBao's command line, ours and hvac."""

import concurrent.futures
import json
import pathlib

import harness
from harness import Client, DevCase, Process, clean_env, wait_for

try:
    import hvac
    import hvac.exceptions
except ImportError:
    hvac = None

POLICY = 'path "secret/data/mine/*" { capabilities = ["create", "read", "update"] }'


class Logins(DevCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.programs = (harness.bao_program(), harness.STRONGROOM)
        for path, body in [
            ("sys/policies/acl/mine", {"policy": POLICY}),
            ("sys/auth/userpass", {"type": "userpass"}),
            ("sys/auth/approle", {"type": "approle"}),
        ]:
            answer = cls.server.write(path, body)
            assert answer.status == 204, answer

    def each(self):
        for program in self.programs:
            client = Client(program, self.server, self.folder)
            with self.subTest(program=program):
                yield client

    def hvac(self, token=None):
        if hvac is None:
            self.skipTest("hvac is missing: tests/run installs it")
        client = hvac.Client(url=self.server.address, token=token or self.server.token)
        self.addCleanup(client.adapter.close)
        return client

    def test_command_lines_wrap_and_unwrap(self):
        for client in self.each():
            client.ok("kv", "put", "secret/wrapped", "x=1")
            wrapped = client.json("kv", "get", "-wrap-ttl=5m", "secret/wrapped")["wrap_info"]
            self.assertEqual(wrapped["ttl"], 300)
            self.assertEqual(wrapped["creation_path"], "secret/data/wrapped")
            unwrapped = client.json("unwrap", wrapped["token"])
            self.assertEqual(unwrapped["data"]["data"], {"x": "1"})
            again = client.run("unwrap", wrapped["token"])
            self.assertEqual(again.status, 2, again)
            self.assertIn("wrapping token is not valid or does not exist", again.err)
            # Without a token of one's own.
            field = client.ok("token", "create", "-policy=mine", "-wrap-ttl=60", "-field=wrapping_token")
            root, client.token = client.token, ""
            auth = client.json("unwrap", field.out.strip())["auth"]
            self.assertEqual(auth["policies"], ["default", "mine"])
            client.token = root

    def test_hvac_wraps_looks_up_rewraps_and_unwraps(self):
        client = self.hvac()
        wrapped = client.sys.wrap({"a": 1}, ttl=60)["wrap_info"]
        looked = client.write("sys/wrapping/lookup", token=wrapped["token"])["data"]
        self.assertEqual((looked["creation_ttl"], looked["creation_path"]), (60, "sys/wrapping/wrap"))
        again = client.write("sys/wrapping/rewrap", token=wrapped["token"])["wrap_info"]
        self.assertEqual(client.sys.unwrap(again["token"])["data"], {"a": 1})
        with self.assertRaisesRegex(hvac.exceptions.InvalidRequest, "wrapping token is not valid"):
            client.sys.unwrap(again["token"])

    def test_users_log_in_with_both_command_lines(self):
        self.expect(self.server.write("auth/userpass/users/bob", {"password": "pw", "token_policies": "mine"}), 204)
        for client in self.each():
            client.token = ""
            client.ok("login", "-method=userpass", "username=bob", "password=pw")
            client.ok("kv", "put", "secret/mine/bob", "x=1")
            shown = client.json("token", "lookup")["data"]
            self.assertEqual((shown["display_name"], shown["meta"]), ("userpass-bob", {"username": "bob"}))
            refused = client.run("login", "-method=userpass", "username=bob", "password=no")
            self.assertEqual(refused.status, 2, refused)
            self.assertIn("invalid username or password", refused.err)
            again = client.ok("login", "-method=userpass", "-token-only", "username=BOB", "password=pw")
            self.assertTrue(again.out.startswith("hvs."), again)

    def test_hvac_keeps_users(self):
        client = self.hvac()
        userpass = client.auth.userpass
        userpass.create_or_update_user("ann", password="pw", policies="mine", token_ttl="30m")
        self.assertEqual(userpass.read_user("ann")["data"]["token_ttl"], 1800)
        self.assertIn("ann", userpass.list_user()["data"]["keys"])
        userpass.update_password_on_user("ann", "pw2")
        with self.assertRaises(hvac.exceptions.InvalidRequest):
            userpass.login("ann", "pw", use_token=False)
        auth = userpass.login("ann", "pw2", use_token=False)["auth"]
        self.assertEqual((auth["policies"], auth["lease_duration"]), (["default", "mine"], 1800))
        userpass.delete_user("ann")
        with self.assertRaises(hvac.exceptions.InvalidRequest):
            userpass.login("ann", "pw2", use_token=False)

    def test_failed_logins_lock_a_user_out(self):
        self.expect(self.server.write("auth/userpass/users/eve", {"password": "pw"}), 204)
        login = lambda word: self.server.write("auth/userpass/login/eve", {"password": word}, token="")
        for _ in range(5):
            self.expect(login("no"), 400)
        self.expect(login("pw"), 403)
        locked = self.server.read("sys/locked-users").data()
        accessor = locked["by_namespace"][0]["mount_accessors"][0]["mount_accessor"]
        client = self.hvac()
        client.write(f"sys/locked-users/{accessor}/unlock/eve")
        self.expect(login("pw"), 200)

    def test_programs_log_in_with_both_command_lines(self):
        for number, client in enumerate(self.each()):
            role = f"auth/approle/role/cli{number}"
            client.ok("write", role, "token_policies=mine", "secret_id_num_uses=1", "token_ttl=20m")
            role_id = client.ok("read", "-field=role_id", f"{role}/role-id").out.strip()
            secret_id = client.ok("write", "-f", "-field=secret_id", f"{role}/secret-id").out.strip()
            login = ("write", "auth/approle/login", f"role_id={role_id}", f"secret_id={secret_id}")
            auth = client.json(*login)["auth"]
            self.assertEqual((auth["policies"], auth["lease_duration"]), (["default", "mine"], 1200))
            used = client.run(*login)
            self.assertEqual(used.status, 2, used)
            self.assertIn("invalid role or secret ID", used.err)
            # A secret id travels wrapped, and its accessor is told.
            wrapped = client.json("write", "-f", "-wrap-ttl=60", f"{role}/secret-id")["wrap_info"]
            listed = client.json("list", f"{role}/secret-id")
            self.assertEqual(listed, [wrapped["wrapped_accessor"]])
            root, client.token = client.token, ""
            secret_id = client.ok("unwrap", "-field=secret_id", wrapped["token"]).out.strip()
            client.ok("write", "auth/approle/login", f"role_id={role_id}", f"secret_id={secret_id}")
            client.token = root

    def test_hvac_keeps_roles_and_secret_ids(self):
        approle = self.hvac().auth.approle
        approle.create_or_update_approle("h", token_policies=["mine"], secret_id_ttl="10m")
        self.assertEqual(approle.read_role("h")["data"]["token_policies"], ["mine"])
        self.assertIn("h", approle.list_roles()["data"]["keys"])
        approle.update_role_id("h", "hvac-role")
        role_id = approle.read_role_id("h")["data"]["role_id"]
        made = approle.generate_secret_id("h", metadata={"team": "a"})["data"]
        read = approle.read_secret_id("h", made["secret_id"])["data"]
        self.assertEqual((read["metadata"], read["secret_id_ttl"]), ({"team": "a"}, 600))
        auth = approle.login(role_id, made["secret_id"], use_token=False)["auth"]
        self.assertEqual(auth["metadata"], {"role_name": "h", "team": "a"})
        accessors = approle.list_secret_id_accessors("h")["data"]["keys"]
        self.assertEqual(accessors, [made["secret_id_accessor"]])
        approle.destroy_secret_id_accessor("h", accessors[0])
        with self.assertRaises(hvac.exceptions.InvalidRequest):
            approle.login(role_id, made["secret_id"], use_token=False)
        custom = approle.create_custom_secret_id("h", "my own")["data"]["secret_id"]
        self.assertEqual(custom, "my own")
        approle.delete_role("h")

    def test_openbao_s_agent_logs_in_by_a_wrapped_secret_id(self):
        role = "auth/approle/role/agent"
        self.expect(self.server.write(role, {"token_policies": "mine", "token_ttl": "1h"}), 204)
        role_id = self.server.read(f"{role}/role-id").data()["role_id"]
        answer = self.server.write(f"{role}/secret-id", headers={"X-Vault-Wrap-TTL": "300"})
        folder = pathlib.Path(self.folder) / "agent"
        folder.mkdir()
        (folder / "role").write_text(role_id)
        (folder / "secret").write_text(answer.json()["wrap_info"]["token"])
        (folder / "agent.hcl").write_text(
            f'vault {{ address = "{self.server.address}" }}\n'
            "auto_auth {\n"
            '  method "approle" {\n    config = {\n'
            f'      role_id_file_path = "{folder}/role"\n'
            f'      secret_id_file_path = "{folder}/secret"\n'
            f'      secret_id_response_wrapping_path = "{role}/secret-id"\n'
            "    }\n  }\n"
            f'  sink "file" {{ config = {{ path = "{folder}/token" }} }}\n}}\n'
        )
        arguments = [harness.bao_program(), "agent", f"-config={folder}/agent.hcl"]
        agent = Process(arguments, folder, "agent", clean_env(folder))
        self.addCleanup(agent.kill)

        def token():
            assert agent.is_running(), agent.output()
            file = folder / "token"
            return file.exists() and file.read_text()

        found = self.server.read("auth/token/lookup-self", token=wait_for("the agent's token", token))
        self.assertEqual(found.data()["meta"], {"role_name": "agent"})

    def test_of_many_clients_one_uses_a_secret_id_for_one_use(self):
        self.expect(self.server.write("auth/approle/role/once", {"secret_id_num_uses": 1, "role_id": "once"}), 204)
        secret_id = self.server.write("auth/approle/role/once/secret-id").data()["secret_id"]
        body = json.loads(json.dumps({"role_id": "once", "secret_id": secret_id}))
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            tries = [pool.submit(self.server.write, "auth/approle/login", body, token="") for _ in range(64)]
            statuses = sorted(one.result().status for one in tries)
        self.assertEqual(statuses.count(200), 1, statuses)
