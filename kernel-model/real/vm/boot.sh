#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A virtual machine: the agent's (its protocol is described in kernel-model/real/agent/agent.c),
# and that in which recordings are made (tests/recordings/programs/vm.sh).

set -eu

usage() {
	cat <<'END'
usage: boot.sh [--limit S] [--memory M] [--append WORDS] VMLINUZ INITRD

Boots a kernel without disk and network, by software emulation. Standard input and output
are the device /dev/vport0p1 of its /init, such as the agent's. What the kernel and
programs on /dev/console said goes to standard error when the machine has ended.

The machine ends when /init says so, when the process that started this is gone, after S
seconds at the latest (default 7200), or by a signal. The agent ends when its input ends.

--memory M      MiB of memory (default 512)
--append WORDS  more words on the kernel's command line
END
}

fail() {
	printf 'boot.sh: %s\n' "$*" >&2
	exit 2
}

limit=7200
memory=512
append=
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage; exit 0 ;;
	--limit | --memory | --append)
		[ $# -ge 2 ] || fail "$1 needs a value (see --help)"
		case $1 in
		--limit) limit=$2 ;;
		--memory) memory=$2 ;;
		--append) append=$2 ;;
		esac
		shift 2 ;;
	-*) fail "unknown option $1 (see --help)" ;;
	*) break ;;
	esac
done
[ $# -eq 2 ] || fail 'VMLINUZ and INITRD are needed (see --help)'
for file in "$1" "$2"; do
	[ -r "$file" ] || fail "cannot read $file"
done
command -v qemu-system-x86_64 >/dev/null ||
	fail 'qemu-system-x86_64 is not installed; on Debian: apt-get install qemu-system-x86'

# Standard input of what runs in the background is /dev/null, unless said otherwise. One
# processor: all draws are in one order.
# What the kernel says goes to a file without a name, which ends with its last user.
console=$(mktemp) || fail 'cannot make a temporary file'
exec 3<&0 4<>"$console"
rm -f "$console"
console=/proc/self/fd/4
qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp 1 -m "$memory" -nodefaults -no-user-config \
	-display none -no-reboot \
	-kernel "$1" -initrd "$2" \
	-append "console=ttyS0 reboot=t panic=-1 quiet loglevel=3 agent=/dev/vport0p1 $append" \
	-chardev stdio,id=agent,signal=off -device virtio-serial-pci -device virtserialport,chardev=agent \
	-serial "file:$console" \
	<&3 3<&- &
machine=$!
exec 3<&- </dev/null
watcher=
# shellcheck disable=SC2317 # traps call it
finish() {
	kill -KILL "$machine" ${watcher:+"$watcher"} 2>/dev/null || true
	cat "$console" >&2
}
trap finish EXIT
trap 'exit 143' HUP INT TERM

# One whose parent is gone gets another one.
watch() {
	left=$limit
	while [ "$left" -gt 0 ] && [ "$(cut -d ' ' -f 4 /proc/$$/stat)" = "$PPID" ]; do
		sleep 1 &
		wait $! || true
		left=$((left - 1))
	done
	[ "$left" -gt 0 ] || echo "boot.sh: the machine was ended after $limit s" >&2
	kill -KILL $machine 2>/dev/null || true
}
watch >&2 &
watcher=$!
status=0
wait $machine || status=$?
exit "$status"
