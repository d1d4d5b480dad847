#!/bin/sh
# Makes the folder that `edgekit verify BUNDLE --emulate arm64` runs bundles in: Debian's Python for arm64, the wheels of
# numpy, Pillow and ONNX Runtime in the versions that edgekit locks, and a qemu that can run them. Any user can; nothing
# outside of the folder is changed, and what is there already is kept.
#
#   sh docker/arm64-root.sh                     # into $EDGEKIT_ARM64_ROOT, or edgekit/arm64 in the user's data folder
#   sh docker/arm64-root.sh --root DIR          # elsewhere
#   sh docker/arm64-root.sh --with openvino     # OpenVINO's wheel, too
#   sh docker/arm64-root.sh --suite trixie      # another release of Debian than this machine's
#   sh docker/arm64-root.sh --archive URI       # where its packages are, if apt's own sources name no archive with arm64
#
# Needs: apt-get, dpkg-deb and a Python with pip ($PYTHON, by default python3). 63 MB are fetched for qemu alone, where none
# that is new enough is installed; 225 MB stay, 330 with OpenVINO.
set -eu

fail() {
    echo "arm64-root: error: $1" >&2
    exit "${2:-4}"
}

root=${EDGEKIT_ARM64_ROOT:-${XDG_DATA_HOME:-${HOME:-}/.local/share}/edgekit/arm64}
suite='' archive='' names='numpy pillow onnxruntime'
while [ $# -gt 0 ]; do
    case "$1" in
        --root | --suite | --archive | --with) [ $# -gt 1 ] || fail "$1 needs a value" 2 ;;
        *) fail "there is no option $1; see the first lines of $0" 2 ;;
    esac
    case "$1" in
        --root) root=$2 ;;
        --suite) suite=$2 ;;
        --archive) archive=$2 ;;
        --with) case " $names " in *" $2 "*) ;; *) names="$names $2" ;; esac ;;
    esac
    shift 2
done
python=${PYTHON:-python3}
lock=$(dirname "$0")/../.lock/cpu.txt
for tool in apt-get apt-cache dpkg-deb tar; do
    command -v "$tool" >/dev/null || fail "$tool is missing: run this on Debian, or in a container and copy the folder"
done
"$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip: set PYTHON to one that has"
[ -f "$lock" ] || fail "$lock is missing: run this in a checkout of edgekit"

mkdir -p "$root" || fail "$root cannot be made: give another folder with --root"
root=$(cd "$root" && pwd)
cat >"$root/README" <<'END'
What `edgekit verify BUNDLE --emulate arm64` runs bundles in, made by docker/arm64-root.sh of edgekit. All of it can be
removed, and be made again.

system/         Python and what it needs, of Debian for arm64, unpacked and not installed
wheels/         numpy, Pillow and inference runtimes, for arm64
qemu-aarch64    runs them on this processor, where none that is new enough was installed
END

# apt with folders of its own: no rights are needed, and the packages of this machine are neither read nor changed.
work=$root/work
rm -rf "$work"
begin_apt() {
    [ ! -d "$work" ] || return 0
    mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/state" "$work/log"
    : >"$work/status"
    here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    suite=${suite:-$here}
    [ -n "$archive" ] || archive=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk -v suite="$here" '$2 == suite { print $1; exit }')
    [ -n "$archive" ] || fail "apt has no source of $here here: name an archive with --archive URI"
    for keys in "/usr/share/keyrings/$(. /etc/os-release && echo "$ID")-archive-keyring.gpg" ''; do
        [ ! -f "$keys" ] || break
    done
    signed=${keys:+ signed-by=$keys}
    architectures="arm64,$(dpkg --print-architecture)"
    for each in "$suite" "$suite-backports"; do
        echo "deb [arch=$architectures$signed] $archive $each main"
    done >"$work/sources.list"
    cat >"$work/apt.conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; "$(dpkg --print-architecture)"; };
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Dir::State "$work/state";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work";
Dir::Cache::archives "$work/archives";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "-";
Dir::Log "$work/log";
END
    echo "packages of $suite: reading what there is" >&2
    APT_CONFIG=$work/apt.conf apt-get -qq update || fail "apt cannot read the archive: see above"
}

if [ -f "$root/system.txt" ] && [ -n "$suite$archive" ]; then
    echo "$root/system is there already, and is kept: remove it and system.txt to have another" >&2
