#!/bin/bash
# The limit: what a person who knows libvirt would write to have N machines from one image, as fast as the host can.
# by_hand.sh up|down FOLDER: FOLDER holds network.xml, the files that its dnsmasq reads (NETWORK.tc-*), machines (lines NAME ADDRESS), NAME.xml and, on the pool, NAME's seed.
set -euo pipefail
verb=$1 folder=$2
pool=/var/lib/libvirt/images/tinycloud
network=$(cat "$folder/network")
image=$(cat "$folder/image")

make() {
    qemu-img create -q -f qcow2 -F qcow2 -b "$pool/$image" "$(cat "$folder/$1.disk")"
    cp "$folder/$1.iso" "$(cat "$folder/$1.seed")"
    virsh -q define "$folder/$1.xml"
}
wait_for() {
    until { read -r -t 1 greeting <"/dev/tcp/$1/22" && [ "${greeting:0:4}" = SSH- ]; } 2>/dev/null; do sleep 0.1; done
}

if [ "$verb" = up ]; then
    cp "$folder/$network".tc-* /var/lib/libvirt/dnsmasq/
    { virsh -q net-define "$folder/network.xml" && virsh -q net-start "$network"; } >/dev/null &
    starts=$!
    while read -r name _; do make "$name" >/dev/null & done <"$folder/machines"
    wait "$starts" # what it says is what matters: without it no machine starts
    wait
    while read -r name _; do virsh -q start "$name" >/dev/null & done <"$folder/machines"
    while read -r _ address; do wait_for "$address" & done <"$folder/machines"
    wait
else
    while read -r name _; do
        { virsh -q destroy "$name"; virsh -q undefine "$name"; rm -f "$(cat "$folder/$name.disk")" "$(cat "$folder/$name.seed")"; } >/dev/null &
    done <"$folder/machines"
    wait
    virsh -q net-destroy "$network" >/dev/null
    virsh -q net-undefine "$network" >/dev/null
    rm -f /var/lib/libvirt/dnsmasq/"$network".tc-*
fi
