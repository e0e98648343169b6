#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Stock kernels to boot in virtual machines, out of Debian's packages: what apt
# of this machine can be made to find, unpacked and never installed, as any
# user. Only the image and a few modules are kept.

set -eu
export LC_ALL=C

SERIES='6.1 6.12 6.16 6.17 6.18 6.19 7.0 7.1 7.2 7.3'
# Releases of Debian whose kernels these are, each with its updates and backports.
RELEASES='bookworm trixie'
# The way to the agent, and protocols and devices that the port allocator meets; the rest is
# built in.
MODULES='virtio_pci virtio_console sctp dummy vrf dccp_ipv4 dccp_ipv6'
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
DOWNLOADER=/usr/lib/apt/apt-helper
# Age in minutes at which the list of packages is fetched anew.
STALE=1440

usage() {
	cat <<'END'
usage: images.sh [--cache DIR] [--update] list
       images.sh [--cache DIR] [--update] get SERIES...|--all
       images.sh [--cache DIR] file VMLINUZ [MODULES]

list  prints the newest kernel that Debian has of each series:
      SERIES VERSION PACKAGES, separated by spaces, packages by commas
get   sees to it that the newest kernel of each series is in the cache, and
      prints one line for each:
      SERIES RELEASE VMLINUZ MODULES
file  prints the same line for an image of any origin; MODULES is the folder
      tree that came with it, of which what is needed is unpacked

SERIES is 6.1, 6.12, 6.16, 6.17, 6.18, 6.19, 7.0, 7.1, 7.2 or 7.3, or for get one
release of these (6.1.176), as long as Debian has it. RELEASE is the upstream
release (6.12.107), VMLINUZ a file, MODULES a folder with unpacked
modules for SCTP, DCCP, dummy and VRF devices as far as the kernel has them, and
with modules.order, their file names in the order in which insmod takes them.
MODULES is - where Debian keeps the image, but no longer its modules.

--cache DIR  where images are kept; ${XDG_CACHE_HOME:-~/.cache}/inet-port-model/images
--update     ask Debian for newer kernels, also of series in the cache

The mirror is that of the machine's own apt sources, which must be Debian's;
Debian 12 and 13 and their backports are looked at, whatever the machine runs.
A list of packages is kept for a day.

Exit status: 0 all wanted images are there, 1 some are not (named on standard
error), 2 wrong usage or a missing tool.
END
}

fail() {
	printf 'images.sh: %s\n' "$*" >&2
	exit 2
}

note() {
	printf 'images.sh: %s\n' "$*" >&2
}

need() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null || fail "$tool is not installed"
	done
}

# Repository of the machine's apt sources that has releases of Debian or, with suffix
# -security, their security updates. No need for lists that were fetched before. Others
# name their suites after Debian's, too, but hardly one has bookworm-updates.
mirror() {
	apt-get --print-uris update 2>/dev/null | awk -F "'" -v suffix="$1" '
		match($2, "/dists/(bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)" \
			(suffix ? suffix : "(-updates|-backports)?") "/InRelease$") {
			if (!first) first = substr($2, 1, RSTART)
			if ($2 ~ "-updates/InRelease$") { first = substr($2, 1, RSTART); exit }
		}
		END { print first }'
}

# A configuration of apt that shares with the machine only proxies and the like.
configure() {
	apt=$tmp/apt
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/state"
	: >"$apt/status"
	cat >"$apt/conf" <<END
APT::Sandbox::User "$(id -un)";
APT::Architecture "amd64";
#clear APT::Architectures;
APT::Architectures { "amd64"; };
#clear APT::Update;
#clear DPkg;
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$apt/state";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::Cache "$apt/cache";
END
	options='[arch=amd64 lang=none target=Packages'
	if [ -r "$KEYRING" ]; then
		options="$options signed-by=$KEYRING"
	fi
	for release in $RELEASES; do
		for suite in "$release" "$release-updates" "$release-backports"; do
			printf 'deb %s] %s %s main\n' "$options" "$main" "$suite"
		done
		if [ -n "$security" ]; then
			printf 'deb %s] %s %s-security main\n' "$options" "$security" "$release"
		fi
	done >"$apt/sources.list"
}

