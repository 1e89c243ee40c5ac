"""Logins by tokens that others have signed: what ours and OpenBao's server are both sent.

The tokens are signed by a key that is nowhere any more; they end in the year 2099.
"""

PEM = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhJ9emnBHdlIt743ZNDzLxs/mB0oK
aAg2cAjTC/cPnJqYr8l9vfBrVZ2CeYtgWAt1ZMRO/FJUjw9vEdbXQYnkZQ==
-----END PUBLIC KEY-----
"""

TOKENS = {
    "good":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpc3MiLCJzdWIiOiJib2IiLCJhdWQiOiJhIiwiaWF0IjoxNzAwMDAwMDAwL"
        "CJleHAiOjQxMDAwMDAwMDB9.EDT2GWYq3TIrxcsTBXObKBI5_G2naDj_CRy3i2-kVw1cQ4MSiS-QsmKchJNb3e1QtU"
        "aSgGjXHUUCIFy31yuLDA",
    "rich":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpc3MiLCJzdWIiOiJib2IiLCJhdWQiOiJhIiwiaWF0IjoxNzAwMDAwMDAwL"
        "CJleHAiOjQxMDAwMDAwMDAsIngiOiIxIiwibiI6eyJkIjpbInoiLCJxIl0sInUiOiJ6ZWQifSwiZ3JvdXBzIjpbImR"
        "ldiIsIm9wcyJdfQ.CfhDyZXhtqvtaH2ZYBZGjquiTcmNfBl3j8I33hJGhTKJSALyhAdi7byOWdupkTAfoHm8748I8D"
        "r26i6HPm30yg",
    "issuer":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4Iiwic3ViIjoiYm9iIiwiYXVkIjoiYSIsImlhdCI6MTcwMDAwMDAwMCwiZ"
        "XhwIjo0MTAwMDAwMDAwfQ.ZLe16LcOD33WVzAj-b0-WC6yUNhc4aT-ZbXIqWnZshAGH_tKgE9-mBOPPHDwTf96kL50"
        "lmUP06U1YVanexkEUg",
    "audience":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpc3MiLCJzdWIiOiJib2IiLCJhdWQiOlsieCJdLCJpYXQiOjE3MDAwMDAwM"
        "DAsImV4cCI6NDEwMDAwMDAwMH0.sFVq-QY9Db2qZP6zv4JMd3QYim6VcMUY5vY5-adH918z3VwCss4fGLJkhduiYaH"
        "XhIrkITpkNORleiKiVYW8tw",
    "expired":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpc3MiLCJzdWIiOiJib2IiLCJhdWQiOiJhIiwiaWF0IjoxNzAwMDAwMDAwL"
        "CJleHAiOjE3MDAwMDA2MDB9.RHaN3htqsM3oSQ5dzGsKdRg7ETYuTViBfBtJetEwcWgJei7BNPqMTyZICAv7XEBLv-"
        "6SoxU75QmbhjLqYuk6ZQ",
    "early":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpc3MiLCJzdWIiOiJib2IiLCJhdWQiOiJhIiwiaWF0IjoxNzAwMDAwMDAwL"
        "CJleHAiOjQxMDAwMDAwMDAsIm5iZiI6NDAwMDAwMDAwMH0.LHdspwGU5Q_mxdoI5TXj4myVpSA56NUlFYV0reXtlm-"
        "fekmS2LzIc-l2_8lvHr9nm18gEhkwaSTJVavBRbdsjg",
    "untimed":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpc3MiLCJzdWIiOiJib2IiLCJhdWQiOiJhIn0.w6oNuhV1qwAhT025OWfgW"
        "p40F0h0ftvmtDi7oWESS5-Ov43IRi_TGnW3OXnlflvie4gIJFJPDs6PWpbyvE2frw",
    "nobody":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpc3MiLCJhdWQiOiJhIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQxMDAwM"
        "DAwMDB9.uX4j2O7k9YDsJ3H8Osy2kAfN6GStR_vpr-8VZ0hL5CjjiZgQzfYKaoGQJG1_4_EGXXR7sd1pnO8jmyTcOA"
        "gFSg",
    "odd":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpc3MiLCJzdWIiOiJib2IiLCJhdWQiOiJhIiwiaWF0IjoxNzAwMDAwMDAwL"
        "CJleHAiOjQxMDAwMDAwMDAsIngiOnsiYSI6MX0sImdyb3VwcyI6WzFdfQ.J6xePwQmlG3ZWLjZ62NTIakK4tg2-zHK"
        "VH6U9yNUiedG3oVDPxYRvlEMwuMYnRMylYA-Oe_USho_2CPuKFKCHQ",
    "stranger":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpc3MiLCJzdWIiOiJib2IiLCJhdWQiOiJhIiwiaWF0IjoxNzAwMDAwMDAwL"
        "CJleHAiOjQxMDAwMDAwMDB9.nal2NaCD_vg4KDs7lyVKLXoTIz-0sZ68O0OecfS9TDDOCv2OjuC2hy4TyrEV1r1w4N"
        "9_s5I0F1l3CSgTl040ng",
    "none":
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJpc3MiLCJzdWIiOiJib2IiLCJhdWQiOiJhIiwiaWF0IjoxNzAwMDAwMDAwLC"
        "JleHAiOjQxMDAwMDAwMDB9.uyeUGiVXVU3jOzyog-1gpKWkBFN8JXfXwknnerPM44fZeB97rvWE89AOeesXaqFQdjV"
        "C42sqdUP0pXLfgOkuXQ",
    "account":
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50IiwiYXVkIjpbInZhdWx0Il0sI"
        "mlhdCI6MTcwMDAwMDAwMCwiZXhwIjo0MTAwMDAwMDAwLCJrdWJlcm5ldGVzLmlvIjp7Im5hbWVzcGFjZSI6ImRlZmF"
        "1bHQiLCJzZXJ2aWNlYWNjb3VudCI6eyJuYW1lIjoiYXBwIiwidWlkIjoidTEifX19.P74bGYzIjAk3UMaTMZlI2Ea1"
        "MSHqLo05u-ptuyhPh6zS3ktHVaXgNVtKAH3tCoOcf0V_o1bxtmWzHBi7c2aUjw",
}

CONFIG = "auth/jwt/config"
ROLE = "auth/jwt/role"
LOGIN = "auth/jwt/login"
K8S = "auth/kubernetes"


def row(title, method, path, body=None, **more):
    return title, method, path, body, more


def config(title, **fields):
    return row(f"jwt: configuration {title}", "PUT", CONFIG, fields)


def role(name, title="", **fields):
    title = f"jwt: role {name} {title}".strip()
    body = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "a", **fields}
    return row(title, "PUT", f"{ROLE}/{name}", {k: v for k, v in body.items() if v is not None})


def login(name, token):
    body = {"role": name, "jwt": TOKENS.get(token, token)}
    return row(f"jwt: login as {name} with {token or 'nothing'}", "PUT", LOGIN, body, token="")


ROLES = {
    "r": {"bound_audiences": "a,b", "token_policies": "p1"},
    "subject": {"bound_subject": "alice"},
    "unbound": {"bound_audiences": None, "bound_subject": "bob"},
    "claims": {"bound_claims": {"x": "1", "/n/d": ["p", "q"]}},
    "globs": {"bound_claims": {"x": ["1*"], "/n/u": "*d"}, "bound_claims_type": "glob"},
    "mapped": {"claim_mappings": {"x": "mx", "/n/u": "mu"}},
    "groups": {"groups_claim": "groups"},
    "pointer": {"user_claim": "/n/u", "user_claim_json_pointer": True},
    "strict": {"token_bound_cidrs": "203.0.113.0/24"},
}

JWT = [
    row("jwt: enable", "PUT", "sys/auth/jwt", {"type": "jwt"}),
    row("jwt: configuration of none", "GET", CONFIG),
    config("of nothing"),
    config("of two kinds", jwks_url="http://127.0.0.1:1", jwt_validation_pubkeys=PEM),
    config("of no key", jwt_validation_pubkeys="zz"),
    config("with HMAC", jwt_validation_pubkeys=PEM, jwt_supported_algs="HS256"),
    config("with a mode", jwt_validation_pubkeys=PEM, oidc_response_mode="x"),
    config("with a response", jwt_validation_pubkeys=PEM, oidc_response_types="x"),
    config("of half a client", jwt_validation_pubkeys=PEM, oidc_client_id="x"),
    config("of a client without a provider", jwt_validation_pubkeys=PEM, oidc_client_id="x", oidc_client_secret="y"),
    config("of a provider that is down", oidc_discovery_url="http://127.0.0.1:1"),
    config("of keys that are down", jwks_url="http://127.0.0.1:1"),
    config("of keys under a bad authority", jwks_url="https://127.0.0.1:1", jwks_ca_pem="zz"),
    row("jwt: configuration after all that", "GET", CONFIG),
    config("of a key", jwt_validation_pubkeys=PEM, bound_issuer="iss", default_role="r",
           jwt_supported_algs="ES256,EdDSA"),
    row("jwt: configuration, read", "GET", CONFIG),
    row("jwt: roles, none", "LIST", ROLE),
    row("jwt: role of nothing", "PUT", f"{ROLE}/bad", {}),
    role("bad", "of an unknown type", role_type="x"),
    role("bad", "without bounds", bound_audiences=None),
    role("bad", "for OIDC without a redirect", role_type="oidc"),
    role("bad", "with unknown comparison", bound_claims_type="re"),
    role("bad", "with a glob of a number", bound_claims_type="glob", bound_claims={"a": 1}),
    role("bad", "with two of a name", claim_mappings={"a": "x", "b": "x"}),
    role("bad", "with the name of the role", claim_mappings={"a": "role"}),
    role("bad", "with a negative age", max_age=-5),
    role("bad", "with impossible times", token_ttl="2h", token_max_ttl="1h"),
    row("jwt: role that was refused", "GET", f"{ROLE}/bad"),
    *(role(name, **fields) for name, fields in ROLES.items()),
    role("oidc", role_type=None, bound_audiences=None, allowed_redirect_uris="http://localhost/x"),
    *(row(f"jwt: role {name}, read", "GET", f"{ROLE}/{name}") for name in [*ROLES, "oidc"]),
    role("r", "with leeways", expiration_leeway=-1, not_before_leeway="5m", clock_skew_leeway=10),
    row("jwt: role r, read again", "GET", f"{ROLE}/r"),
    row("jwt: roles", "LIST", ROLE),
    *(login("r", token) for token in TOKENS if token != "account"),
    *(login(name, "good") for name in ROLES if name not in ("r", "claims", "globs")),
    *(login(name, "rich") for name in ROLES if name != "r"),
    *(login(name, "odd") for name in ("mapped", "groups")),
    login("oidc", "good"),
    login("none", "good"),
    login("r", ""),
    login("r", "x"),
    login("r", "x.y.z"),
    row("jwt: login with the default role", "PUT", LOGIN, {"jwt": TOKENS["good"]}, token="",
        keep={"OF_BOB": "auth.client_token"}),
    row("jwt: token, looked up", "GET", "auth/token/lookup-self", token="OF_BOB"),
    row("jwt: login, read", "GET", LOGIN),
    row("jwt: login of nothing", "PUT", LOGIN, {}, token=""),
    row("jwt: tune of lockout", "PUT", "sys/auth/jwt/tune", {"user_lockout_config": {"lockout_threshold": "3"}}),
    row("jwt: tune", "PUT", "sys/auth/jwt/tune", {"max_lease_ttl": "1h", "token_type": "batch"}),
    row("jwt: login of a tuned mount", "PUT", LOGIN, {"role": "r", "jwt": TOKENS["good"]}, token=""),
    row("oidc: URL of a mount without a provider", "PUT", "auth/jwt/oidc/auth_url",
        {"role": "oidc", "redirect_uri": "http://localhost/x"}, token=""),
    row("oidc: callback of no state", "GET", "auth/jwt/oidc/callback?state=x&code=y", token=""),
    config("with another algorithm", jwt_validation_pubkeys=PEM, jwt_supported_algs="RS256"),
    row("jwt: login with an algorithm that is not supported", "PUT", LOGIN,
        {"role": "r", "jwt": TOKENS["good"]}, token=""),
    row("jwt: role, deleted", "DELETE", f"{ROLE}/r"),
    row("jwt: role, deleted again", "DELETE", f"{ROLE}/r"),
]


def k8s_role(title, **fields):
    return row(f"kubernetes: role {title}", "PUT", f"{K8S}/role/r", fields)


def k8s_config(title, **fields):
    return row(f"kubernetes: configuration {title}", "PUT", f"{K8S}/config", fields)


NAMES, SPACES = "bound_service_account_names", "bound_service_account_namespaces"
SELECTOR = "bound_service_account_namespace_selector"

KUBERNETES = [
    row("kubernetes: enable", "PUT", f"sys/{K8S}", {"type": "kubernetes"}),
    row("kubernetes: configuration of none", "GET", f"{K8S}/config"),
    row("kubernetes: login without a role that is there", "PUT", f"{K8S}/login", {"role": "r", "jwt": "x"}, token=""),
    k8s_config("of nothing"),
    k8s_config("without an authority", kubernetes_host="http://127.0.0.1:1", disable_local_ca_jwt=True),
    k8s_config("outside of a pod", kubernetes_host="http://127.0.0.1:1"),
    k8s_role("of nothing"),
    k8s_role("without namespaces", **{NAMES: "a"}),
    k8s_role("of mixed names", **{NAMES: "a,*", SPACES: "b"}),
    k8s_role("of mixed namespaces", **{NAMES: "a", SPACES: "*,b"}),
    k8s_role("with a bad selector", **{NAMES: "a", SELECTOR: "zz"}),
    k8s_role("with a bad alias", **{NAMES: "a", SPACES: "b", "alias_name_source": "zz"}),
    k8s_role("by labels", **{NAMES: "a", SELECTOR: '{"matchLabels":{"a":"b"}}'}),
    row("kubernetes: role by labels, read", "GET", f"{K8S}/role/r"),
    k8s_role("of names", **{NAMES: "app", SPACES: "default,t-*", "audience": "vault", "token_policies": "p1"}),
    row("kubernetes: role, read", "GET", f"{K8S}/role/r"),
    row("kubernetes: roles", "LIST", f"{K8S}/role"),
    row("kubernetes: no such role", "GET", f"{K8S}/role/none"),
    row("kubernetes: login without configuration", "PUT", f"{K8S}/login",
        {"role": "r", "jwt": TOKENS["account"]}, token=""),
    row("kubernetes: login without a role", "PUT", f"{K8S}/login", {"jwt": "x"}, token=""),
    row("kubernetes: login without a token", "PUT", f"{K8S}/login", {"role": "r"}, token=""),
    row("kubernetes: role, deleted", "DELETE", f"{K8S}/role/r"),
]

REQUESTS = JWT + KUBERNETES
