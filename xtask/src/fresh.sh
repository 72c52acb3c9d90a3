# shellcheck shell=sh
# Makes a root directory this process' own and runs a line of shell there. The caller runs this as the first process of
# mount and PID namespaces of its own: with it every process and every mount ends.
#
#   fresh.sh is $0's text: ROOT RUST LINE
set -eu
root=$0 rust=$1 line=$2

# The machine's own devices and processes stay the machine's: those of the new root are made anew.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mkdir -m 755 "$root/dev/pts"
mkdir -m 1777 "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"

mkdir -p "$root/opt/rust" "$root/machine"
mount --bind "$rust" "$root/opt/rust"
mount -o remount,ro,bind "$root/opt/rust"
hostname fresh

# No chroot: in one, no user namespace can be made, which the tests do.
cd "$root"
pivot_root . machine
cd /
umount -l /machine
rmdir /machine
# Not exec: the first process takes up orphans.
sh -c "$line" </dev/null
