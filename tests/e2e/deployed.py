"""What `deploy/` holds, changed in no more than addresses, times and certificates, to be run here."""

import re
import subprocess

import harness

DEPLOY = harness.ROOT / "deploy"


def replaced(text, *pairs):
    """`text` with each pattern replaced; one that is not there has changed in `deploy/`."""
    for pattern, new in pairs:
        text, count = re.subn(pattern, new, text)
        assert count, f"{pattern} is not in:\n{text}"
    return text


def haproxy(nodes, port, active_port):
    """The configuration for HAProxy, without TLS, in front of `nodes`."""
    text = replaced(
        (DEPLOY / "haproxy/haproxy.cfg").read_text(),
        (r"bind :8200 ssl crt \S+", f"bind 127.0.0.1:{port}"),
        (r"bind :8210 ssl crt \S+", f"bind 127.0.0.1:{active_port}"),
        (r" ssl verify required ca-file \S+", ""),
        (r"inter 500ms", "inter 200ms"),
    )
    for number, node in enumerate(nodes, 1):
        text = replaced(text, (rf"strongroom-{number}\.example\.com:8200", f"127.0.0.1:{node.port}"))
    return text


def nginx(folder, text, logs="off"):
    """A whole configuration around `text`, which is one server's; everything of it is in `folder`."""
    path = f"{folder}/nginx.conf"
    with open(path, "w") as file:
        file.write(
            f"pid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log {logs};\nclient_body_temp_path {folder}/body;\n"
            f"proxy_temp_path {folder}/proxy;\nfastcgi_temp_path {folder}/fastcgi;\n"
            f"uwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n"
            f"{text}\n}}\n"
        )
    return ["-e", "stderr", "-p", str(folder), "-c", path]


def plain_nginx(folder, ports, port, *more):
    """What starts nginx in front of nodes at these ports, without TLS."""
    text = replaced(
        (DEPLOY / "nginx/strongroom.conf").read_text(),
        (r"listen 8200 ssl http2", f"listen 127.0.0.1:{port}"),
        (r" *(ssl|proxy_ssl)_\w+ .*;\n", ""),
        (r"https://strongroom", "http://strongroom"),
        *more,
    )
    for number, node in enumerate(ports, 1):
        text = replaced(text, (rf"strongroom-{number}\.example\.com:8200", f"127.0.0.1:{node}"))
    arguments = nginx(folder, text)
    return [harness.needs("nginx"), *arguments, "-g", "daemon off;"]


def certificate(folder):
    """A pair that is its own authority, for what only looks at its form: its two files."""
    pair = (f"{folder}/server.crt", f"{folder}/server.key")
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [harness.needs("openssl"), *arguments.split(), "-out", pair[0], "-keyout", pair[1]],
        check=True,
        capture_output=True,
        timeout=harness.COMMAND_SECONDS_MAX,
    )
    return pair


def scripts():
    """Every file of this repository that begins as a shell's script."""
    for path in sorted(harness.ROOT.rglob("*")):
        parts = path.relative_to(harness.ROOT).parts
        if parts[0] in ("target", ".git") or "node_modules" in parts or not path.is_file():
            continue
        with path.open("rb") as file:
            first = file.readline(80)
        if re.match(rb"#!.*\b(ba|da)?sh\b", first):
            yield path
