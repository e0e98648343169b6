#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs a command as root in a temporary virtual machine with Debian 12's own 6.1
# kernel. The model has this kernel as profile 6.1.176. boot.sh boots the machine.
# images.sh gets the kernel. The initramfs holds a whole Debian system.

set -eu

# The sources of this release were compared with v6.3. If Debian no longer has it, the
# newest 6.1 is used.
WANTED=6.1.176
PACKAGES=python3,strace,iproute2,procps,kmod,curl,nginx-light,redis-server,redis-tools

here=$(dirname "$0")
vm=$here/../../../kernel-model/real/vm

usage() {
	cat <<'END'
usage: vm.sh [--out DIR] [--timeout SECONDS] [--kernel FILE] FOLDER COMMAND...

Copies FOLDER to /w in a virtual machine and runs COMMAND there as root with lo
up. Prints the output of COMMAND and exits with its status. Copies the files
below /w/out to DIR.

  --out DIR          folder for the results; without it they are lost
  --timeout SECONDS  end the machine after this time (default 600); the exit
                     status is then 124
  --kernel IMAGE     boot another kernel than Debian's 6.1: a series such as
                     6.12, or a file BZIMAGE[:MODULES]

The machine has python3, strace, ip, sysctl, curl, nginx and redis. It has dummy
and VRF devices, SCTP and DCCP if the kernel has them. The first run gets the
kernel and the root file system with apt and keeps them in
${XDG_CACHE_HOME:-$HOME/.cache}/inet-port-model (some 200 MB).

Needs what images.sh needs, and the packages qemu-system-x86, mmdebstrap and cpio.
Exit status 125: the machine could not be run.
END
}

fail() {
	printf 'vm.sh: %s\n' "$*" >&2
	exit 125
}

# Quotes the argument as one word for the shell.
quote() {
	printf '%s\n' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"
}

out=
timeout=600
kernel=
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage; exit 0 ;;
	--out | --timeout | --kernel)
		[ $# -ge 2 ] || fail "$1 needs a value (see --help)"
		case $1 in
		--out) out=$2 ;;
		--timeout) timeout=$2 ;;
		--kernel) kernel=$2 ;;
		esac
		shift 2 ;;
	--) shift; break ;;
	-*) fail "unknown option $1 (see --help)" ;;
	*) break ;;
	esac
done
[ $# -ge 2 ] || fail 'a FOLDER and a COMMAND are needed (see --help)'
folder=$1
shift
[ -d "$folder" ] || fail "$folder is not a folder"
case $timeout in
'' | *[!0-9]* | 0) fail "--timeout $timeout is not a number of seconds" ;;
esac
for tool in cpio gzip tar mkfifo; do
	command -v "$tool" >/dev/null || fail "$tool is not installed (see --help)"
done

cache=${XDG_CACHE_HOME:-$HOME/.cache}/inet-port-model
mkdir -p "$cache" || fail "cannot make the cache folder $cache"
tmp=$(mktemp -d) || fail 'cannot make a temporary folder'
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Prints the kernel and the folder of its modules, as images.sh does.
image() {
	case $kernel in
	'') "$vm/images.sh" get "$WANTED" 2>/dev/null || "$vm/images.sh" get "${WANTED%.*}" ;;
	*/*:*) "$vm/images.sh" file "${kernel%%:*}" "${kernel#*:}" ;;
	*/*) "$vm/images.sh" file "$kernel" ;;
	*) "$vm/images.sh" get "$kernel" ;;
	esac
}

# Makes the root file system as a cpio archive without /init.
fetch_rootfs() {
	command -v mmdebstrap >/dev/null || fail 'mmdebstrap is not installed (see --help)'
	# shellcheck disable=SC2016 # apt's variables
	apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Identifier: Packages' 'Origin: Debian' >"$tmp/sources.list"
	[ -s "$tmp/sources.list" ] || fail 'apt has no Debian sources, or its lists are empty'
	echo 'vm.sh: building the root file system, once' >&2
	mmdebstrap --quiet --variant=minbase --include="$PACKAGES" \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		bookworm "$tmp/rootfs.tar" "$tmp/sources.list" >"$tmp/log" 2>&1 || {
		cat "$tmp/log" >&2
		fail 'mmdebstrap could not build the root file system'
	}
	mkdir "$tmp/rootfs"
	tar -C "$tmp/rootfs" --exclude='./dev/*' --exclude='./usr/share/i18n' \
		--exclude='./var/lib/dpkg' --exclude='./var/lib/apt' -xf "$tmp/rootfs.tar"
	archive "$tmp/rootfs" >"$cache/rootfs.$$"
	rm -f "$cache/rootfs.cpio"
	mv "$cache/rootfs.$$" "$cache/rootfs-2.cpio"
}

archive() {
	(cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet) || fail "cannot pack $1"
}

found=$(image) || fail 'no kernel to boot'
modules=${found##* }
vmlinuz=${found% *}
vmlinuz=${vmlinuz##* }
[ -s "$cache/rootfs-2.cpio" ] || fetch_rootfs

# Makes the files that differ between runs: /init, the modules, the command and FOLDER.
mkdir "$tmp/add"
cp -R "$folder" "$tmp/add/w"
mkdir -p "$tmp/add/w/out"
for word in "$@"; do
	printf '%s ' "$(quote "$word")"
done >"$tmp/add/command"
[ "$modules" = - ] || cp -R "$modules" "$tmp/add/modules"
cat >"$tmp/add/init" <<'END'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /proc /sys
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
stty -F /dev/ttyS0 -onlcr
hostname vm
if [ -e /modules ]; then
	while read -r module; do
		# Without this option the module makes a device dummy0.
		case $module in dummy.ko) options=numdummies=0 ;; *) options= ;; esac
		insmod "/modules/$module" $options || echo "vm.sh: no module $module" >&2
	done </modules/modules.order
fi
ip link set lo up
cd /w
sh /command </dev/null >/dev/ttyS0 2>&1
echo $? >/w/status
tar -C /w -czf - status out >/dev/vport0p1
echo b >/proc/sysrq-trigger
END
chmod 755 "$tmp/add/init"
{
	cat "$cache/rootfs-2.cpio"
	archive "$tmp/add"
} >"$tmp/initrd"

# The input of the machine never ends, because this shell also holds the other end.
mkfifo "$tmp/input"
exec 5<>"$tmp/input"
status=0
"$vm/boot.sh" --limit "$timeout" --memory 2048 "$vmlinuz" "$tmp/initrd" \
	<&5 >"$tmp/result" 2>"$tmp/log" &
machine=$!
wait "$machine" || status=$?
machine=
sed '/ sysrq: Resetting/d' "$tmp/log"
if grep -q '^boot.sh: the machine was ended' "$tmp/log"; then
	exit 124
fi
[ "$status" -eq 0 ] || fail "the machine failed with status $status"

mkdir "$tmp/back"
tar -C "$tmp/back" -xzf "$tmp/result" 2>/dev/null || fail 'the machine ended before the command did'
if [ -n "$out" ]; then
	{ mkdir -p "$out" && cp -R "$tmp/back/out/." "$out"; } || fail "cannot write to $out"
fi
exit "$(cat "$tmp/back/status")"