# $cache/index: VERSION PACKAGE SIZE SHA256 FILE of each package that may be wanted.
# Without the mirror: its address stays where it is configured.
refresh() {
	if [ -n "$refreshed" ]; then
		[ -s "$cache/index" ]
		return
	fi
	if [ -z "$update" ] && [ -n "$(find "$cache/index" -mmin -$STALE 2>/dev/null)" ]; then
		return
	fi
	# Once a run, also when it fails.
	refreshed=1
	configure
	note 'fetching the lists of packages'
	apt-get -c "$apt/conf" -q update >"$tmp/log" 2>&1 || true
	apt-cache -c "$apt/conf" pkgnames linux- |
		grep -E '^linux-(image|binary|modules)-[0-9].*-cloud-amd64(-unsigned)?$' >"$tmp/names" || true
	if [ -s "$tmp/names" ]; then
		xargs apt-cache -c "$apt/conf" show <"$tmp/names" | awk '
			function out() { if (f["Filename"] && !seen[f["Package"], f["Version"]]++)
				print f["Version"], f["Package"], f["Size"], f["SHA256"], f["Filename"] }
			/^$/ { out(); delete f; next }
			/^[A-Z][A-Za-z0-9]*: / { key = $1; sub(":", "", key); f[key] = $2 }
			END { out() }' >"$tmp/index"
	fi
	if [ -s "$tmp/index" ]; then
		cp "$tmp/index" "$cache/.index.$$"
		mv "$cache/.index.$$" "$cache/index"
	elif [ -s "$cache/index" ]; then
		note "the lists of packages could not be fetched, going by those of $(date -r "$cache/index" +%F)"
	else
		grep -E '^[EW]:' "$tmp/log" >&2 || true
		note 'the lists of packages could not be fetched'
		return 1
	fi
}

# "VERSION PACKAGE [PACKAGE]" of the newest kernel of a series or release: the package with the
# image, then the one with the modules where it is another and Debian has it.
newest() {
	# Packages that only name others are smaller than any image.
	image=$(awk -v series="$1" '
		(index($1, series ".") == 1 || index($1, series "-") == 1) &&
		$2 !~ /^linux-modules/ && $3 > 1000000 {
			print $1, $2 ~ /-unsigned$/ ? 0 : 1, $2 }' "$cache/index" | sort -V | tail -n 1)
	[ -n "$image" ] || return 0
	version=${image%% *}
	image=${image##* }
	release=${image#linux-*-}
	awk -v version="$version" -v image="$image" -v modules="linux-modules-${release%-unsigned}" '
		$1 == version && $2 == modules { found = " " $2 }
		END { print version, image found }' "$cache/index"
}

# Prints the field ($3 on) of the package ($2) of a version ($1).
field() {
	awk -v version="$1" -v name="$2" -v n="$3" '$1 == version && $2 == name { print $n; exit }' \
		"$cache/index"
}

# Downloads a package ($2) of a version ($1) and unpacks it into $tmp/root.
unpack() {
	path=$(field "$1" "$2" 5)
	case $path in
	pool/updates/*) from=$security ;;
	*) from=$main ;;
	esac
	if ! "$DOWNLOADER" -o "APT::Sandbox::User=$(id -un)" -q download-file \
		"$from$path" "$tmp/package.deb" "SHA256:$(field "$1" "$2" 4)" >"$tmp/log" 2>&1 ||
		! dpkg-deb -x "$tmp/package.deb" "$tmp/root" 2>>"$tmp/log"; then
		cat "$tmp/log" >&2
		note "the package $2 $1 could not be fetched (--update asks for newer ones)"
		return 1
	fi
	rm "$tmp/package.deb"
}

# Unpacks the modules wanted, and those that they need, from the tree $1 to $2, which
# is left empty where there are none.
keep_modules() {
	mkdir "$2"
	find -L "$1" -name '*.ko*' -type f >"$tmp/tree"
	# No for: keep_module calls itself, and has no variables of its own.
	printf '%s\n' "$MODULES" | tr ' ' '\n' >"$tmp/wanted"
	while read -r module; do
		keep_module "$module" "$2" || return 1
	done <"$tmp/wanted"
}

# One module ($1, to folder $2) after those that it depends on.
keep_module() {
	[ ! -e "$2/$1.ko" ] || return 0
	set -- "$1" "$2" "$(awk -v name="$1" '{ file = $0; sub(/.*\//, "", file); sub(/\.ko.*/, "", file)
		gsub("-", "_", file) } file == name { print; exit }' "$tmp/tree")"
	case $3 in
	'') return 0 ;;
	*.ko) cp "$3" "$2/$1.ko" ;;
	*.ko.xz) need xz && xz -dc "$3" >"$2/$1.ko" ;;
	*.ko.zst) need zstd && zstd -qdc "$3" >"$2/$1.ko" ;;
	*.ko.gz) need gzip && gzip -dc "$3" >"$2/$1.ko" ;;
	*) note "no way to unpack $3"; return 1 ;;
	esac || return 1
	for needed in $(tr '\0' '\n' <"$2/$1.ko" | sed -n 's/^depends=//p' | tr ',-' ' _'); do
		keep_module "$needed" "$2" || return 1
	done
	printf '%s\n' "$1.ko" >>"$2/modules.order"
}

