"""Identity and the OIDC provider, as hvac, OpenBao's command line and a relying party see them."""

import base64
import hashlib
import json
import urllib.parse

import harness
from harness import Client, DevCase

try:
    import hvac
    import jwt
except ImportError:
    hvac = jwt = None

POLICY = """
path "identity/oidc/token/*" { capabilities = ["read"] }
path "identity/oidc/provider/+/authorize" { capabilities = ["read", "update"] }
path "secret/data/{{identity.entity.name}}/*" { capabilities = ["read"] }
"""


class Identity(DevCase):
    def setUp(self):
        if hvac is None:
            self.skipTest("hvac or PyJWT is missing: tests/run installs them")
        self.client = hvac.Client(url=self.server.address, token=self.server.token)
        self.addCleanup(self.client.adapter.close)
        self.client.sys.create_or_update_policy("e2e-identity", POLICY)
        self.client.write(
            "auth/token/roles/e2e", allowed_entity_aliases="e2e-*", allowed_policies="e2e-identity"
        )

    def log_in(self, name):
        """A token with an entity: by a token role, which needs no auth method."""
        created = self.client.write("auth/token/create/e2e", entity_alias=f"e2e-{name}")
        return created["auth"]["client_token"], created["auth"]["entity_id"]

    def verified(self, token, keys_path, audience, issuer):
        keys = json.loads(self.server.send("GET", keys_path, token="").body)["keys"]
        kid = jwt.get_unverified_header(token)["kid"]
        key = jwt.PyJWK(next(key for key in keys if key["kid"] == kid))
        algorithms = [key.algorithm_name]
        return jwt.decode(token, key, algorithms=algorithms, audience=audience, issuer=issuer)

    def test_entities_groups_and_aliases_live_their_life_in_hvac(self):
        identity = self.client.secrets.identity
        entity = identity.create_or_update_entity("h-ann", metadata={"a": "b"})["data"]["id"]
        identity.update_entity(entity, name="h-anna", policies=["x"])
        self.assertEqual(identity.read_entity_by_name("h-anna")["data"]["policies"], ["x"])
        accessor = self.client.sys.list_auth_methods()["data"]["token/"]["accessor"]
        alias = identity.create_or_update_entity_alias("h-ann", entity, accessor)["data"]["id"]
        read = identity.read_entity_alias(alias)["data"]
        self.assertEqual((read["canonical_id"], read["mount_path"]), (entity, "auth/token/"))
        self.assertIn(alias, identity.list_entity_aliases()["data"]["keys"])
        group = identity.create_or_update_group("h-g", member_entity_ids=[entity])["data"]["id"]
        self.assertEqual(identity.read_entity(entity)["data"]["group_ids"], [group])
        found = identity.lookup_entity(alias_name="h-ann", alias_mount_accessor=accessor)
        self.assertEqual(found["data"]["id"], entity)
        self.assertEqual(identity.lookup_group(name="H-G")["data"]["id"], group)
        other = identity.create_or_update_entity("h-other")["data"]["id"]
        identity.merge_entities([other], entity)
        self.assertEqual(identity.read_entity(entity)["data"]["merged_entity_ids"], [other])
        identity.delete_group(group)
        identity.delete_entity_alias(alias)
        identity.delete_entity(entity)
        with self.assertRaises(hvac.exceptions.InvalidPath):
            identity.read_entity(entity)

    def test_policy_with_a_template_follows_the_entity_s_name(self):
        self.client.secrets.kv.v2.create_or_update_secret("t-name/a", {"x": "1"})
        token, entity = self.log_in("template")
        read = lambda: self.server.send("GET", "secret/data/t-name/a", token=token).status
        self.assertEqual(read(), 403)
        self.client.secrets.identity.update_entity(entity, name="t-name")
        self.assertEqual(read(), 200)

    def test_tokens_of_every_algorithm_are_verified_by_pyjwt(self):
        token, entity = self.log_in("oidc")
        for algorithm in ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"):
            with self.subTest(algorithm):
                self.client.write(
                    f"identity/oidc/key/{algorithm}", algorithm=algorithm, allowed_client_ids="*"
                )
                self.client.write(f"identity/oidc/role/{algorithm}", key=algorithm, ttl="1h")
                answer = self.server.send("GET", f"identity/oidc/token/{algorithm}", token=token)
                issued = json.loads(answer.body)["data"]
                document = self.server.send(
                    "GET", "identity/oidc/.well-known/openid-configuration", token=""
                )
                issuer = json.loads(document.body)["issuer"]
                self.assertEqual(issuer, f"{self.server.address}/v1/identity/oidc")
                claims = self.verified(
                    issued["token"], "identity/oidc/.well-known/keys", issued["client_id"], issuer
                )
                self.assertEqual(claims["sub"], entity)
                self.assertEqual(jwt.get_unverified_header(issued["token"])["alg"], algorithm)

    def test_relying_party_logs_someone_in_by_discovery_code_and_userinfo(self):
        token, entity = self.log_in("party")
        self.client.write(
            "identity/oidc/scope/who", template='{"name": {{identity.entity.name}}}'
        )
        self.client.write(
            "identity/oidc/client/party", redirect_uris="https://app/cb", assignments="allow_all"
        )
        self.client.write(
            "identity/oidc/provider/party", scopes_supported="who", allowed_client_ids="*"
        )
        client = self.client.read("identity/oidc/client/party")["data"]
        path = "identity/oidc/provider/party"
        document = json.loads(
            self.server.send("GET", f"{path}/.well-known/openid-configuration", token="").body
        )
        self.assertEqual(document["issuer"], f"{self.server.address}/v1/{path}")
        verifier = "v" * 43
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        query = {
            "client_id": client["client_id"], "redirect_uri": "https://app/cb",
            "scope": "openid who", "response_type": "code", "state": "s", "nonce": "n",
            "code_challenge": challenge, "code_challenge_method": "S256",
        }
        authorize = f"{path}/authorize?{urllib.parse.urlencode(query)}"
        code = json.loads(self.server.send("GET", authorize, token=token).body)["code"]
        form = urllib.parse.urlencode({
            "grant_type": "authorization_code", "code": code,
            "redirect_uri": "https://app/cb", "code_verifier": verifier,
        }).encode()
        pair = f"{client['client_id']}:{client['client_secret']}".encode()
        headers = {
            "Authorization": "Basic " + base64.b64encode(pair).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        answer = self.server.send("POST", f"{path}/token", raw=form, token="", headers=headers)
        self.assertEqual(answer.status, 200, answer.body)
        tokens = json.loads(answer.body)
        claims = self.verified(
            tokens["id_token"], f"{path}/.well-known/keys", client["client_id"], document["issuer"]
        )
        self.assertEqual((claims["sub"], claims["nonce"]), (entity, "n"))
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        told = self.server.send("GET", f"{path}/userinfo", token="", headers=bearer)
        self.assertEqual(json.loads(told.body)["name"], claims["name"])
        again = self.server.send("POST", f"{path}/token", raw=form, token="", headers=headers)
        self.assertEqual((again.status, json.loads(again.body)["error"]), (400, "invalid_grant"))
        wrong = self.server.send("GET", f"{path}/userinfo", token="x")
        self.assertEqual(wrong.status, 401)
        self.assertIn("invalid_token", wrong.headers["www-authenticate"])

    def test_bao_reads_and_writes_identity(self):
        bao = Client(harness.bao_program(), self.server, self.folder)
        made = bao.json("write", "identity/entity", "name=b-ann", "metadata=k=v", "policies=p,q")
        read = bao.json("read", f"identity/entity/id/{made['data']['id']}")["data"]
        self.assertEqual((read["name"], read["policies"]), ("b-ann", ["p", "q"]))
        self.assertIn("b-ann", bao.json("list", "identity/entity/name"))
        group = bao.json(
            "write", "identity/group", "name=b-g", f"member_entity_ids={made['data']['id']}"
        )
        read = bao.json("read", f"identity/group/id/{group['data']['id']}")["data"]
        self.assertEqual(read["member_entity_ids"], [made["data"]["id"]])
        bao.ok("delete", "identity/entity/name/b-ann")
        self.assertEqual(bao.run("read", "identity/entity/name/b-ann").status, 2)
