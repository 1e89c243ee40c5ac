// Drives a server that is not initialised yet with node-vault, as people's programs do.
//
//   NODE_PATH=... node drive.js http://127.0.0.1:8200
"use strict";

const assert = require("node:assert/strict");
const nodeVault = require("node-vault");

const vault = nodeVault({ apiVersion: "v1", endpoint: process.argv[2] });

async function refused(status, call, words = "") {
  await assert.rejects(call, (error) => {
    assert.equal(error.response && error.response.statusCode, status, error.message);
    assert.ok(error.message.includes(words), error.message);
    return true;
  });
}

const steps = {
  async "a node is initialised and unsealed"() {
    assert.equal((await vault.initialized()).initialized, false);
    const made = await vault.init({ secret_shares: 3, secret_threshold: 2 });
    assert.equal(made.keys.length, 3);
    assert.equal((await vault.initialized()).initialized, true);
    assert.equal((await vault.status()).sealed, true);
    assert.equal((await vault.unseal({ key: made.keys[0] })).progress, 1);
    assert.equal((await vault.unseal({ key: made.keys[1] })).sealed, false);
    vault.token = made.root_token;
    const health = await until(() => vault.health({ standbyok: true }));
    assert.equal(health.sealed, false);
    await until(async () => (await vault.leader()).is_self);
  },

  async "secrets of version 1 live their life"() {
    await vault.mount({ mount_point: "one", type: "kv", description: "first" });
    await vault.write("one/a/b", { text: "ä", number: 1, list: [1, { deep: null }] });
    const read = await vault.read("one/a/b");
    assert.deepEqual(read.data, { text: "ä", number: 1, list: [1, { deep: null }] });
    assert.deepEqual((await vault.list("one")).data.keys, ["a/"]);
    await vault.delete("one/a/b");
    await refused(404, vault.read("one/a/b"));
  },

  async "secrets of version 2 live their life"() {
    await vault.mount({ mount_point: "two", type: "kv", options: { version: "2" } });
    const written = await vault.write("two/data/a", { data: { x: "1" } });
    assert.equal(written.data.version, 1);
    await vault.write("two/data/a", { data: { x: "2" }, options: { cas: 1 } });
    await refused(
      400,
      vault.write("two/data/a", { data: { x: "3" }, options: { cas: 1 } }),
      "check-and-set",
    );
    assert.deepEqual((await vault.read("two/data/a")).data.data, { x: "2" });
    assert.deepEqual((await vault.read("two/data/a?version=1")).data.data, { x: "1" });
    await vault.update("two/data/a", { data: { y: "2" } });
    assert.deepEqual((await vault.read("two/data/a")).data.data, { x: "2", y: "2" });
    assert.deepEqual((await vault.list("two/metadata")).data.keys, ["a"]);
    await vault.delete("two/metadata/a");
    await refused(404, vault.read("two/data/a"));
  },

  async "mounts are listed, moved and taken away"() {
    const mounts = await vault.mounts();
    assert.equal(mounts.data["one/"].description, "first");
    await vault.remount({ from: "one", to: "uno" });
    await vault.write("uno/a", { x: 1 });
    await refused(404, vault.read("one/a"));
    await vault.unmount({ mount_point: "uno" });
    await refused(404, vault.read("uno/a"));
    assert.ok((await vault.auths()).data["token/"]);
  },

  async "policies decide what a token may"() {
    const rules = 'path "two/data/mine/*" { capabilities = ["create", "read"] }';
    await vault.addPolicy({ name: "mine", rules });
    assert.ok((await vault.policies()).data.policies.includes("mine"));
    assert.equal((await vault.getPolicy({ name: "mine" })).data.rules, rules);
    const root = vault.token;
    const made = await vault.tokenCreate({ policies: ["mine"], ttl: "1h", meta: { of: "node" } });
    // It goes on with whatever token it was given last.
    vault.token = root;
    assert.deepEqual(made.auth.policies, ["default", "mine"]);
    const own = nodeVault({ endpoint: process.argv[2], token: made.auth.client_token });
    await own.write("two/data/mine/a", { data: { x: "1" } });
    await refused(403, own.write("two/data/other", { data: { x: "1" } }), "permission denied");
    await refused(403, own.mounts(), "permission denied");
    const told = await own.tokenLookupSelf();
    assert.deepEqual(told.data.meta, { of: "node" });
    await own.tokenRenewSelf({ increment: "2h" });
    const byAccessor = await vault.tokenLookupAccessor({ accessor: made.auth.accessor });
    assert.equal(byAccessor.data.accessor, made.auth.accessor);
    assert.equal((await vault.tokenLookup({ token: made.auth.client_token })).data.type, "service");
    await vault.tokenRevoke({ token: made.auth.client_token });
    await refused(403, own.tokenLookupSelf());
    await vault.removePolicy({ name: "mine" });
    await refused(404, vault.getPolicy({ name: "mine" }));
  },

  async "a sealed node refuses until it is unsealed"() {
    await vault.seal();
    assert.equal((await vault.status()).sealed, true);
    await refused(503, vault.read("two/data/mine/a"), "sealed");
  },
};

/** What `look` gives once it gives something true; a server that is starting may refuse. */
async function until(look) {
  for (const end = Date.now() + 30000; ; ) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    assert.ok(Date.now() < end, `in time: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

(async () => {
  for (const [name, step] of Object.entries(steps)) {
    await step().catch((error) => {
      console.error(`${name}: ${error.stack}`);
      process.exit(1);
    });
    console.log(`ok: ${name}`);
  }
})();