# The line of text in an x86 boot image that says what kernel it is.
banner() {
	[ "$(dd if="$1" bs=1 skip=514 count=4 2>/dev/null)" = HdrS ] || return 1
	at=$(od -An -tu2 -j526 -N2 "$1" | tr -d ' ')
	dd if="$1" bs=1 skip=$((at + 512)) count=256 2>/dev/null | tr '\0' '\n' | head -n 1
}

# SERIES RELEASE of an image. Debian's uname -r may stand for a whole series (6.1.0-50).
kernel_release() {
	banner "$1" | sed -E \
		-e 's/^([0-9]+\.[0-9]+)[^ ]* .* Debian (\1\.[0-9]+)-.*/\1 \2/; t' \
		-e 's/^([0-9]+\.[0-9]+)((\.[0-9]+)?)[^ ]* .*/\1 \1\2/; t' -e d
}

# The line of "get" and "file": image, modules.
print_image() {
	if [ -s "$2/modules.order" ]; then
		printf '%s %s %s\n' "$(kernel_release "$1")" "$1" "$2"
	else
		printf '%s %s -\n' "$(kernel_release "$1")" "$1"
	fi
}

# The newest folder of a series or release in the cache, if any.
cached() {
	find "$cache" -mindepth 1 -maxdepth 1 -type d \( -name "$1.*" -o -name "$1-*" \) |
		sort -V | tail -n 1
}

# Fills $cache/VERSION with the kernel of a version, made of the packages named.
fetch() {
	version=$1
	shift
	note "fetching $version: $*"
	rm -rf "$tmp/root"
	for package in "$@"; do
		unpack "$version" "$package" || return 1
	done
	made=$tmp/made
	rm -rf "$made"
	mkdir "$made"
	vmlinuz=$(find "$tmp/root" -name 'vmlinuz*' -type f | head -n 1)
	if [ -z "$vmlinuz" ] || ! cp "$vmlinuz" "$made/vmlinuz" ||
		[ -z "$(kernel_release "$made/vmlinuz")" ]; then
		note "the package $1 $version holds no boot image"
		return 1
	fi
	keep_modules "$tmp/root" "$made/modules" || return 1
	[ -s "$made/modules/modules.order" ] ||
		note "Debian no longer has the modules of $version: no SCTP, no dummy, no VRF there"
	chmod 755 "$made"
	# A folder gets its name when it is whole; another run may have been first.
	mv -T "$made" "$cache/$version" 2>/dev/null || true
	rm -rf "$tmp/root"
	[ -s "$cache/$version/vmlinuz" ]
}

get() {
	found=$(cached "$1")
	if [ -z "$found" ] || [ -n "$update" ]; then
		wanted=
		# shellcheck disable=SC2310 # checks its own steps
		if refresh; then
			wanted=$(newest "$1")
		fi
		if [ -n "$wanted" ] && [ ! -d "$cache/${wanted%% *}" ]; then
			# shellcheck disable=SC2086 # the package names
			fetch $wanted || true
		fi
		found=$(cached "$1")
	fi
	if [ -z "$found" ]; then
		note "no kernel $1 could be had"
		return 1
	fi
	print_image "$found/vmlinuz" "$found/modules"
}

