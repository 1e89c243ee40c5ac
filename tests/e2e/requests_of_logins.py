"""Response wrapping and login methods: more of what ours and OpenBao's server are both sent.

`keep` names what later requests use of an answer: a word that stands for it in their paths, bodies
and tokens, and where in the answer it is.
"""


def row(title, method, path, body=None, **more):
    return title, method, path, body, more


def ttl(seconds):
    return {"X-Vault-Wrap-TTL": str(seconds)}


def kept(word, where="wrap_info.token"):
    return {word: where}


UNWRAP = "sys/wrapping/unwrap"
OF = {"token": "WRAPPED"}

WRAPPING = [
    row("wrapping: wrap without a time", "PUT", "sys/wrapping/wrap", {"a": 1}),
    row("wrapping: wrap", "PUT", "sys/wrapping/wrap", {"a": 1}, headers=ttl(60), keep=kept("WRAPPED")),
    row("wrapping: lookup", "PUT", "sys/wrapping/lookup", OF),
    row("wrapping: lookup without a token", "PUT", "sys/wrapping/lookup", OF, token=""),
    row("wrapping: lookup by itself", "GET", "sys/wrapping/lookup", token="WRAPPED"),
    row("wrapping: lookup of nothing", "PUT", "sys/wrapping/lookup", {}, token=""),
    row("wrapping: lookup of the root token", "PUT", "sys/wrapping/lookup", {"token": "TOKEN"}),
    row("wrapping: rewrap", "PUT", "sys/wrapping/rewrap", OF, keep=kept("WRAPPED")),
    row("wrapping: rewrap of nothing", "PUT", "sys/wrapping/rewrap", {"token": "none"}),
    row("wrapping: the token, looked up", "PUT", "auth/token/lookup", OF),
    row("wrapping: unwrap", "PUT", UNWRAP, OF),
    row("wrapping: unwrap again", "PUT", UNWRAP, OF),
    row("wrapping: unwrap by a token that is gone", "PUT", UNWRAP, {}, token="WRAPPED"),
    row("wrapping: unwrap of the root token", "PUT", UNWRAP, {}),
    row("wrapping: unwrap of empty text", "PUT", UNWRAP, {"token": ""}),
    row("wrapping: unwrap of a number", "PUT", UNWRAP, {"token": 5}),
    row("wrapping: unwrap without any token", "PUT", UNWRAP, {}, token=""),
    row("wrapping: of nothing", "PUT", "sys/wrapping/wrap", {}, headers=ttl(60), keep=kept("WRAPPED")),
    row("wrapping: of nothing, unwrapped by itself", "PUT", UNWRAP, token="WRAPPED"),
    row("wrapping: of a token", "PUT", "auth/token/create", {"policies": "default"}, headers=ttl("5m"),
        keep=kept("WRAPPED")),
    row("wrapping: of a token, read from the cubbyhole", "GET", "cubbyhole/response", token="WRAPPED"),
    row("wrapping: of a token, read again", "GET", "cubbyhole/response", token="WRAPPED"),
    row("wrapping: of capabilities", "PUT", "sys/capabilities-self", {"paths": "x"}, headers=ttl(60),
        keep=kept("WRAPPED")),
    row("wrapping: of capabilities, unwrapped", "PUT", UNWRAP, OF),
    row("wrapping: of what is empty", "PUT", "cubbyhole/wrapped", {"a": 1}, headers=ttl(60)),
    row("wrapping: of a read", "GET", "cubbyhole/wrapped", headers=ttl(60), keep=kept("WRAPPED")),
    row("wrapping: of a read, used for another path", "GET", "sys/mounts", token="WRAPPED"),
    row("wrapping: of a read, used up", "PUT", UNWRAP, OF),
    row("wrapping: of a list of nothing", "LIST", "cubbyhole/nothing", headers=ttl(60)),
    row("wrapping: of what is missing", "GET", "cubbyhole/none", headers=ttl(60)),
    row("health with a wrap time", "GET", "sys/health", headers=ttl(60)),
    row("wrapping: of an unwrapping", "PUT", "sys/wrapping/wrap", {"b": 1}, headers=ttl(60),
        keep=kept("WRAPPED")),
    row("wrapping: of an unwrapping, wrapped", "PUT", UNWRAP, OF, headers=ttl(50), keep=kept("WRAPPED")),
    row("wrapping: of an unwrapping, unwrapped", "PUT", UNWRAP, OF),
]

