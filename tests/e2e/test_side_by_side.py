"""The same commands to our command line and to OpenBao's, each with a server of its own: what they
print, and how they end, must be the same."""

import re
import tempfile

import harness
from harness import Case, Client, start_dev

# Each: a name, then commands as a shell would split them at spaces. A pair is a command and what
# it reads from standard input.
SCENARIOS = {
    "the life of a secret of version 2": [
        "kv put -mount=secret a x=1 y=two",
        "kv put secret/b/c only=me",
        "kv get -mount=secret a",
        "kv get secret/a",
        "kv get -field=x secret/a",
        "kv get -field=none secret/a",
        "kv get -format=json secret/a",
        "kv get -format=yaml secret/a",
        "kv get -version=1 secret/a",
        "kv get -version=9 secret/a",
        "kv list secret",
        "kv list secret/",
        "kv list -format=json secret/b",
        "kv list secret/none",
        "kv patch -mount=secret a z=3",
        "kv patch -method=rw secret/a z=4",
        "kv patch secret/none z=4",
        "kv put -cas=1 secret/a x=9",
        "kv put -cas=3 secret/a x=9",
        "kv metadata get secret/a",
        "kv metadata put -max-versions=7 -delete-version-after=2h -cas-required secret/a",
        "kv metadata put -custom-metadata=who=me -custom-metadata=why=so secret/a",
        "kv metadata patch -custom-metadata=who=you secret/a",
        "kv metadata patch -remove-custom-metadata=why secret/a",
        "kv metadata get -format=json secret/a",
        "kv put secret/a x=1",
        "kv delete secret/a",
        "kv get secret/a",
        "kv get -format=json secret/a",
        "kv undelete -versions=4 secret/a",
        "kv get -field=x secret/a",
        "kv delete -versions=1,2 secret/a",
        "kv destroy -versions=1 secret/a",
        "kv metadata get secret/a",
        "kv metadata delete secret/a",
        "kv metadata get secret/a",
        "kv get secret/a",
    ],
    "going back to an older version": [
        "kv put secret/r x=1",
        "kv put secret/r x=2",
        "kv rollback -version=1 secret/r",
        "kv get -field=x secret/r",
        "kv rollback -version=9 secret/r",
        "kv rollback secret/r",
    ],
    "secrets from files and standard input": [
        ("kv put secret/s x=-", "from stdin"),
        "kv get -field=x secret/s",
        ("kv put secret/s -", '{"n": 12, "deep": {"a": [1, 2]}}'),
        "kv get -format=json secret/s",
        "kv get secret/s",
        ("kv put secret/s -", "no json"),
        "kv put secret/s x=@missing-file",
        r"kv put secret/s x=\@literal",
        "kv get -field=x secret/s",
        "kv put secret/s",
        "kv put secret/s novalue",
    ],
    "the life of a secret of version 1": [
        "secrets enable -path=one -version=1 kv",
        "kv put one/a x=1 y=2",
        "kv get one/a",
        "kv get -field=y one/a",
        "kv get -format=json one/a",
        "kv list one",
        "kv patch one/a x=2",
        "kv metadata get one/a",
        "kv delete one/a",
        "kv get one/a",
        "kv delete one/a",
        "kv put one/b x=1",
        "kv enable-versioning one/",
        "kv get -field=x one/b",
    ],
    "paths without their own commands": [
        "write secret/data/w data=text",
        ("write secret/data/w -", '{"data": {"a": "b"}}'),
        "read secret/data/w",
        "read -field=data secret/data/w",
        "read -format=json secret/data/w",
        "read secret/data/none",
        "read secret/none",
        "list secret/metadata",
        "list secret/metadata/none",
        "delete secret/data/w",
        "delete secret/data/w",
        "write cubbyhole/a k=v n=2",
        "read cubbyhole/a",
        "list cubbyhole",
        "delete cubbyhole/a",
        "read cubbyhole/a",
        "write -f cubbyhole/empty",
        "write cubbyhole/nothing",
        "read nowhere/x",
        "write nowhere/x a=b",
        "list nowhere",
        "delete nowhere/x",
    ],
    "engines that are mounted, tuned, moved and disabled": [
        "secrets list",
        "secrets list -detailed",
        "secrets enable kv",
        "secrets enable kv",
        "secrets enable -path=team/a/kv -description=ours -default-lease-ttl=1h -max-lease-ttl=2h kv-v2",
        "secrets enable -path=team/a kv",
        "secrets enable -path=team/a/kv/below kv",
        "secrets enable nonesuch",
        "secrets enable",
        "secrets list",
        "secrets tune -description=changed -max-lease-ttl=3h team/a/kv",
        "secrets tune -default-lease-ttl=9h team/a/kv",
        "secrets tune nowhere",
        "read sys/mounts/team/a/kv/tune",
        "kv put team/a/kv/x a=1",
        "secrets move team/a/kv moved",
        "kv get -field=a moved/x",
        "kv get team/a/kv/x",
        "secrets move nowhere elsewhere",
        "secrets disable moved",
        "secrets disable moved",
        "secrets disable sys",
        "secrets disable cubbyhole",
        "secrets list",
    ],
    "policies": [
        "policy list",
        "policy read default",
        ("policy write Mine -", 'path "secret/*" { capabilities = ["read", "list"] }'),
        "policy read mine",
        "policy list",
        "policy list -format=json",
        ("policy write mine -", 'path "secret/*" { capabilities = ["fly"] }'),
        ("policy write mine -", "not a policy {"),
        ("policy write root -", 'path "x" { capabilities = ["read"] }'),
        "policy write mine missing-file",
        "policy delete mine",
        "policy delete mine",
        "policy delete default",
        "policy delete root",
        "policy read mine",
        "policy write mine",
    ],
    "status and help": [
        "status",
        "auth list",
        "token capabilities secret/x",
        "token capabilities sys/mounts",
        "path-help nowhere/x",
        "print token",
    ],
    "arguments that are wrong": [
        "kv get",
        "kv get -version=x secret/a",
        "kv get a b c",
        "kv put",
        "kv destroy secret/a",
        "kv undelete secret/a",
        "read",
        "list",
        "delete",
        "policy read",
        "secrets disable",
        "secrets move a",
        "token capabilities",
    ],
    "a token that is wrong": [
        ("kv get secret/a", "", "wrong"),
        ("kv list secret", "", "wrong"),
        ("kv put secret/a x=1", "", "wrong"),
        ("secrets list", "", "wrong"),
        ("policy list", "", "wrong"),
        ("read sys/mounts", "", "wrong"),
        ("status", "", "wrong"),
    ],
    "sealing": [
        "operator seal",
        "status",
        "kv get secret/a",
        "kv put secret/a x=1",
        "secrets list",
        "operator unseal not-a-share",
        "operator unseal -reset",
        "operator unseal AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "operator init",
        "operator init -status",
    ],
}


