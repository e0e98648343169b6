#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes the recordings of the folder above again: the programs of this folder run
# under strace in a virtual machine (vm.sh) with Debian 12's 6.1 kernel, each in a
# fresh network namespace, and strace's output is kept as it is. Only the
# comment lines at the top are added: the kernel, strace's version, and the
# command.

set -eu

ALL='three_ways-by_hand three_ways-namespace_range three_ways-socket_range
three_ways-closing time_wait web redis load odd storm-1 storm6-1 storm6-mptcp-1
storm6-vrf-2'

usage() {
	cat <<END
usage: record.sh [NAME...]
       record.sh --storms FIRST LAST CALLS DIR [plain]
       record.sh --storms6 FIRST LAST CALLS DIR [plain] [--with LIST]

Records the programs named, or all, into the folder above:

$ALL

By name alone: selftest for selftest.py, selftest-PART for one part of it, vrf for
its part on VRFs, and another storm as storm-SEED, storm6-SEED or storm6-LIST-SEED.

With --storms, storm.py with every seed from FIRST to LAST, CALLS system calls
each, into DIR; plain leaves out what hangs on single milliseconds. With
--storms6, storm6.py; LIST is udplite, mptcp, dccp, sctp, vrf or some of them, with
commas. Needs what vm.sh needs (vm.sh --help).
END
}

here=$(dirname "$0")
case ${1:-} in
--help | -h) usage; exit 0 ;;
--storms)
	[ $# -eq 5 ] || [ "$#-${6:-}" = 6-plain ] || {
		echo 'record.sh: --storms needs FIRST LAST CALLS DIR [plain]' >&2
		exit 2
	}
	exec "$here/vm.sh" --timeout 3600 --out "$5" "$here" \
		sh inside.sh storms "$2" "$3" "$4" ${6:+"$6"} ;;
--storms6)
	[ $# -ge 5 ] || {
		echo 'record.sh: --storms6 needs FIRST LAST CALLS DIR [plain] [--with LIST]' >&2
		exit 2
	}
	first=$2 last=$3 calls=$4 out=$5
	shift 5
	exec "$here/vm.sh" --timeout 3600 --out "$out" "$here" \
		sh inside.sh storms6 "$first" "$last" "$calls" "$@" ;;
-*) echo "record.sh: unknown option $1 (see --help)" >&2; exit 2 ;;
esac
# shellcheck disable=SC2086 # one name a word
[ $# -gt 0 ] || set -- $ALL
exec "$here/vm.sh" --timeout 1800 --out "$here/.." "$here" sh inside.sh "$@"
