# Gives a program of the host a root of its own: the system's programs to read, and of all else only
# the folders that it is given. Arguments: the folder to begin in, folders to write to, --, the
# program and its arguments. Runs in new process and mount namespaces.
set -eu
folder=$1
shift

# Where nothing lies that is given below. The host's own is not seen any more in this namespace.
mount -t tmpfs -o mode=0755,nosuid,size=64m tmpfs /sys
cd /sys
mkdir -p dev/pts dev/shm etc/ssl proc run sys tmp var/tmp old
chmod 1777 tmp var/tmp

read_only() {
    mount --bind "$1" "$2"
    mount -o remount,bind,ro "$2"
}

for name in bin lib lib32 lib64 libx32 sbin usr; do
    if [ -L "/$name" ]; then
        cp -P "/$name" "$name"
    elif [ -d "/$name" ]; then
        mkdir "$name"
        read_only "/$name" "$name"
    fi
done

# No keys, no passwords.
for name in alternatives ca-certificates ca-certificates.conf containers docker/certs.d group \
    gai.conf host.conf hostname hosts ld.so.cache ld.so.conf ld.so.conf.d localtime machine-id \
    mime.types nsswitch.conf os-release passwd protocols resolv.conf services ssl/certs \
    ssl/openssl.cnf subgid subuid timezone; do
    if [ -d "/etc/$name" ]; then
        mkdir -p "etc/$name"
    elif [ -f "/etc/$name" ]; then
        : > "etc/$name"
    else
        continue
    fi
    read_only "/etc/$name" "etc/$name"
done

for name in null zero full random urandom tty; do
    : > "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777,nosuid,nodev,size=64m tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,nosuid,noexec devpts dev/pts

mount -t proc -o nosuid,nodev,noexec proc proc
for name in bus fs irq sys sysrq-trigger; do
    if [ -e "proc/$name" ]; then
        read_only "proc/$name" "proc/$name"
    fi
done
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys

while [ "$1" != -- ]; do
    mkdir -p ".$1"
    mount --bind "$1" ".$1"
    shift
done
shift

pivot_root . old
cd /
umount -l old
rmdir old
cd "$folder"
exec "$@"