fi
if [ ! -f "$root/system.txt" ]; then
    begin_apt
    echo "Python for arm64: fetching" >&2
    APT_CONFIG=$work/apt.conf apt-get -qq -y --no-install-recommends --download-only install python3 libstdc++6 >/dev/null ||
        fail "apt has no Python for arm64: name an archive that has arm64 with --archive URI"
    rm -rf "$root/system"
    mkdir -p "$work/system"
    # Where /lib is a link to /usr/lib, packages count on it and none of these brings it.
    case "$(dpkg-deb --fsys-tarfile "$work"/archives/libc6_*.deb | tar -t | grep -m 1 'ld-linux-aarch64')" in
        ./usr/*) ln -s usr/lib "$work/system/lib" ;;
    esac
    for each in "$work"/archives/*.deb; do
        dpkg-deb -x "$each" "$work/system"
    done
    mv "$work/system" "$root/system"
    (cd "$work/archives" && ls ./*.deb) >"$root/system.txt"
fi

# 7.2, of Debian 12, crashes when ONNX Runtime is imported.
new_enough() {
    told=$("$1" --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\).*/\1/p')
    [ -n "$told" ] && [ "$told" -ge 10 ]
}
if ! new_enough "$root/qemu-aarch64" && ! new_enough qemu-aarch64 && ! new_enough qemu-aarch64-static; then
    begin_apt
    here=$(dpkg --print-architecture)
    newest=$(APT_CONFIG=$work/apt.conf apt-cache madison "qemu-user:$here" | awk 'NR == 1 { print $3 }')
    [ -n "$newest" ] || fail "$suite has no qemu-user: install qemu-user 10 or newer"
    echo "qemu-user $newest: fetching" >&2
    (cd "$work" && APT_CONFIG=$work/apt.conf apt-get -qq download "qemu-user:$here=$newest")
    dpkg-deb --fsys-tarfile "$work"/qemu-user_*.deb | tar -x -C "$work" -f - ./usr/bin/qemu-aarch64
    new_enough "$work/usr/bin/qemu-aarch64" || fail "qemu-user $newest is older than 10: install a newer one"
    mv "$work/usr/bin/qemu-aarch64" "$root/qemu-aarch64"
fi

version=$(readlink "$root/system/usr/bin/python3" | sed 's/.*python//')
# What an earlier run was asked for stays.
for each in $(cat "$root/wheels.txt" 2>/dev/null); do
    case " $names " in *" ${each%%==*} "*) ;; *) [ "$each" = "${each%%==*}" ] || names="$names ${each%%==*}" ;; esac
done
# A package's lines in the lock, with its hashes; Debian's Python is 3.11 or newer, so that no other version is meant.
pinned() {
    awk -v name="$1" '/^[^ ]/ { is_it = index($0, name "==") == 1 && ($0 !~ / ; / || $0 ~ />= .3\.11/) }
        is_it { sub(/ ; [^\\]*/, " "); print }' "$lock"
}
wanted=''
for each in $names; do
    pin=$(pinned "$each" | awk 'NR == 1 { print $1 }')
    [ -n "$pin" ] || fail "$lock has no version of $each"
    wanted="$wanted $pin"
done
if [ "$(cat "$root/wheels.txt" 2>/dev/null)" != "Python $version,$wanted" ]; then
    echo "wheels for Python $version on arm64:$wanted: fetching" >&2
    glibc=$(sed -n 's/^\.\/libc6_2\.\([0-9]*\).*/\1/p' "$root/system.txt")
    platforms='--platform manylinux2014_aarch64'
    while [ "$glibc" -ge 17 ]; do
        platforms="$platforms --platform manylinux_2_${glibc}_aarch64"
        glibc=$((glibc - 1))
    done
    rm -rf "$root/wheels.new"
    mkdir -p "$work"
    for each in $names; do pinned "$each"; done >"$work/wheels.txt"
    # shellcheck disable=SC2086  # lists of words
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-compile --no-deps \
        --require-hashes --only-binary=:all: --python-version "$version" $platforms --target "$root/wheels.new" \
        -r "$work/wheels.txt" ||
        fail "pip has no wheels for arm64 of$wanted"
    rm -rf "$root/wheels"
    mv "$root/wheels.new" "$root/wheels"
    echo "Python $version,$wanted" >"$root/wheels.txt"
fi
rm -rf "$work"
echo "$root is ready: Python $version,$wanted"
