# One node that keeps its state on disk. More can join it later.

storage "raft" {
  path    = "/var/lib/strongroom"
  node_id = "strongroom-1"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/strongroom/tls/server.crt"
  tls_key_file  = "/etc/strongroom/tls/server.key"
}

# What clients are told: the name in the certificate.
api_addr = "https://strongroom.example.com:8200"

ui = true
