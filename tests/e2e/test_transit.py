"""Cryptography as a service, used by programs that others wrote, and checked by them."""

import base64
import json
import pathlib
import shutil
import subprocess
import sys

from harness import DevCase, clean_env

SOPS = pathlib.Path(sys.executable).with_name("sops")


def b64(data):
    return base64.b64encode(data).decode()


class Transit(DevCase):
    def setUp(self):
        self.server.write("sys/mounts/transit", {"type": "transit"})

    def tearDown(self):
        self.server.send("DELETE", "sys/mounts/transit")

    def write(self, path, body=None):
        answer = self.server.write(f"transit/{path}", body or {})
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["data"]

    def test_sops_encrypts_a_file_and_decrypts_it_again(self):
        if not SOPS.exists():
            self.skipTest("sops is missing: tests/run installs it")
        self.write("keys/sops", {"type": "rsa-4096"})
        folder = pathlib.Path(self.folder)
        plain = folder / "secrets.json"
        plain.write_text(json.dumps({"password": "correct horse", "port": 5432}))
        env = clean_env(folder)
        env.update(VAULT_ADDR=self.server.address, VAULT_TOKEN=self.server.token)
        uri = f"{self.server.address}/v1/transit/keys/sops"
        sealed = subprocess.run(
            [SOPS, "encrypt", "--hc-vault-transit", uri, plain],
            env=env, capture_output=True, text=True, timeout=60,
        )
        self.assertEqual(sealed.returncode, 0, sealed.stderr)
        self.assertNotIn("correct horse", sealed.stdout)
        (folder / "sealed.json").write_text(sealed.stdout)
        opened = subprocess.run(
            [SOPS, "decrypt", folder / "sealed.json"],
            env=env, capture_output=True, text=True, timeout=60,
        )
        self.assertEqual(opened.returncode, 0, opened.stderr)
        self.assertEqual(json.loads(opened.stdout)["password"], "correct horse")

    def test_openssl_verifies_every_signature(self):
        if shutil.which("openssl") is None:
            self.skipTest("openssl is missing: tests/run installs it")
        folder = pathlib.Path(self.folder)
        message = folder / "message"
        message.write_bytes(b"what was signed")
        for kind, hash_name, more, options in [
            ("ecdsa-p256", "sha2-256", {}, ["-sha256"]),
            ("ecdsa-p256", "sha2-512", {}, ["-sha512"]),
            ("ecdsa-p384", "sha2-256", {}, ["-sha256"]),
            ("ecdsa-p521", "sha2-512", {}, ["-sha512"]),
            ("ecdsa-p521", "sha3-384", {}, ["-sha3-384"]),
            ("rsa-2048", "sha2-256", {"signature_algorithm": "pkcs1v15"}, ["-sha256"]),
            ("rsa-3072", "sha2-384", {}, ["-sha384", "-sigopt", "rsa_padding_mode:pss"]),
            ("rsa-2048", "sha2-512", {"salt_length": "hash"},
             ["-sha512", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]),
        ]:
            with self.subTest(kind=kind, hash=hash_name, **more):
                self.write(f"keys/{kind}", {"type": kind})
                body = {"input": b64(message.read_bytes()), **more}
                signed = self.write(f"sign/{kind}/{hash_name}", body)
                answer = self.server.read(f"transit/keys/{kind}").json()
                (folder / "key.pem").write_text(answer["data"]["keys"]["1"]["public_key"])
                signature = base64.b64decode(signed["signature"].split(":")[2])
                (folder / "signature").write_bytes(signature)
                said = subprocess.run(
                    ["openssl", "dgst", *options, "-verify", folder / "key.pem",
                     "-signature", folder / "signature", message],
                    capture_output=True, text=True, timeout=60,
                )
                self.assertEqual(said.stdout.strip(), "Verified OK", said)

    def test_a_key_made_by_openssl_is_imported_and_what_it_sealed_opens(self):
        if shutil.which("openssl") is None:
            self.skipTest("openssl is missing: tests/run installs it")
        folder = pathlib.Path(self.folder)

        def openssl(*arguments, data=None):
            done = subprocess.run(
                ["openssl", *map(str, arguments)], input=data, capture_output=True, timeout=60
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        wrapping = self.server.read("transit/wrapping_key").json()["data"]["public_key"]
        (folder / "wrapping.pem").write_text(wrapping)
        private = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                          "-outform", "DER")
        ephemeral = bytes(range(32))
        sealed = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", folder / "wrapping.pem",
                         "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256",
                         data=ephemeral)
        blob = openssl("enc", "-id-aes256-wrap-pad", "-K", ephemeral.hex(), "-iv", "A65959A6",
                       data=openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER",
                                    "-outform", "DER", data=private))
        answer = self.server.write("transit/keys/own/import",
                                   {"type": "ecdsa-p256", "ciphertext": b64(sealed + blob)})
        self.assertEqual(answer.status, 204, answer)
        signed = self.write("sign/own", {"input": b64(b"text")})
        (folder / "own.der").write_bytes(private)
        public = openssl("pkey", "-inform", "DER", "-in", folder / "own.der", "-pubout")
        shown = self.server.read("transit/keys/own").json()["data"]
        self.assertEqual(shown["keys"]["1"]["public_key"].strip(), public.decode().strip())
        self.assertTrue(shown["imported_key"])
        body = {"input": b64(b"text"), "signature": signed["signature"]}
        self.assertTrue(self.write("verify/own", body)["valid"])
