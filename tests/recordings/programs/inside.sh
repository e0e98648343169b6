#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Records programs of this folder with strace, each in a new network
# namespace. record.sh runs this script in the virtual machine.
#
#   inside.sh storms FIRST LAST CALLS [plain]       out/storm-SEED.strace for each seed
#   inside.sh storms6 FIRST LAST CALLS [OPTION...]  out/storm6-SEED.strace for each seed
#   inside.sh NAME...                               out/NAME.strace

set -eu

TRACE=%network,execve,clone,clone3,fork,vfork,exit_group,unshare,setns,openat,write,close,dup,dup2,dup3,setuid,setresuid

# record NAME "STRACE OPTIONS" PROGRAM...
record() {
	name=$1
	options=$2
	shift 2
	start=$(date +%s)
	{
		uname -srv | sed 's/^/# /'
		strace -V | sed -n '1s/ -- version//; 1s/^/# /p'
		echo "# strace $options -e trace=$TRACE $*"
	} >"out/$name.strace"
	unshare -n sh -c "$prepare exec strace $options -e trace=$TRACE -o trace \"\$@\"" "$0" "$@" >log 2>&1 || {
		cat log >&2
		echo "inside.sh: $name: $* failed" >&2
		exit 1
	}
	cat trace >>"out/$name.strace"
	rm trace log
	echo "$name: $(wc -l <"out/$name.strace") lines, $(($(date +%s) - start)) s"
}

# record_python NAME "STRACE OPTIONS" FILE...
record_python() {
	name=$1
	options=$2
	shift 2
	record "$name" "$options" /usr/bin/python3 -IS "$@"
}

prepare=
mkdir -p out
case ${1:-} in
storms | storms6)
	storm=${1%s*}${1#storms}
	seed=$2
	last=$3
	calls=$4
	shift 4
	while [ "$seed" -le "$last" ]; do
		record_python "$storm-$seed" '-f -ttt' "$storm.py" "$seed" "$calls" "$@"
		seed=$((seed + 1))
	done
	exit 0 ;;
esac
for name in "$@"; do
	prepare=
	case $name in
	three_ways-by_hand | three_ways-closing)
		record_python "$name" '-f -ttt' three_ways.py "${name#*-}" ;;
	three_ways-namespace_range)
		record_python "$name" '-f' three_ways.py "${name#*-}" ;;
	three_ways-socket_range)
		record_python "$name" '-f -tt' three_ways.py "${name#*-}" ;;
	time_wait)
		prepare='ip link set lo up;'
		record_python "$name" '-ttt' time_wait.py ;;
	load) record_python "$name" '-f -ttt' load.py ;;
	odd) record_python "$name" '-f -ttt' odd.py ;;
	web) record "$name" '-f' sh web.sh ;;
	redis) record "$name" '-f -ttt' sh redis.sh ;;
	storm-*) record_python "$name" '-f -ttt' storm.py "${name#*-}" 1500 ;;
	storm6-*-*)
		with=${name#storm6-}
		record_python "$name" '-f -ttt' storm6.py "${name##*-}" 800 plain --with "${with%-*}" ;;
	storm6-*) record_python "$name" '-f -ttt' storm6.py "${name#*-}" 800 plain ;;
	selftest) record_python "$name" '-f -ttt' selftest.py ;;
	selftest-* | vrf) record_python "$name" '-f -ttt' selftest.py "${name#selftest-}" ;;
	*) echo "inside.sh: no program for $name" >&2; exit 1 ;;
	esac
done