class SideBySide(Case):
    def transcript(self, program, commands):
        server = start_dev(tempfile.mkdtemp(dir=self.folder))
        try:
            client = Client(program, server, self.folder)
            return [self.run_one(client, *words(command)) for command in commands]
        finally:
            server.stop()

    def run_one(self, client, command, stdin="", token=None):
        environment = {"VAULT_TOKEN": token, "BAO_TOKEN": token} if token else {}
        ran = client.run(*command.split(" "), stdin=stdin, **environment)
        return command, ran.status, normal(ran.out), normal(ran.err)

    def compare(self, commands):
        theirs = self.transcript(harness.bao_program(), commands)
        ours = self.transcript(harness.STRONGROOM, commands)
        for (command, *our), (_, *their) in zip(ours, theirs, strict=True):
            with self.subTest(command=command):
                self.assertEqual(readable(our, command), readable(their, command))


def words(command):
    return command if isinstance(command, tuple) else (command,)


def readable(ended, command):
    status, out, err = ended
    # How a wrong argument is explained is ours; that it is refused, and how it ends, is not.
    if command in STATUS_ONLY or (status == 1 and command not in OUTPUT_WHERE_1):
        return f"ended with {status}"
    return f"ended with {status}\n{out}--- stderr\n{err}"


# These end with 1 for a reason other than wrong arguments.
OUTPUT_WHERE_1 = ()

# Said by the operating system's library, each in its own words.
STATUS_ONLY = ("policy write mine missing-file",)


def normal(text):
    """Without what differs from server to server, keeping its width."""
    for pattern, stands_for in VOLATILE:
        text = re.sub(pattern, stands_for, text)
    # Hints of ours stand at the end, after an empty line.
    text = re.sub(r"(\n+Hint: .*)+\s*\Z", "\n", text)
    return "".join(line.rstrip() + "\n" for line in text.rstrip().splitlines())


VOLATILE = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "<time>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"\b([a-z_]+)_[0-9a-f]{8}\b", r"\1_<accessor>"),
    (r"127\.0\.0\.1:\d+", "<address>"),
    (r"hvs\.[A-Za-z0-9_-]+", "<token>"),
    # Their client knows no `mount_type`.
    (r',\n +"mount_type": "[^"]*"', ""),
    (r'\nmount_type: "?[a-z]*"?', ""),
    # Some look like a number at first; quoting them is not wrong.
    (r'request_id: "<uuid>"', "request_id: <uuid>"),
    # It looks for a `commit_date` instead.
    (r"Build Date +\S+\n", ""),
    (r"OpenBao", "Vault"),
    (r"\bbao\b", "vault"),
]


def test_of(commands):
    return lambda self: self.compare(commands)


for title, commands in SCENARIOS.items():
    setattr(SideBySide, "test_" + title.replace(" ", "_").replace(",", ""), test_of(commands))
