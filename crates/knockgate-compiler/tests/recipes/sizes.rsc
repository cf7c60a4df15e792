# Pings of the right sizes; any other one is a minute on the list FAILURE.
/ip firewall filter
add chain=input action=accept connection-state=established,related
add chain=input action=jump jump-target=sizes protocol=icmp in-interface=pppoe-out1
add chain=sizes action=drop src-address-list=FAILURE
add chain=sizes action=add-src-to-address-list protocol=icmp packet-size=528 src-address-list=SIZE2 address-list=OPEN address-list-timeout=30m
add chain=sizes action=return packet-size=528 src-address-list=SIZE2
add chain=sizes action=add-src-to-address-list protocol=icmp packet-size=328 src-address-list=SIZE1 address-list=SIZE2 address-list-timeout=20s
add chain=sizes action=return packet-size=328 src-address-list=SIZE1
add chain=sizes action=add-src-to-address-list src-address-list=SIZE1 address-list=FAILURE address-list-timeout=1m
add chain=sizes action=add-src-to-address-list protocol=icmp packet-size=128 address-list=SIZE1 address-list-timeout=20s
add chain=input action=accept protocol=tcp dst-port=22,8291 src-address-list=OPEN in-interface=pppoe-out1
add chain=input action=drop in-interface=pppoe-out1
