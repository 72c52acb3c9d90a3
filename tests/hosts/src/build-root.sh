# Makes a Debian root, or installs packages into it. The caller runs this in mount and PID namespaces of its own:
# the mounts below are gone with the last process, also after a kill.
#
#   build-root.sh bootstrap ROOT SUITE MIRROR
#   build-root.sh install   ROOT SUITE MIRROR SECURITY PACKAGE...
set -eu

step=$1 root=$2 suite=$3 mirror=$4

# How this machine's apt reaches its archive: options, proxy and certificates hold for the root as well.
machine_options() {
    apt-config dump | grep -E '^Acquire::(http|https|Retries|Check|Proxy)' || true
}
proxy=$(apt-config dump --format '%v%n' Acquire::http::Proxy)
if [ -n "$proxy" ] && [ "$proxy" != DIRECT ]; then
    export http_proxy="$proxy" https_proxy="${https_proxy:-$proxy}"
fi

case $step in
bootstrap)
    also=
    case $mirror in https:*) also=--include=ca-certificates ;; esac
    # shellcheck disable=SC2086 # the option is given or not
    debootstrap --variant=minbase --merged-usr $also \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$root" "$mirror"

    # A package's scripts may start nothing, here and in every test.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    # Pages nobody reads here would only make each test's copy slower.
    cat >"$root/etc/dpkg/dpkg.cfg.d/01-no-pages" <<-EOF
	path-exclude=/usr/share/doc/*
	path-exclude=/usr/share/man/*
	path-exclude=/usr/share/info/*
	path-exclude=/usr/share/locale/*
	path-exclude=/usr/share/bug/*
	path-exclude=/usr/share/lintian/*
	path-exclude=/usr/share/bash-completion/*
	path-exclude=/usr/share/zoneinfo/right/*
	path-exclude=/usr/share/zoneinfo/posix/*
	EOF
    for folder in doc man info locale bug lintian bash-completion zoneinfo/right zoneinfo/posix; do
        rm -rf "$root/usr/share/$folder"/*
    done
    echo web >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 web.example.test web\n::1 localhost\n' >"$root/etc/hosts"
    ;;
install)
    security=$5
    shift 5
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"

    conf=$root/etc/apt/apt.conf.d/00machine
    machine_options >"$conf"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    for file in $(apt-config dump --format '%v%n' Acquire::https::CaInfo) /etc/ssl/certs/ca-certificates.crt; do
        if [ -f "$file" ] && [ ! -e "$root$file" ]; then
            mkdir -p "$root${file%/*}"
            cp -L "$file" "$root$file"
        fi
    done
    if [ -d /etc/apt/auth.conf.d ]; then cp -a /etc/apt/auth.conf.d/. "$root/etc/apt/auth.conf.d/"; fi
    {
        echo "deb $mirror $suite main"
        echo "deb $mirror $suite-updates main"
        echo "deb $security $suite-security main"
    } >"$root/etc/apt/sources.list"

    inside() {
        chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            LC_ALL=C DEBIAN_FRONTEND=noninteractive http_proxy="${http_proxy:-}" \
            https_proxy="${https_proxy:-}" no_proxy="${no_proxy:-}" "$@"
    }
    inside apt-get -q -o APT::Sandbox::User=root -o Acquire::Languages=none update
    inside apt-get -q -o APT::Sandbox::User=root -y upgrade
    inside apt-get -q -o APT::Sandbox::User=root -y --no-install-recommends install "$@"
    inside apt-get clean

    # What belongs to this machine or to this minute stays out of the host.
    rm -rf "$conf" "$root/etc/resolv.conf" "$root/etc/apt/sources.list" "$root"/etc/apt/auth.conf.d/* \
        "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/debconf/*-old \
        "$root"/var/log/apt "$root"/var/log/*.log "$root"/tmp/* "$root"/var/tmp/*
    umount "$root/dev" "$root/proc"
    ;;
*)
    echo "unknown step $step" >&2
    exit 2
    ;;
esac
