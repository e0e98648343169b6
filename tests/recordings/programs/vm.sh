#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs a command as root in a throw-away virtual machine with Debian 12's own
# 6.1 kernel, whose TCP port allocation the model has as profile 6.1.176.
# No KVM, no disk, no network: the initramfs holds a whole Debian, the second
# serial port carries the results out.

set -eu

# The release whose sources were compared with v6.3; else the newest 6.1.
WANTED=6.1.176-1
PACKAGES=python3,strace,iproute2,procps,kmod,curl,nginx-light,redis-server,redis-tools
# Kernel modules that the machine loads, and what they need.
MODULES='dummy vrf sctp dccp_ipv4 dccp_ipv6'
NEEDED='dccp libcrc32c udp_tunnel ip6_udp_tunnel'

usage() {
	cat <<'END'
usage: vm.sh [--out DIR] [--timeout SECONDS] [--kernel FILE] FOLDER COMMAND...

Copies FOLDER to /w in a virtual machine, runs COMMAND there as root with lo
up, prints what it prints, and exits with its status. Whatever it left below
/w/out comes back to DIR.

  --out DIR          where the results go; without it they are dropped
  --timeout SECONDS  end the machine after so long (600), exit status 124
  --kernel FILE      boot this vmlinuz instead of Debian's 6.1 (x86-64 with
                     the 8250 serial port and initramfs built in)

The machine has python3, strace, ip, sysctl, curl, nginx and redis; Debian's
kernel has dummy and VRF devices, SCTP and DCCP loaded. Kernel and root file
system are fetched with apt at the first run and kept in
${XDG_CACHE_HOME:-$HOME/.cache}/inet-port-model (some 200 MB).

Needs Debian 12's package sources and the packages qemu-system-x86, mmdebstrap
and cpio. Exit status 125: the machine could not be run.
END
}

fail() {
	printf 'vm.sh: %s\n' "$*" >&2
	exit 125
}

# One shell word that stands for the argument, whatever it holds.
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
[ -z "$kernel" ] || [ -r "$kernel" ] || fail "cannot read the kernel $kernel"
for tool in qemu-system-x86_64 cpio gzip tar timeout; do
	command -v "$tool" >/dev/null || fail "$tool is not installed (see --help)"
done

cache=${XDG_CACHE_HOME:-$HOME/.cache}/inet-port-model
mkdir -p "$cache" || fail "cannot make the cache folder $cache"
tmp=$(mktemp -d) || fail 'cannot make a temporary folder'
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Package name and version of the kernel to boot, as "name version".
kernel_package() {
	apt-cache search --names-only '^linux-image-6\.1\.0-[0-9]+-cloud-amd64$' |
		while read -r name _; do
			apt-cache madison "$name" | awk -F' *[|] *' '{ print $2, $1 }'
		done | sort -V |
		awk -v wanted="$WANTED" '$1 == wanted { found = $0 } { newest = $0 }
			END { split(found ? found : newest, f, " "); if (f[1]) print f[2], f[1] }'
}

# Debian's kernel and its modules as a cpio archive, unpacked from its package
# and never installed.
fetch_kernel() {
	package=$(kernel_package)
	[ -n "$package" ] || fail 'apt knows no linux-image-6.1.0-*-cloud-amd64: are its sources Debian 12, its lists fresh?'
	mkdir "$tmp/kernel"
	(
		cd "$tmp/kernel"
		apt-get -qq -o APT::Sandbox::User=root download "${package% *}=${package#* }" &&
			dpkg -x ./*.deb .
	) || fail "cannot fetch the kernel package $package"
	release=$(ls "$tmp/kernel/lib/modules")
	# Below /usr: /lib is a link there.
	modules=$tmp/modules/usr/lib/modules/$release
	mkdir -p "$modules"
	cp "$tmp/kernel/lib/modules/$release"/modules.* "$modules"
	for name in $MODULES $NEEDED; do
		find "$tmp/kernel/lib/modules" -name "$name.ko" -exec cp {} "$modules" \;
		[ -s "$modules/$name.ko" ] || fail "the kernel package $package has no module $name"
	done
	archive "$tmp/modules" >"$cache/modules.$$"
	cp "$tmp"/kernel/boot/vmlinuz-* "$cache/vmlinuz.$$"
	mv "$cache/modules.$$" "$cache/modules-6.1.cpio"
	mv "$cache/vmlinuz.$$" "$cache/vmlinuz-6.1"
}

# The root file system as a cpio archive, its /init not included.
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

if [ -z "$kernel" ]; then
	{ [ -s "$cache/vmlinuz-6.1" ] && [ -s "$cache/modules-6.1.cpio" ]; } || fetch_kernel
fi
[ -s "$cache/rootfs-2.cpio" ] || fetch_rootfs

# What is new at each run: /init, the command, FOLDER.
mkdir "$tmp/add"
cp -R "$folder" "$tmp/add/w"
mkdir -p "$tmp/add/w/out"
for word in "$@"; do
	printf '%s ' "$(quote "$word")"
done >"$tmp/add/command"
[ -n "$kernel" ] || printf '%s\n' "$MODULES" >"$tmp/add/modules"
cat >"$tmp/add/init" <<'END'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /proc /sys
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
stty -F /dev/ttyS0 -onlcr
stty -F /dev/ttyS1 raw
hostname vm
if [ -e /modules ]; then
	# Without the dummy0 that the module makes of its own.
	echo options dummy numdummies=0 >/etc/modprobe.d/dummy.conf
	depmod && xargs modprobe -a </modules || echo 'vm.sh: not every module is there' >&2
fi
ip link set lo up
cd /w
sh /command </dev/null >/dev/ttyS0 2>&1
echo $? >/w/status
tar -C /w -czf /dev/ttyS1 status out
echo N >/sys/class/tty/ttyS0/console
echo b >/proc/sysrq-trigger
END
chmod 755 "$tmp/add/init"
{
	cat "$cache/rootfs-2.cpio"
	[ -n "$kernel" ] || cat "$cache/modules-6.1.cpio"
	archive "$tmp/add"
} >"$tmp/initrd"

# reboot=t with -no-reboot ends QEMU, at /init's reset as at a panic; a power-off
# would only halt the machine.
status=0
timeout --kill-after=5 "$timeout" qemu-system-x86_64 \
	-M microvm,acpi=off,isa-serial=on -accel tcg -cpu max -m 2048 \
	-nodefaults -no-user-config -display none -no-reboot \
	-kernel "${kernel:-$cache/vmlinuz-6.1}" -initrd "$tmp/initrd" \
	-append 'console=ttyS0 reboot=t panic=-1 quiet loglevel=1' \
	-serial stdio \
	-chardev "file,id=result,path=$tmp/result" \
	-device isa-serial,index=1,chardev=result </dev/null 2>"$tmp/log" &
machine=$!
wait "$machine" || status=$?
machine=
case $status in
0) ;;
124 | 137)
	printf 'vm.sh: no end after %s s, machine stopped\n' "$timeout" >&2
	exit 124 ;;
*) cat "$tmp/log" >&2; fail "QEMU failed with status $status" ;;
esac

mkdir "$tmp/back"
tar -C "$tmp/back" -xzf "$tmp/result" 2>/dev/null || fail 'the machine ended before the command did'
if [ -n "$out" ]; then
	{ mkdir -p "$out" && cp -R "$tmp/back/out/." "$out"; } || fail "cannot write to $out"
fi
exit "$(cat "$tmp/back/status")"
