#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes the recordings of the folder above again. The programs of this folder run
# under strace in a virtual machine (vm.sh) with Debian 12's 6.1 kernel, each in a
# new network namespace. The output of strace is not edited. Comment lines are
# added at the top: the kernel, strace's version and the command.

set -eu

ALL='three_ways-by_hand three_ways-namespace_range three_ways-socket_range
three_ways-closing time_wait web redis load odd storm-1 storm6-1 storm6-mptcp-1
storm6-vrf-2'

usage() {
	cat <<END
usage: record.sh [NAME...]
       record.sh --storms FIRST LAST CALLS DIR [plain]
       record.sh --storms6 FIRST LAST CALLS DIR [plain] [--with LIST]

Records the named programs, or all of them, into the folder above:

$ALL

These programs are recorded only if they are named: selftest is selftest.py,
selftest-PART is one part of it, and vrf is its part on VRFs. Other storms are
storm-SEED, storm6-SEED and storm6-LIST-SEED.

--storms records storm.py into DIR, with every seed from FIRST to LAST and CALLS
system calls each. --storms6 records storm6.py. plain leaves out calls whose
results depend on single milliseconds. LIST is one or more of udplite, mptcp,
dccp, sctp and vrf, separated by commas. vm.sh --help says what is needed.
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
