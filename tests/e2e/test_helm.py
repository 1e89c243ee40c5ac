"""The Helm chart, linted and rendered by Helm's own library."""

import re
import subprocess
import unittest

import harness
from deployed import DEPLOY
from harness import Case, Process, clean_env, free_port

CHART = DEPLOY / "helm/strongroom"


def helm():
    try:
        import helm_python
    except ImportError:
        raise unittest.SkipTest("helm-python-sdk is missing: tests/run installs it") from None
    return helm_python


class Chart(Case):
    def render(self, **values):
        """Every object, by kind and name."""
        library = helm()
        with library.Chart.load(str(CHART)) as chart:
            files = chart.render(values, name="demo", namespace="prod")
        found = {}
        for name, text in files.items():
            for part in re.split(r"^---$", text, flags=re.MULTILINE):
                if name.endswith(".yaml") and part.strip():
                    one = library.values_from_yaml(part)
                    found[one["kind"], one["metadata"]["name"]] = one
        return found

    def test_lint_finds_nothing(self):
        found = helm().lint(str(CHART))
        problems = [one for one in found.get("messages", found.get("Messages", [])) if "icon" not in str(one)]
        self.assertEqual(problems, [], found)

    def test_every_object_finds_its_pods(self):
        found = self.render(serviceMonitor={"enabled": True})
        kinds = sorted(kind for kind, _ in found)
        expected = "ConfigMap NetworkPolicy PodDisruptionBudget Service Service ServiceMonitor StatefulSet"
        self.assertEqual(kinds, expected.split())
        stateful = found["StatefulSet", "demo-strongroom"]
        labels = stateful["spec"]["template"]["metadata"]["labels"]
        selectors = [
            stateful["spec"]["selector"]["matchLabels"],
            found["Service", "demo-strongroom"]["spec"]["selector"],
            found["Service", "demo-strongroom-internal"]["spec"]["selector"],
            found["PodDisruptionBudget", "demo-strongroom"]["spec"]["selector"]["matchLabels"],
            found["NetworkPolicy", "demo-strongroom"]["spec"]["podSelector"]["matchLabels"],
        ]
        for selector in selectors:
            self.assertTrue(selector)
            self.assertLessEqual(selector.items(), labels.items())
        monitor = found["ServiceMonitor", "demo-strongroom"]["spec"]["selector"]["matchLabels"]
        self.assertLessEqual(monitor.items(), found["Service", "demo-strongroom-internal"]["metadata"]["labels"].items())
        self.assertEqual(stateful["spec"]["serviceName"], "demo-strongroom-internal")
        # The container's names of ports are those that services and policies use.
        [container] = stateful["spec"]["template"]["spec"]["containers"]
        self.assertEqual({port["name"] for port in container["ports"]}, {"api", "cluster", "metrics"})
        self.assertTrue(container["securityContext"]["readOnlyRootFilesystem"])

    def test_the_configuration_is_one_that_the_server_takes(self):
        for replicas in (1, 3, 5):
            found = self.render(
                replicas=replicas,
                tls={"disable": True},
                disableMlock=True,
                requestIdAuthorizedAddrs=["10.1.0.0/16", "fd00::/8"],
            )
            text = found["ConfigMap", "demo-strongroom"]["data"]["strongroom.hcl"]
            self.assertIn('x_strongroom_request_id_authorized_addrs = ["10.1.0.0/16","fd00::/8"]', text)
            self.assertEqual(text.count("retry_join"), replicas)
            for old, new in (
                ("/var/lib/strongroom", f"{self.folder}/data-{replicas}"),
                *((f"[::]:{port}", f"127.0.0.1:{free_port()}") for port in (8200, 8201, 8202, 8203)),
            ):
                self.assertIn(old, text)
                text = text.replace(old, new)
            path = harness.pathlib.Path(self.folder) / f"chart-{replicas}.hcl"
            path.write_text(text)
            env = clean_env(self.folder, VAULT_RAFT_NODE_ID="demo-strongroom-0")
            process = Process([harness.STRONGROOM, "server", f"-config={path}"], self.folder, f"chart-{replicas}", env)
            self.addCleanup(process.kill)
            harness.wait_for(
                "the server to listen",
                lambda process=process: "listen" in process.output() or not process.is_running(),
            )
            self.assertTrue(process.is_running(), process.output())
            self.assertNotIn("unknown key", process.output())

    def test_values_that_cannot_be_are_refused(self):
        # With what the message names.
        for values, named in (
            ({"replicas": 2}, "/replicas"),
            ({"replicas": "three"}, "/replicas"),
            ({"replica": 3}, "replica"),
            ({"logLevel": "loud"}, "/logLevel"),
            ({"requestIdAuthorizedAddrs": "10.0.0.0/8"}, "/requestIdAuthorizedAddrs"),
            ({"requestIdAuthorizedAddrs": ["ingress"]}, "/requestIdAuthorizedAddrs/0"),
            ({"storage": {"size": "lots"}}, "/storage/size"),
            ({"tls": {"secretName": ""}}, "/tls/secretName"),
        ):
            with self.subTest(values):
                with self.assertRaises(helm().HelmValuesError) as refused:
                    self.render(**values)
                self.assertIn(f"'{named}'", str(refused.exception))

    def test_without_tls_nothing_asks_for_a_certificate(self):
        found = self.render(tls={"disable": True})
        self.assertNotIn("https://demo", str(found["ConfigMap", "demo-strongroom"]))
        self.assertNotIn("secretName", str(found))
        self.assertIn("tls_cert_file", str(self.render()["ConfigMap", "demo-strongroom"]))


__all__ = ["Chart"]
