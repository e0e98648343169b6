#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Boots a virtual machine, for the agent (kernel-model/real/agent/agent.c describes its protocol)
# or to make recordings (tests/recordings/programs/vm.sh).

set -eu

usage() {
	cat <<'END'
usage: boot.sh [--limit S] [--memory M] [--append WORDS] VMLINUZ INITRD

Boots a kernel without disk and network, by software emulation. Standard input and output
are connected to the device /dev/vport0p1, which /init uses. When the machine has ended,
the output of its console is printed to standard error.

The machine ends when /init ends it, when the parent process of boot.sh ends, after S
seconds (default 7200), or by a signal. The agent ends when its input ends.

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

# A background process would get /dev/null as standard input, so descriptor 3 keeps the input.
# With one processor all draws have one order.
# On a busy host the kernel's check of its timer can fail, and then the kernel panics. So it is left out.
# The console goes to a deleted file. Its contents are freed with the last descriptor.
console=$(mktemp) || fail 'cannot make a temporary file'
exec 3<&0 4<>"$console"
rm -f "$console"
console=/proc/self/fd/4
qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp 1 -m "$memory" -nodefaults -no-user-config \
	-display none -no-reboot \
	-kernel "$1" -initrd "$2" \
	-append "console=ttyS0 reboot=t panic=-1 quiet loglevel=3 no_timer_check agent=/dev/vport0p1 $append" \
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

# If the parent of boot.sh ends, boot.sh gets another parent.
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