USERS = "auth/userpass/users"
LOGIN = "auth/userpass/login"

USERPASS = [
    row("userpass: enable", "PUT", "sys/auth/userpass", {"type": "userpass"}),
    row("userpass: list of none", "LIST", USERS),
    row("userpass: user without a password", "PUT", f"{USERS}/Bob", {}),
    row("userpass: user", "PUT", f"{USERS}/Bob",
        {"password": "pw", "policies": "P1,p2", "token_ttl": "1h", "token_num_uses": 3}),
    row("userpass: user, read", "GET", f"{USERS}/bob"),
    row("userpass: list", "LIST", USERS),
    row("userpass: negative period", "PUT", f"{USERS}/bob", {"token_period": -1}),
    row("userpass: ttl over its maximum", "PUT", f"{USERS}/bob", {"token_ttl": "3h", "token_max_ttl": "2h"}),
    row("userpass: unknown type", "PUT", f"{USERS}/bob", {"token_type": "x"}),
    row("userpass: batch with uses", "PUT", f"{USERS}/bob", {"token_type": "batch"}),
    row("userpass: negative uses", "PUT", f"{USERS}/bob", {"token_num_uses": -3}),
    row("userpass: odd address", "PUT", f"{USERS}/bob", {"token_bound_cidrs": "x"}),
    row("userpass: password and hash", "PUT", f"{USERS}/bob", {"password": "x", "password_hash": "y"}),
    row("userpass: odd hash", "PUT", f"{USERS}/bob", {"password_hash": "y"}),
    row("userpass: no new password", "PUT", f"{USERS}/bob/password", {}),
    row("userpass: new password", "PUT", f"{USERS}/bob/password", {"password": "pw2"}),
    row("userpass: new password of nobody", "PUT", f"{USERS}/none/password", {"password": "pw2"}),
    row("userpass: new policies", "PUT", f"{USERS}/bob/policies", {"policies": "P5"}),
    row("userpass: new policies by the new name", "PUT", f"{USERS}/bob/policies", {"token_policies": "p6"}),
    row("userpass: user, read after all", "GET", f"{USERS}/bob"),
    row("userpass: login", "PUT", f"{LOGIN}/BOB", {"password": "pw2"}, token="",
        keep=kept("OF_BOB", "auth.client_token")),
    row("userpass: token, looked up", "GET", "auth/token/lookup-self", token="OF_BOB"),
    row("userpass: login with a wrong password", "PUT", f"{LOGIN}/bob", {"password": "x"}, token=""),
    row("userpass: login of nobody", "PUT", f"{LOGIN}/none", {"password": "x"}, token=""),
    row("userpass: login without a password", "PUT", f"{LOGIN}/bob", {}, token=""),
    row("userpass: root", "PUT", f"{USERS}/root", {"password": "pw", "token_policies": "root"}),
    row("userpass: root, logged in", "PUT", f"{LOGIN}/root", {"password": "pw"}, token=""),
    row("userpass: tune of lockout", "PUT", "sys/auth/userpass/tune",
        {"user_lockout_config": {"lockout_threshold": "2", "lockout_duration": "5m"}}),
    row("userpass: tune of lockout, read", "GET", "sys/auth/userpass/tune"),
    row("userpass: tune of lockout to no number", "PUT", "sys/auth/userpass/tune",
        {"user_lockout_config": {"lockout_threshold": "x"}}),
    row("userpass: tune of lockout of tokens", "PUT", "sys/auth/token/tune",
        {"user_lockout_config": {"lockout_threshold": "2"}}),
    row("lockout: first failure", "PUT", f"{LOGIN}/root", {"password": "x"}, token=""),
    row("lockout: second failure", "PUT", f"{LOGIN}/root", {"password": "x"}, token=""),
    row("lockout: right password", "PUT", f"{LOGIN}/root", {"password": "pw"}, token=""),
    row("lockout: list", "GET", "sys/locked-users"),
    row("lockout: list of a mount", "GET", "sys/locked-users?mount_accessor=none"),
    row("lockout: unlock of nobody", "PUT", "sys/locked-users/none/unlock/none"),
    row("userpass: delete", "DELETE", f"{USERS}/bob"),
    row("userpass: delete again", "DELETE", f"{USERS}/bob"),
    row("userpass: read of what was deleted", "GET", f"{USERS}/bob"),
]

