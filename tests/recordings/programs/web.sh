#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A web server with two workers, and clients that make a few hundred
# connections. The workers share one listener and have one listener each with
# SO_REUSEPORT. Some clients use ports that the kernel chooses, others use
# ports that they choose. Run it as root in a new network namespace: unshare -n.

set -eu

ip link set lo up
mkdir /tmp/www
echo hello >/tmp/www/file
cat >/tmp/nginx.conf <<'END'
worker_processes 2;
pid /tmp/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
	access_log off;
	keepalive_timeout 0;
	root /tmp/www;
	server { listen 127.0.0.1:8080; }
	server { listen 127.0.0.1:8081 reuseport; }
}
END

# The listeners are open when this returns.
nginx -c /tmp/nginx.conf

curl -q -s -H 'Connection: close' 'http://127.0.0.1:8080/file?[1-160]' >/tmp/1
curl -q -s 'http://127.0.0.1:8081/file?[1-40]' >/tmp/2
curl -q -s --interface 127.0.0.2 'http://127.0.0.1:8080/file?[1-10]' >/tmp/3
curl -q -s --local-port 47000-47010 'http://127.0.0.1:8080/file?[1-5]' >/tmp/4
# Five at a time. curl binds to the next port if a port is in use.
curl -q -s -Z --parallel-immediate --parallel-max 5 --local-port 47000-47010 'http://127.0.0.1:8080/file?[1-20]' >/tmp/4
curl -q -s --interface 127.0.0.2 --local-port 47000-47010 'http://127.0.0.1:8081/file?[1-5]' >/tmp/5
curl -q -s http://127.0.0.1:8079/ || true

nginx -c /tmp/nginx.conf -s quit
while [ -e /tmp/nginx.pid ]; do
	sleep 0.1
done
