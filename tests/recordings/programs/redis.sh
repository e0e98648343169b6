#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A key-value server, its command-line client and its load generator on
# loopback. Run it as root in a new network namespace: unshare -n.

set -eu

ip link set lo up
cd /tmp
redis-server --daemonize yes --bind 127.0.0.1 --port 6379 --save ''
until redis-cli ping >/dev/null 2>&1; do
	sleep 0.2
done
redis-cli set visits 41
redis-cli incr visits
redis-cli -h 127.0.0.1 get visits
redis-cli rpush list a b c
redis-cli client list
redis-benchmark -q -c 5 -n 50 -t ping,set,get,lpush
redis-benchmark -q -c 3 -n 30 -k 0 -t incr
redis-cli shutdown nosave