ROLE = "auth/approle/role/dev"
FIELDS = (
    "policies", "secret-id-num-uses", "secret-id-ttl", "token-ttl", "token-max-ttl", "token-num-uses",
    "secret-id-bound-cidrs", "token-bound-cidrs", "period", "bound-cidr-list", "local-secret-ids",
)

APPROLE = [
    row("approle: enable", "PUT", "sys/auth/approle", {"type": "approle"}),
    row("approle: list of none", "LIST", "auth/approle/role"),
    row("approle: role", "PUT", "auth/approle/role/Dev",
        {"policies": "p1", "token_ttl": "1h", "secret_id_ttl": "10m", "secret_id_num_uses": 2}),
    row("approle: role, read", "GET", ROLE),
    row("approle: list", "LIST", "auth/approle/role"),
    row("approle: role id", "GET", f"{ROLE}/role-id"),
    row("approle: role id, written", "PUT", f"{ROLE}/role-id", {"role_id": "rid"}),
    row("approle: role id, missing", "PUT", f"{ROLE}/role-id", {}),
    row("approle: role id that is taken", "PUT", "auth/approle/role/two", {"role_id": "rid"}),
    row("approle: role without any bound", "PUT", "auth/approle/role/two", {"bind_secret_id": False}),
    row("approle: negative uses", "PUT", "auth/approle/role/two", {"secret_id_num_uses": -1}),
    row("approle: negative time", "PUT", "auth/approle/role/two", {"secret_id_ttl": -1}),
    row("approle: odd address", "PUT", "auth/approle/role/two", {"secret_id_bound_cidrs": "x"}),
    row("approle: long time", "PUT", "auth/approle/role/two", {"token_max_ttl": "99999h"}),
    row("approle: secret id", "PUT", f"{ROLE}/secret-id"),
    row("approle: secret id of its own", "PUT", f"{ROLE}/secret-id",
        {"metadata": '{"a":"b"}', "num_uses": 1, "ttl": "5m", "cidr_list": "127.0.0.1/32"},
        keep={"SECRET": "data.secret_id", "ACCESSOR": "data.secret_id_accessor"}),
    row("approle: secret id with more uses", "PUT", f"{ROLE}/secret-id", {"num_uses": 5}),
    row("approle: secret id without limit", "PUT", f"{ROLE}/secret-id", {"num_uses": 0}),
    row("approle: secret id for longer", "PUT", f"{ROLE}/secret-id", {"ttl": "1h"}),
    row("approle: secret id with odd metadata", "PUT", f"{ROLE}/secret-id", {"metadata": "x"}),
    row("approle: secret id with negative uses", "PUT", f"{ROLE}/secret-id", {"num_uses": -1}),
    row("approle: secret id of no role", "PUT", "auth/approle/role/none/secret-id"),
    row("approle: secret ids of no role", "LIST", "auth/approle/role/none/secret-id"),
    row("approle: secret ids of a role without any", "LIST", "auth/approle/role/two/secret-id"),
    row("approle: secret id, looked up", "PUT", f"{ROLE}/secret-id/lookup", {"secret_id": "SECRET"}),
    row("approle: accessor, looked up", "PUT", f"{ROLE}/secret-id-accessor/lookup",
        {"secret_id_accessor": "ACCESSOR"}),
    row("approle: unknown secret id, looked up", "PUT", f"{ROLE}/secret-id/lookup", {"secret_id": "x"}),
    row("approle: no secret id, looked up", "PUT", f"{ROLE}/secret-id/lookup", {}),
    row("approle: unknown accessor, looked up", "PUT", f"{ROLE}/secret-id-accessor/lookup",
        {"secret_id_accessor": "x"}),
    row("approle: no accessor, looked up", "PUT", f"{ROLE}/secret-id-accessor/lookup", {}),
    row("approle: custom secret id", "PUT", f"{ROLE}/custom-secret-id", {"secret_id": "cust"}),
    row("approle: custom secret id again", "PUT", f"{ROLE}/custom-secret-id", {"secret_id": "cust"}),
    row("approle: custom secret id, missing", "PUT", f"{ROLE}/custom-secret-id", {}),
    row("approle: login", "PUT", "auth/approle/login", {"role_id": "rid", "secret_id": "SECRET"}, token="",
        keep=kept("OF_DEV", "auth.client_token")),
    row("approle: token, looked up", "GET", "auth/token/lookup-self", token="OF_DEV"),
    row("approle: login again", "PUT", "auth/approle/login", {"role_id": "rid", "secret_id": "SECRET"}, token=""),
    row("approle: login without a role", "PUT", "auth/approle/login", {}, token=""),
    row("approle: login without a secret id", "PUT", "auth/approle/login", {"role_id": "rid"}, token=""),
    row("approle: login of no role", "PUT", "auth/approle/login", {"role_id": "x", "secret_id": "y"}, token=""),
    row("approle: secret id, destroyed", "PUT", f"{ROLE}/secret-id/destroy", {"secret_id": "cust"}),
    row("approle: unknown secret id, destroyed", "PUT", f"{ROLE}/secret-id/destroy", {"secret_id": "x"}),
    row("approle: unknown accessor, destroyed", "PUT", f"{ROLE}/secret-id-accessor/destroy",
        {"secret_id_accessor": "x"}),
    *(row(f"approle: field {field}", "GET", f"{ROLE}/{field}") for field in FIELDS),
    row("approle: policies, missing", "PUT", f"{ROLE}/policies", {}),
    row("approle: policies, written", "PUT", f"{ROLE}/policies", {"policies": "a,b"}),
    row("approle: period, written", "PUT", f"{ROLE}/period", {"period": "1h"}),
    row("approle: time, written", "PUT", f"{ROLE}/token-ttl", {"token_ttl": "90"}),
    row("approle: time, missing", "PUT", f"{ROLE}/token-ttl", {}),
    row("approle: role, read after all", "GET", ROLE),
    row("approle: policies, deleted", "DELETE", f"{ROLE}/policies"),
    row("approle: policies of no role", "GET", "auth/approle/role/none/policies"),
    row("approle: policies of no role, written", "PUT", "auth/approle/role/none/policies", {"policies": "x"}),
    row("approle: policies of no role, deleted", "DELETE", "auth/approle/role/none/policies"),
    row("approle: local secret ids, written", "PUT", f"{ROLE}/local-secret-ids", {}),
    row("approle: local secret ids of a role that is there", "PUT", ROLE, {"local_secret_ids": True}),
    row("approle: tidy", "PUT", "auth/approle/tidy/secret-id"),
    row("approle: delete", "DELETE", ROLE),
    row("approle: delete again", "DELETE", ROLE),
    row("approle: read of what was deleted", "GET", ROLE),
]

REQUESTS = WRAPPING + USERPASS + APPROLE
