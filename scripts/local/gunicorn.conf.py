"""How gunicorn serves the edge: threads, because requests wait for Postgres and for gateways."""

import os

bind = f"127.0.0.1:{os.environ.get('PORT', '3000')}"
worker_class = "gthread"
workers = int(os.environ.get("EDGE_WORKERS", "2"))
threads = int(os.environ.get("EDGE_THREADS", "16"))
timeout = 60  # seconds without a sign of life from a worker
graceful_timeout = 10  # seconds for requests under way when stopping
keepalive = 5  # seconds an idle client connection is kept
max_requests = 0
forwarded_allow_ips = "127.0.0.1"
forwarder_headers = ""
control_socket_disable = True
