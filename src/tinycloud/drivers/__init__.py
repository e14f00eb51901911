"""How the outside is touched: child processes, libvirt, guests. Drivers do what they are told and decide nothing."""
