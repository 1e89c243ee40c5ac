# Node 1 of three. The nodes differ in their own name and address only.

storage "raft" {
  path    = "/var/lib/strongroom"
  node_id = "strongroom-1"

  retry_join {
    leader_api_addr     = "https://strongroom-2.example.com:8200"
    leader_ca_cert_file = "/etc/strongroom/tls/ca.crt"
  }
  retry_join {
    leader_api_addr     = "https://strongroom-3.example.com:8200"
    leader_ca_cert_file = "/etc/strongroom/tls/ca.crt"
  }
}

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_cert_file   = "/etc/strongroom/tls/server.crt"
  tls_key_file    = "/etc/strongroom/tls/server.key"

  # The proxies in front (deploy/haproxy, deploy/nginx): what they send again takes effect once. Put
  # theirs here; nobody has these addresses. Nobody else may reach the nodes from such an address.
  x_strongroom_request_id_authorized_addrs = ["192.0.2.10", "192.0.2.11"]
}

api_addr     = "https://strongroom-1.example.com:8200"
cluster_addr = "https://strongroom-1.example.com:8201"
cluster_name = "strongroom"

log_format = "json"
