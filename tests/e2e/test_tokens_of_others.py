"""Logins by what other systems have signed: JWT, OpenID Connect and Kubernetes, by PyJWT, hvac and
both command lines."""

import datetime
import http.server
import json
import threading
import time
import urllib.parse
import urllib.request

import harness
from harness import Client, DevCase, Process, clean_env, free_port

try:
    import hvac
    import jwt
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
except ImportError:
    hvac = jwt = None

POLICY = 'path "identity/oidc/provider/+/authorize" { capabilities = ["read", "update"] }'


def pem_of(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode().strip()


class TokensOfOthers(DevCase):
    def setUp(self):
        if hvac is None:
            self.skipTest("hvac and PyJWT are missing: tests/run installs them")
        self.client = hvac.Client(url=self.server.address, token=self.server.token)
        self.addCleanup(self.client.adapter.close)

    def test_tokens_that_pyjwt_signs_log_in_by_hvac_and_both_command_lines(self):
        self.expect(self.server.write("sys/auth/jwt", {"type": "jwt"}), 204)
        keys = {
            "RS256": rsa.generate_private_key(65537, 2048),
            "PS384": rsa.generate_private_key(65537, 3072),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "ES512": ec.generate_private_key(ec.SECP521R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        config = {"jwt_validation_pubkeys": [pem_of(key) for key in keys.values()]}
        self.expect(self.server.write("auth/jwt/config", config), 204)
        role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "a"}
        self.expect(self.server.write("auth/jwt/role/r", role), 204)
        for algorithm, key in keys.items():
            with self.subTest(algorithm):
                claims = {"sub": "bob", "aud": "a", "exp": int(time.time()) + 60, "iat": int(time.time())}
                token = jwt.encode(claims, key, algorithm=algorithm)
                answer = self.client.auth.jwt.jwt_login("r", token)
                self.assertEqual(answer["auth"]["metadata"], {"role": "r"})
                cli = Client(harness.STRONGROOM, self.server, self.folder)
                ran = cli.run("login", "-method=jwt", "-no-store", "-format=json", "role=r", f"jwt={token}")
                self.assertEqual(ran.status, 0, ran)
                bao = Client(harness.bao_program(), self.server, self.folder)
                self.assertEqual(bao.json("write", "auth/jwt/login", "role=r", f"jwt={token}")["auth"]["metadata"], {"role": "r"})
                head, body, signature = token.split(".")
                broken = f"{head}.{body}.{signature[:-4]}AAAA"
                with self.assertRaises(hvac.exceptions.InvalidRequest):
                    self.client.auth.jwt.jwt_login("r", broken)

    def test_command_lines_log_people_in_by_our_own_openid_provider(self):
        write = lambda path, **body: self.assertIn(self.server.write(path, body).status, (200, 204), path)
        write("sys/auth/userpass", type="userpass")
        write("sys/policies/acl/person", policy=POLICY)
        write("auth/userpass/users/ann", password="pw", token_policies="person")
        login = self.server.write("auth/userpass/login/ann", {"password": "pw"}, token="")
        person = login.json()["auth"]
        write("sys/auth/oidc", type="oidc")
        port = free_port()
        redirect = f"http://localhost:{port}/oidc/callback"
        write("identity/oidc/client/us", redirect_uris=redirect, assignments="allow_all")
        write("identity/oidc/provider/us", allowed_client_ids="*")
        known = self.server.read("identity/oidc/client/us").data()
        write(
            "auth/oidc/config",
            oidc_discovery_url=f"{self.server.address}/v1/identity/oidc/provider/us",
            oidc_client_id=known["client_id"], oidc_client_secret=known["client_secret"],
            default_role="r",
        )
        write("auth/oidc/role/r", user_claim="sub", allowed_redirect_uris=redirect)
        for name, program in (("ours", harness.STRONGROOM), ("bao", harness.bao_program())):
            with self.subTest(name):
                arguments = [
                    program, "login", "-method=oidc", "-no-store", "-format=json",
                    "skip_browser=true", f"port={port}", "listenaddress=127.0.0.1",
                ]
                address = {"VAULT_ADDR": self.server.address, "BAO_ADDR": self.server.address}
                process = Process(arguments, self.folder, f"login-{name}", clean_env(self.folder, **address))
                self.addCleanup(process.kill)
                url = process.wait_for_output(r"(http\S+/authorize\?\S+)")[1]
                query = urllib.parse.urlparse(url).query
                path = f"identity/oidc/provider/us/authorize?{query}"
                code = self.server.read(path, token=person["client_token"]).json()
                back = urllib.parse.urlencode({"code": code["code"], "state": code["state"]})
                callback = f"http://127.0.0.1:{port}/oidc/callback?{back}"
                with urllib.request.urlopen(callback, timeout=20) as page:
                    self.assertEqual(page.status, 200)
                auth = process.wait_for_output(r'"role": "r"')
                self.assertTrue(auth, process.output())
                again = self.server.read(f"auth/oidc/oidc/callback?{back}", token="")
                self.assertEqual(again.status, 400, again)

    def test_hvac_logs_a_service_account_in_and_kubernetes_is_asked(self):
        asked = []

        class Kubernetes(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                asked.append((self.path, self.headers["authorization"], json.loads(body)))
                user = {"username": "system:serviceaccount:default:app", "uid": "u1"}
                answer = json.dumps({"status": {"authenticated": True, "user": user}}).encode()
                self.send_response(201)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Kubernetes)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        key = ec.generate_private_key(ec.SECP256R1())
        self.client.sys.enable_auth_method("kubernetes")
        self.client.auth.kubernetes.configure(
            kubernetes_host=f"http://127.0.0.1:{server.server_port}",
            kubernetes_ca_cert=self.authority(key).strip(), token_reviewer_jwt="reviewer",
            # Certificates are all that hvac takes.
            pem_keys=[self.authority(key).strip()],
        )
        self.assertTrue(self.client.auth.kubernetes.read_config()["token_reviewer_jwt_set"])
        self.client.auth.kubernetes.create_role(
            "r", bound_service_account_names=["app"], bound_service_account_namespaces=["default"]
        )
        now = int(time.time())
        account = {"namespace": "default", "serviceaccount": {"name": "app", "uid": "u1"}}
        token = jwt.encode({"exp": now + 60, "iat": now, "kubernetes.io": account}, key, algorithm="ES256")
        answer = self.client.auth.kubernetes.login("r", token, use_token=False)
        self.assertEqual(answer["auth"]["metadata"]["service_account_name"], "app")
        path, bearer, review = asked[0]
        self.assertEqual(path, "/apis/authentication.k8s.io/v1/tokenreviews")
        self.assertEqual((bearer, review["spec"]["token"]), ("Bearer reviewer", token))

    def authority(self, key):
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])
        now = datetime.datetime.now(datetime.timezone.utc)
        built = x509.CertificateBuilder().subject_name(name).issuer_name(name)
        built = built.public_key(key.public_key()).serial_number(x509.random_serial_number())
        built = built.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = built.sign(key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM).decode()
