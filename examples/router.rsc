# A door on a router, done properly: what examples/article.rsc meant. For RouterOS 6.49 and 7.
# The ports are an example, so they are known: take others, and not in ascending order.
# 22 and 8291 open for 30 seconds to who knocks 41927, 9513, 28406; sessions go on after that.
# Two traps stand around the first knock, so that a sweep is banned before it knows anything.

/interface list
add name=WAN comment="faces strangers"
/interface list member
add list=WAN interface=ether1

/ip firewall filter
add chain=input action=accept connection-state=established,related comment="sessions go on, whatever comes below"
add chain=input action=drop connection-state=invalid
add chain=input action=accept in-interface-list=!WAN comment="the inside"
add chain=input action=accept protocol=tcp dst-port=22,8291 src-address-list=opened comment="who has knocked"
add chain=input action=drop src-address-list=banned comment="who has touched a trap"
add chain=input action=add-src-to-address-list address-list=banned address-list-timeout=10m src-address-list=!banned protocol=tcp dst-port=9500,41900 connection-state=new tcp-flags=syn,!fin,!rst,!ack comment="traps"
add chain=input action=add-src-to-address-list address-list=opened address-list-timeout=30s src-address-list=knock-2 protocol=tcp dst-port=28406 connection-state=new tcp-flags=syn,!fin,!rst,!ack comment="knock 3: the last one first, so that no packet makes two"
add chain=input action=add-src-to-address-list address-list=knock-2 address-list-timeout=10s src-address-list=knock-1 protocol=tcp dst-port=9513 connection-state=new tcp-flags=syn,!fin,!rst,!ack comment="knock 2"
add chain=input action=add-src-to-address-list address-list=knock-1 address-list-timeout=10s src-address-list=!knock-1 protocol=tcp dst-port=41927 connection-state=new tcp-flags=syn,!fin,!rst,!ack comment="knock 1"
add chain=input action=drop comment="everything else"

/ipv6 firewall filter
add chain=input action=accept connection-state=established,related
add chain=input action=accept protocol=icmpv6 comment="neighbours, routers, errors"
add chain=input action=accept in-interface-list=!WAN
add chain=input action=drop comment="no door over IPv6"