list() {
	refresh || return 1
	missing=0
	for series in $SERIES; do
		wanted=$(newest "$series")
		if [ -n "$wanted" ]; then
			printf '%s %s\n' "$series" "$wanted" | sed 's/ /,/3'
		else
			note "Debian has no kernel of series $series"
			missing=1
		fi
	done
	return $missing
}

absolute() {
	case $1 in
	/*) printf '%s\n' "$1" ;;
	*) printf '%s/%s\n' "$PWD" "$1" ;;
	esac
}

other() {
	{ [ -f "$1" ] && [ -r "$1" ]; } || fail "cannot read the image $1"
	image=$(absolute "$1")
	[ -n "$(kernel_release "$image")" ] || fail "$1 is no x86 boot image (bzImage)"
	if [ -z "${2-}" ]; then
		print_image "$image" -
		return
	fi
	[ -d "$2" ] || fail "$2 is not a folder"
	kept=$cache/modules-$(cat "$image" "$0" | sha256sum | cut -c 1-16)
	if [ ! -d "$kept" ]; then
		made=$tmp/made
		mkdir "$made"
		keep_modules "$2" "$made/modules" || exit 1
		[ -s "$made/modules/modules.order" ] || note "$2 has none of the modules $MODULES"
		mv -T "$made/modules" "$kept" 2>/dev/null || true
	fi
	print_image "$image" "$kept"
}

cache=${XDG_CACHE_HOME:-${HOME-}/.cache}/inet-port-model/images
update=
refreshed=
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage; exit 0 ;;
	--cache)
		[ $# -ge 2 ] || fail "$1 needs a value (see --help)"
		cache=$2
		shift 2 ;;
	--update) update=1; shift ;;
	-*) fail "unknown option $1 (see --help)" ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || fail 'list, get or file is needed (see --help)'
command=$1
shift
need awk sed sort head tail find od dd tr sha256sum mktemp
cache=$(absolute "$cache")
mkdir -p "$cache" || fail "cannot make the cache folder $cache"
# In the cache: of a run that is killed, the next one removes it.
tmp=$(mktemp -d "$cache/.new.XXXXXX") || fail "cannot make a folder in $cache"
find "$cache" -mindepth 1 -maxdepth 1 -name '.new.*' -mmin +60 -exec rm -rf {} +
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

main=
security=
# Mirrors are looked up when something has to be fetched.
mirrors() {
	need apt-get apt-cache dpkg-deb xargs
	[ -x "$DOWNLOADER" ] || fail "$DOWNLOADER is missing: apt is too old or not Debian's"
	main=$(mirror '')
	security=$(mirror '-security')
	[ -n "$main" ] || fail "apt's sources on this machine name no mirror of Debian"
}

case $command in
list)
	[ $# -eq 0 ] || fail 'list takes no arguments (see --help)'
	mirrors
	list ;;
get)
	[ $# -gt 0 ] || fail 'get needs a SERIES or --all (see --help)'
	if [ "$1" = --all ]; then
		[ $# -eq 1 ] || fail 'get --all takes no series'
		# shellcheck disable=SC2086 # one word each
		set -- $SERIES
	fi
	for series in "$@"; do
		case " $SERIES " in
		*" $series "*) ;;
		*)
			case " $SERIES " in
			*" ${series%.*} "*) ;;
			*) fail "unknown series $series: it is one of $SERIES" ;;
			esac ;;
		esac
	done
	status=0
	for series in "$@"; do
		if [ -z "$main" ] && { [ -n "$update" ] || [ -z "$(cached "$series")" ]; }; then
			mirrors
		fi
		get "$series" || status=1
	done
	exit "$status" ;;
file)
	{ [ $# -ge 1 ] && [ $# -le 2 ]; } || fail 'file takes VMLINUZ and perhaps MODULES (see --help)'
	other "$@" ;;
*) fail "unknown command $command (see --help)" ;;
esac
