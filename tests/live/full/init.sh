#!/bin/bash
# Process 1 of a host with a whole kernel: what a booted host has that the tests need, and a shell on the virtio port.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=600,ptmxmode=666 devpts /dev/pts
mount -t tmpfs run /run
mkdir -p /run/lock /run/libvirt /run/conf
cp /etc/libvirt/*.conf /run/conf # of the lab host: no cgroups, QEMU as root
for folder in /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /var/lib/tinycloud /etc/libvirt; do
    mount -t tmpfs fresh "$folder"
done
cp /run/conf/* /etc/libvirt
mkdir -p /var/lib/libvirt/images /var/lib/libvirt/dnsmasq /var/log/libvirt/qemu
hostname full
ip link set lo up
for module in virtio_console virtio_blk dm-mod tun kvm_amd; do modprobe "$module"; done
/lib/systemd/systemd-udevd --daemon # LVM waits for its links
udevadm trigger
udevadm settle
virtlogd -d
libvirtd -d
until port=$(ls /dev/vport*p1 2>/dev/null); do sleep 0.1; done
while :; do
    setsid -w bash <>"$port" >&0 2>&1 # ends where nobody is at the other end
    sleep 0.1
done
