# TCP and UDP knocks; who knocks otherwise after the first one waits for an hour.
/ip firewall filter
add chain=input action=accept protocol=tcp dst-port=443 in-interface-list=WAN
add chain=input action=accept src-address-list=granted protocol=tcp dst-port=22 in-interface-list=WAN
add chain=input action=drop src-address-list=knock-fail in-interface-list=WAN
add chain=input action=add-src-to-address-list src-address-list=stage2 protocol=tcp dst-port=7003 address-list=granted address-list-timeout=2m in-interface-list=WAN
add chain=input action=drop src-address-list=stage2 protocol=tcp dst-port=7003 in-interface-list=WAN
add chain=input action=add-src-to-address-list src-address-list=stage1 protocol=udp dst-port=7002 address-list=stage2 address-list-timeout=5s in-interface-list=WAN
add chain=input action=drop src-address-list=stage1 protocol=udp dst-port=7002 in-interface-list=WAN
add chain=input action=add-src-to-address-list src-address-list=stage1 address-list=knock-fail address-list-timeout=1h in-interface-list=WAN
add chain=input action=add-src-to-address-list protocol=tcp dst-port=7001 address-list=stage1 address-list-timeout=5s in-interface-list=WAN
add chain=input action=drop in-interface-list=WAN
