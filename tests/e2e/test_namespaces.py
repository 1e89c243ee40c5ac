"""Namespaces by both command lines, ours and OpenBao's: the same words, the same answers."""

import harness
from harness import Client, DevCase



class Namespaces(DevCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.programs = [harness.STRONGROOM, harness.bao_program()]

    def each(self):
        for number, program in enumerate(self.programs):
            with self.subTest(program=str(program)):
                yield f"cli-{number}", Client(program, self.server, self.folder)

    def test_a_namespace_is_created_shown_changed_and_listed(self):
        for name, client in self.each():
            made = client.json("namespace", "create", "-custom-metadata=a=b", name)
            self.assertEqual(made["data"]["path"] if "data" in made else made["path"], f"{name}/")
            shown = client.ok("namespace", "lookup", name).out
            self.assertIn("map[a:b]", shown)
            patched = client.ok(
                "namespace", "patch", "-custom-metadata=c=d", "-remove-custom-metadata=a", name)
            self.assertIn("map[c:d]", patched.out)
            client.ok("namespace", "create", f"-namespace={name}", "below")
            self.assertIn(f"{name}/", client.ok("namespace", "list").out)
            self.assertEqual(client.json("namespace", "list", f"-namespace={name}"), ["below/"])
            absent = client.run("namespace", "lookup", "nosuch")
            self.assertEqual((absent.status, absent.err.strip()), (2, "Namespace not found"))

    def test_secrets_of_namespaces_are_apart(self):
        for name, client in self.each():
            name = f"{name}-kv"
            client.ok("namespace", "create", name)
            client.ok("secrets", "enable", f"-namespace={name}", "-path=kv", "-version=2", "kv")
            client.ok("kv", "put", f"-namespace={name}", "-mount=kv", "x", f"v={name}")
            read = client.ok("kv", "get", f"-namespace={name}", "-mount=kv", "-field=v", "x")
            self.assertEqual(read.out.strip(), name)
            self.assertNotEqual(client.run("kv", "get", "-mount=kv", "-field=v", "x").status, 0)
            client.ok("policy", "write", f"-namespace={name}", "p", "-", stdin='path "kv/*" { capabilities = ["read"] }')
            token = client.ok(
                "token", "create", f"-namespace={name}", "-policy=p", "-field=token").out.strip()
            self.assertIn(".", token.removeprefix("hvs."))
            self.assertEqual(self.server.send(
                "GET", f"{name}/kv/data/x", token=token).status, 200)
            self.assertEqual(self.server.send("GET", "secret/data/x", token=token).status, 403)

    def test_a_locked_namespace_is_unlocked_with_its_key_and_one_is_deleted(self):
        for name, client in self.each():
            name = f"{name}-lock"
            client.ok("namespace", "create", name)
            locked = client.ok("namespace", "lock", name).out
            self.assertIn("Namespace is now locked.", locked)
            key = locked.split("Unlock Key: ")[1].split()[0]
            refused = client.run("secrets", "list", f"-namespace={name}")
            self.assertEqual(refused.status, 2)
            self.assertIn("has been locked by an administrator", refused.err)
            client.ok("namespace", "unlock", f"-unlock-key={key}", name)
            client.ok("secrets", "list", f"-namespace={name}")
            gone = client.ok("namespace", "delete", name).out
            self.assertIn(f"Success! Namespace deletion scheduled: {name}/", gone)
