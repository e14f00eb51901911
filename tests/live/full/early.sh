#!/bin/sh
# First program of a host with a whole kernel (tests/live/full_kernel.py), in its initial RAM disk: the test machine's own files,
# read through 9p, below an overlay in memory; then on with the program that /next names.
/bin/busybox mkdir -p /bin /proc /sys /dev /below /above /root
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
exec >/dev/console 2>&1
for module in $(cat /modules/order); do insmod "/modules/$module"; done
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 files /below
mount -t tmpfs -o size=60% above /above
mkdir /above/upper /above/work
mount -t overlay -o lowerdir=/below,upperdir=/above/upper,workdir=/above/work overlay /root
mount --move /dev /root/dev
exec switch_root /root /bin/bash "$(cat /next)"
