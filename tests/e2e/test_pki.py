"""Certificates, checked by programs that others wrote."""

import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import unittest

try:
    import hvac
except ImportError:
    hvac = None

from harness import DevCase


class Pki(DevCase):
    def setUp(self):
        if shutil.which("openssl") is None:
            self.skipTest("openssl is missing: tests/run installs it")
        for mount in ("pki", "int"):
            self.server.write(f"sys/mounts/{mount}", {"type": "pki"})
        self.dir = pathlib.Path(self.folder)

    def tearDown(self):
        for mount in ("pki", "int"):
            self.server.send("DELETE", f"sys/mounts/{mount}")

    def write(self, path, body):
        answer = self.server.write(path, body)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["data"]

    def file(self, name, text):
        path = self.dir / name
        path.write_text(text + "\n")
        return path

    def openssl(self, *args, fails=False):
        done = subprocess.run(
            ["openssl", *map(str, args)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode != 0, fails, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def chain(self, kind, bits):
        """A root, an intermediate that it signed, and a role of it."""
        ask = {"common_name": "root", "key_type": kind, "key_bits": bits, "ttl": "700h"}
        root = self.write("pki/root/generate/internal", ask)
        made = self.write("int/intermediate/generate/internal",
                          {"common_name": "middle", "key_type": kind, "key_bits": bits})
        signed = self.write("pki/root/sign-intermediate",
                            {"csr": made["csr"], "common_name": "middle", "ttl": "600h"})
        self.write("int/intermediate/set-signed",
                   {"certificate": signed["certificate"] + "\n" + root["certificate"]})
        self.write("int/config/urls", {
            "issuing_certificates": "http://ca.example.com/ca",
            "crl_distribution_points": "http://ca.example.com/crl",
            "ocsp_servers": "http://ca.example.com/ocsp",
        })
        self.write("int/roles/web", {
            "allow_any_name": True, "key_type": kind, "key_bits": bits, "ttl": "1h",
            "ou": "a,b", "organization": "Bücher", "country": "DE",
            "policy_identifiers": "1.3.6.1.4.1.99999.1",
            "basic_constraints_valid_for_non_ca": True,
            "allowed_other_sans": "*", "allowed_uri_sans": "*",
        })
        return self.file("root.pem", root["certificate"]), self.file(
            "middle.pem", signed["certificate"])

    def test_openssl_verifies_chains_and_lists_of_every_type_of_key(self):
        for kind, bits in (("rsa", 2048), ("ec", 256), ("ec", 384), ("ec", 521), ("ed25519", 0)):
            with self.subTest(kind=kind, bits=bits):
                self.tearDown()
                self.setUp()
                root, middle = self.chain(kind, bits)
                leaf = self.write("int/issue/web", {
                    "common_name": "a.example.com", "alt_names": "b.example.com,x@example.com",
                    "ip_sans": "127.0.0.1,::1", "uri_sans": "spiffe://a/b",
                    "other_sans": "1.3.6.1.4.1.311.20.2.3;utf8:me@example.com"})
                path = self.file("leaf.pem", leaf["certificate"])
                self.openssl("verify", "-x509_strict", "-CAfile", root, "-untrusted", middle, path)
                shown = self.openssl("x509", "-in", path, "-noout", "-text")
                for said in ("OU", "CA:FALSE", "http://ca.example.com/crl", "me@example.com",
                             "spiffe://a/b", "1.3.6.1.4.1.99999.1"):
                    self.assertIn(said, shown)
                self.openssl("pkey", "-in", self.file("key.pem", leaf["private_key"]), "-check")
                self.write("int/revoke", {"serial_number": leaf["serial_number"]})
                crl = self.server.send("GET", "int/crl/pem")
                crls = self.file("crl.pem", crl.body if isinstance(crl.body, str)
                                 else crl.body.decode())
                self.openssl("crl", "-in", crls, "-noout", "-CAfile", middle)
                told = self.openssl("verify", "-crl_check", "-partial_chain", "-CAfile", middle,
                                    "-CRLfile", crls, path, fails=True)
                self.assertIn("revoked", told)

    def test_a_tls_handshake_holds_with_what_was_issued(self):
        root, middle = self.chain("ec", 256)
        leaf = self.write("int/issue/web", {
            "common_name": "localhost", "format": "pem_bundle", "remove_roots_from_chain": True})
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(self.file("bundle.pem", leaf["certificate"]))
        asking = ssl.create_default_context(cafile=root)
        here, there = socket.socketpair()
        there.settimeout(30)

        def serve():
            with serving.wrap_socket(there, server_side=True) as served:
                served.sendall(b"hello")

        thread = threading.Thread(target=serve)
        thread.start()
        here.settimeout(30)
        with asking.wrap_socket(here, server_hostname="localhost") as client:
            self.assertEqual(client.recv(5), b"hello")
        thread.join(30)

    def test_openssls_request_is_signed(self):
        self.chain("ec", 256)
        request = self.dir / "request.pem"
        self.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=c.example.com",
                     "-addext", "subjectAltName=DNS:d.example.com", "-keyout",
                     self.dir / "own.pem", "-out", request)
        self.write("int/roles/any", {"allow_any_name": True, "key_type": "any", "ttl": "1h"})
        for path in ("int/sign/any", "int/sign-verbatim"):
            signed = self.write(path, {"csr": request.read_text(), "ttl": "1h"})
            shown = self.openssl("x509", "-noout", "-text", "-in",
                                 self.file("signed.pem", signed["certificate"]))
            self.assertIn("d.example.com", shown)

    def test_hvac_makes_a_root_and_issues_and_revokes(self):
        if hvac is None:
            self.skipTest("hvac is missing: tests/run installs it")
        client = hvac.Client(url=self.server.address, token=self.server.token)
        self.addCleanup(client.adapter.close)
        pki = client.secrets.pki
        made = pki.generate_root("exported", "root", {"key_type": "ec", "ttl": "700h"})
        self.assertEqual(made["data"]["private_key_type"], "ec")
        pki.create_or_update_role("web", {"allow_any_name": True, "key_type": "ec", "ttl": "1h"})
        self.assertEqual(pki.list_roles()["data"]["keys"], ["web"])
        self.assertTrue(pki.read_role("web")["data"]["allow_any_name"])
        issued = pki.generate_certificate("web", "a.example.com")["data"]
        serial = issued["serial_number"]
        self.assertIn(serial, pki.list_certificates()["data"]["keys"])
        self.assertEqual(pki.read_ca_certificate(), made["data"]["certificate"])
        pki.set_urls({"issuing_certificates": ["http://a/ca"]})
        self.assertEqual(pki.read_urls()["data"]["issuing_certificates"], ["http://a/ca"])
        self.assertEqual(pki.revoke_certificate(serial)["data"]["state"], "revoked")
        self.assertTrue(pki.rotate_crl()["data"]["success"])
        self.assertTrue(pki.read_crl().startswith("-----BEGIN X509 CRL"))
        pki.delete_role("web")


if __name__ == "__main__":
    unittest.main()
