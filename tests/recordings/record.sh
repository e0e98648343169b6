#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes the recordings of this folder again: the programs beside it run under
# strace in a virtual machine (vm.sh) with Debian 12's 6.1 kernel, each in a
# fresh network namespace, and strace's output is kept as it is. Only the
# comment lines at the top are added: the kernel, strace's version, and the
# command.

set -eu

ALL='three_ways-by_hand three_ways-namespace_range three_ways-socket_range
three_ways-closing time_wait web redis load odd storm-1'

usage() {
	cat <<END
usage: record.sh [NAME...]
       record.sh --storms FIRST LAST CALLS DIR [plain]

Records the programs named, or all, into this folder:

$ALL

With --storms, storm.py with every seed from FIRST to LAST, CALLS system calls
each, into DIR; plain leaves out what hangs on single milliseconds. Needs what vm.sh needs (vm.sh --help).
END
}

here=$(dirname "$0")
case ${1:-} in
--help | -h) usage; exit 0 ;;
--storms)
	[ $# -eq 5 ] || [ "$#-${6:-}" = 6-plain ] || { echo 'record.sh: --storms needs FIRST LAST CALLS DIR [plain]' >&2; exit 2; }
	exec "$here/vm.sh" --timeout 3600 --out "$5" "$here" sh inside.sh storms "$2" "$3" "$4" ${6:+"$6"} ;;
-*) echo "record.sh: unknown option $1 (see --help)" >&2; exit 2 ;;
esac
# shellcheck disable=SC2086 # one name a word
[ $# -gt 0 ] || set -- $ALL
exec "$here/vm.sh" --timeout 1800 --out "$here" "$here" sh inside.sh "$@"
