# All nodes of docker-compose.yml: name and addresses come from the environment.

storage "raft" {
  path = "/var/lib/strongroom"

  # A node that asks itself is told that it is in no cluster yet, and asks the next one.
  retry_join { leader_api_addr = "http://node1:8200" }
  retry_join { leader_api_addr = "http://node2:8200" }
  retry_join { leader_api_addr = "http://node3:8200" }
}

# In the network of the containers alone; HAProxy is what is reached from outside.
listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_disable     = true

  # HAProxy, whichever address it was given.
  x_strongroom_request_id_authorized_addrs = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
}

# For Prometheus, which must see sealed nodes too.
listener "tcp" {
  address         = "0.0.0.0:8202"
  cluster_address = "0.0.0.0:8203"
  tls_disable     = true

  telemetry {
    metrics_only                   = true
    unauthenticated_metrics_access = true
  }
}

cluster_name = "strongroom"
log_format   = "json"
