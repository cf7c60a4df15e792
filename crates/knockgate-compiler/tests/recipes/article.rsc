# Three knocks open everything for half an hour; a touch of 666 is a ban for 1000 minutes.
/ip firewall filter
add chain=input action=drop in-interface-list=WAN src-address-list=blacklist comment="banned"
add chain=input action=add-src-to-address-list protocol=tcp dst-port=666 address-list=blacklist address-list-timeout=1000m in-interface-list=WAN
add chain=input action=add-src-to-address-list protocol=tcp dst-port=333 address-list=333 address-list-timeout=30s in-interface-list=WAN
add chain=input action=add-src-to-address-list protocol=tcp dst-port=777 src-address-list=333 address-list=777 address-list-timeout=30s in-interface-list=WAN
add chain=input action=add-src-to-address-list protocol=tcp dst-port=888 src-address-list=777 address-list=secured address-list-timeout=30m in-interface-list=WAN
add chain=input action=accept in-interface-list=WAN src-address-list=secured
add chain=input action=drop in-interface-list=WAN
