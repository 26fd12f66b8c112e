# Sourced by test/versions/run (sh): Debian releases in folders, by debootstrap, for the PostgreSQL that each brings.

OLD_SUITE=bookworm

# make_chroot SUITE FOLDER: a minimal system of the release, unless it is there.
make_chroot() {
    [ ! -e "$2/.complete" ] || return 0
    rm -rf "$2"
    command -v debootstrap >/dev/null ||
        env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap || return 1
    debootstrap --variant=minbase "$1" "$2" || return 1
    # What this machine has to know to reach its mirror.
    cp /etc/resolv.conf "$2/etc/resolv.conf"
    grep -l '^Acquire::' /etc/apt/apt.conf.d/* 2>/dev/null | xargs -r cp -t "$2/etc/apt/apt.conf.d"
    # Installing a server starts none.
    printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
    chmod +x "$2/usr/sbin/policy-rc.d"
    : >"$2/.complete"
}

# with_network FOLDER COMMAND…: runs it in the chroot, to install packages.
with_network() {
    root=$1
    shift
    unshare --mount --pid --fork sh -c '
        root=$1 && shift && mount -t proc proc "$root/proc" &&
            exec chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH="$PATH" DEBIAN_FRONTEND=noninteractive "$@"' sh "$root" "$@"
}

# apart FOLDER COMMAND…: runs it in the chroot with processes, mounts and a loopback of its own, all gone when it ends.
apart() {
    root=$1
    shift
    unshare --mount --pid --net --fork sh -c '
        root=$1 && shift && ip link set lo up && mount -t proc proc "$root/proc" &&
            mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" &&
            exec chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH="/usr/lib/ccache:$PATH" CCACHE_DIR=/var/cache/ccache "$@"' \
        sh "$root" "$@"
}

# The server of the release before, from which pg_upgrade comes, and what an extension is built with there; the
# compilers that Debian's package of the latter asks for are not needed.
install_old_server() {
    with_network "$1" sh -ec '
        sed "s/ $1 / $2 /" /etc/apt/sources.list >/etc/apt/sources.list.d/old.list
        apt-get update -q
        [ -x /usr/lib/postgresql/15/bin/postgres ] || apt-get install -y -q --no-install-recommends postgresql-15
        [ -e /usr/include/postgresql/15/server/postgres.h ] || {
            cd /tmp
            apt-get download postgresql-server-dev-15
            dpkg -x postgresql-server-dev-15_*.deb /
        }' sh "$2" "$OLD_SUITE"
}
