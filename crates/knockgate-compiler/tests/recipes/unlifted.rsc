# What a policy has no words for.
/ip firewall filter
add chain=input action=accept src-mac-address=00:11:22:33:44:55 comment="the laptop"
add chain=input action=add-src-to-address-list protocol=udp dst-port=6001 content=opensesame address-list=S1 address-list-timeout=10s
add chain=input action=add-src-to-address-list protocol=udp dst-port=6002 src-address-list=S1 address-list=in address-list-timeout=10s
add chain=input action=accept protocol=tcp dst-port=22 src-address-list=in
add chain=input action=add-src-to-address-list protocol=icmp address-list=R1 address-list-timeout=10s
add chain=input action=add-src-to-address-list protocol=tcp dst-port=80 src-address-list=R1 address-list=web address-list-timeout=10s
add chain=input action=accept protocol=tcp dst-port=8291 src-address-list=web
add chain=input action=accept protocol=tcp dst-port=8080 src-address-list=nobody
add chain=input action=add-src-to-address-list protocol=tcp dst-port=21 address-list=seen address-list-timeout=1d
add chain=input action=drop
