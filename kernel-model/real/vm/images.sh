#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Gets stock kernels for virtual machines from Debian's packages. It uses apt of this machine,
# and needs no privileges. It unpacks the packages and does not install them. It keeps only the
# image and a few modules.

set -eu
export LC_ALL=C

# The oldest series that is modelled. The list of packages tells which newer ones there are.
OLDEST=6.1
# The releases of Debian that have these kernels, with their updates and backports.
RELEASES='bookworm trixie'
# Modules for the channel to the agent, and for protocols and devices that ports depend on.
# Everything else is built in.
MODULES='virtio_pci virtio_console sctp dummy vrf dccp_ipv4 dccp_ipv6'
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
DOWNLOADER=/usr/lib/apt/apt-helper
# Age in minutes at which the list of packages is fetched again.
STALE=1440

usage() {
	cat <<'END'
usage: images.sh [--cache DIR] [--update] list
       images.sh [--cache DIR] [--update] get SERIES...|--all
       images.sh [--cache DIR] file VMLINUZ [MODULES]

list  prints Debian's newest kernel of each series from 6.1 on:
      SERIES VERSION PACKAGES, with commas between packages
get   puts the newest kernel of each series into the cache and prints one line
      for each:
      SERIES RELEASE VMLINUZ MODULES
file  prints the same line for your own image. MODULES is its folder of modules;
      the modules that are needed are unpacked from it

SERIES is one that list prints, such as 6.12. The list of packages names them, so
a new series needs no change here. For get it may also be one release of a series
(6.1.176), while Debian has it. RELEASE is the upstream release (6.12.107).
VMLINUZ is a file. MODULES is a folder with the kernel's unpacked modules for
SCTP, DCCP, dummy and VRF devices. Its file modules.order has their names in the
order in which insmod needs them. MODULES is - if Debian has the image but no
longer its modules.

--cache DIR  folder for images
             (default ${XDG_CACHE_HOME:-~/.cache}/inet-port-model/images)
--update     look for newer kernels, also of series in the cache

The mirror comes from the machine's own apt sources, which must be Debian's.
Debian 12 and 13 and their backports are searched, whatever release the machine
runs. The list of packages is kept for a day.

Exit status: 0 all wanted images are there, 1 some are missing (standard error
names them), 2 wrong usage or a missing tool.
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

# Prints the repository of the machine's apt sources that has releases of Debian or, with suffix
# -security, their security updates. This needs no lists of packages. Other repositories also use
# the names of Debian's suites, but hardly one of them has bookworm-updates. So a repository with
# -updates is preferred.
mirror() {
	apt-get --print-uris update 2>/dev/null | awk -F "'" -v suffix="$1" '
		match($2, "/dists/(bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)" \
			(suffix ? suffix : "(-updates|-backports)?") "/InRelease$") {
			if (!first) first = substr($2, 1, RSTART)
			if ($2 ~ "-updates/InRelease$") { first = substr($2, 1, RSTART); exit }
		}
		END { print first }'
}

# Makes a configuration of apt. It shares only settings such as proxies with the machine's own.
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

# Whether the list of packages is young enough, and no newer one is wanted.
fresh() {
	[ -z "$update" ] && [ -n "$(find "$cache/index" -mmin -$STALE 2>/dev/null)" ]
}

# Makes $cache/index: VERSION PACKAGE SIZE SHA256 FILE of each package that may be needed. The
# address of the mirror is not written to it.
refresh() {
	if [ -n "$refreshed" ]; then
		[ -s "$cache/index" ]
		return
	fi
	if fresh; then
		return
	fi
	mirrors
	# At most once in a run, even if it fails.
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
		note "the lists of packages could not be fetched, using those of $(date -r "$cache/index" +%F)"
	else
		grep -E '^[EW]:' "$tmp/log" >&2 || true
		note 'the lists of packages could not be fetched'
		return 1
	fi
}

# Prints each series in the list of packages that has an image, oldest first.
series() {
	# Metapackages are smaller than any image.
	awk -v oldest="$OLDEST" '
		BEGIN { split(oldest, low, ".") }
		$2 !~ /^linux-modules/ && $3 > 1000000 && $1 ~ /^[0-9]+\.[0-9]+[.-]/ {
			split($1, at, /[.-]/)
			if (at[1] > low[1] || (at[1] == low[1] && at[2] + 0 >= low[2] + 0))
				print at[1] "." at[2] }' "$cache/index" | sort -uV
}

# Prints "VERSION PACKAGE [PACKAGE]" for the newest kernel of a series or release. The first
# package has the image. The second has the modules, if they are in another package that Debian
# still has.
newest() {
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
	mirrors
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

# Unpacks MODULES, and the modules that they depend on, from the tree $1 to the new folder $2. The
# folder stays empty if there are none.
keep_modules() {
	mkdir "$2"
	find -L "$1" -name '*.ko*' -type f >"$tmp/tree"
	# The list is in a file, because keep_module is recursive and has no local variables.
	printf '%s\n' "$MODULES" | tr ' ' '\n' >"$tmp/wanted"
	while read -r module; do
		keep_module "$module" "$2" || return 1
	done <"$tmp/wanted"
}

# Unpacks a module ($1) to a folder ($2), after the modules that it depends on.
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

# Prints the line of an x86 boot image that names its kernel.
banner() {
	[ "$(dd if="$1" bs=1 skip=514 count=4 2>/dev/null)" = HdrS ] || return 1
	at=$(od -An -tu2 -j526 -N2 "$1" | tr -d ' ')
	dd if="$1" bs=1 skip=$((at + 512)) count=256 2>/dev/null | tr '\0' '\n' | head -n 1
}

# Prints SERIES RELEASE of an image. Debian's uname -r may name a whole series (6.1.0-50).
kernel_release() {
	banner "$1" | sed -E \
		-e 's/^([0-9]+\.[0-9]+)[^ ]* .* Debian (\1\.[0-9]+)-.*/\1 \2/; t' \
		-e 's/^([0-9]+\.[0-9]+)((\.[0-9]+)?)[^ ]* .*/\1 \1\2/; t' -e d
}

# Prints the line of "get" and "file" for an image and its modules.
print_image() {
	if [ -s "$2/modules.order" ]; then
		printf '%s %s %s\n' "$(kernel_release "$1")" "$1" "$2"
	else
		printf '%s %s -\n' "$(kernel_release "$1")" "$1"
	fi
}

# Prints the newest folder of a series or release in the cache, if any.
cached() {
	find "$cache" -mindepth 1 -maxdepth 1 -type d \( -name "$1.*" -o -name "$1-*" \) |
		sort -V | tail -n 1
}

# Makes $cache/VERSION from the packages of a version.
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
	# The folder gets its name when it is complete. Another run may have made it before.
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
		if [ -s "$cache/index" ]; then
			note "Debian has no kernel $1; it has the series $(series | paste -sd ' ')"
		else
			note "no kernel $1 was found"
		fi
		return 1
	fi
	print_image "$found/vmlinuz" "$found/modules"
}

list() {
	refresh || return 1
	for each in $(series); do
		printf '%s %s\n' "$each" "$(newest "$each")" | sed 's/ /,/3'
	done
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
need awk sed sort head tail find grep paste od dd tr sha256sum mktemp
cache=$(absolute "$cache")
mkdir -p "$cache" || fail "cannot make the cache folder $cache"
# The folder is in the cache, so that a later run removes it if this one is killed.
tmp=$(mktemp -d "$cache/.new.XXXXXX") || fail "cannot make a folder in $cache"
find "$cache" -mindepth 1 -maxdepth 1 -name '.new.*' -mmin +60 -exec rm -rf {} +
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

main=
security=
# Finds the mirrors. Called before something is fetched.
mirrors() {
	[ -z "$main" ] || return 0
	need apt-get apt-cache dpkg-deb xargs
	[ -x "$DOWNLOADER" ] || fail "$DOWNLOADER is missing: apt is too old or not Debian's"
	main=$(mirror '')
	security=$(mirror '-security')
	[ -n "$main" ] || fail "apt's sources on this machine name no mirror of Debian"
}

case $command in
list)
	[ $# -eq 0 ] || fail 'list takes no arguments (see --help)'
	list ;;
get)
	[ $# -gt 0 ] || fail 'get needs a SERIES or --all (see --help)'
	if [ "$1" = --all ]; then
		[ $# -eq 1 ] || fail 'get --all takes no series'
		# shellcheck disable=SC2310 # prints why
		refresh || exit 1
		# shellcheck disable=SC2046 # one word each
		set -- $(series)
	fi
	for each in "$@"; do
		printf '%s\n' "$each" | grep -Eqx '[0-9]+\.[0-9]+(\.[0-9]+)?' ||
			fail "$each is no series such as 6.12, and no release of one"
	done
	status=0
	for each in "$@"; do
		get "$each" || status=1
	done
	exit "$status" ;;
file)
	{ [ $# -ge 1 ] && [ $# -le 2 ]; } || fail 'file takes VMLINUZ and perhaps MODULES (see --help)'
	other "$@" ;;
*) fail "unknown command $command (see --help)" ;;
esac
