# 2026-01-02 03:04:05 by RouterOS 7.20
# A whole firewall as routers export it, with knocks among much else.
/interface list
add name=WAN
add name=LAN
/interface list member
add interface=ether1 list=WAN
add interface=bridge list=LAN
/ip firewall address-list
add address=203.0.113.0/29 list=office
/ip firewall filter
add action=accept chain=input comment="defconf: accept established,related,untracked" connection-state=established,related,untracked
add action=drop chain=input comment="defconf: drop invalid" connection-state=invalid
add action=accept chain=input comment="defconf: accept ICMP" protocol=icmp
add action=accept chain=input dst-port=8291 protocol=tcp src-address-list=office
add action=drop chain=input src-address-list="port scanners"
add action=add-src-to-address-list address-list="port scanners" address-list-timeout=2w chain=input protocol=tcp psd=21,3s,3,1
add action=add-src-to-address-list address-list="port scanners" address-list-timeout=2w chain=input protocol=tcp dst-port=23,135-139 in-interface-list=WAN
add action=jump chain=input jump-target=pk in-interface-list=WAN protocol=udp comment="knocks"
add action=add-src-to-address-list chain=pk dst-port=40000 address-list=pk3 address-list-timeout=30m src-address-list=pk2 protocol=udp log=yes log-prefix=PK
add action=add-src-to-address-list chain=pk dst-port=30000 address-list=pk2 address-list-timeout=15s src-address-list=pk1 protocol=udp
add action=add-src-to-address-list chain=pk dst-port=20000 address-list=pk1 address-list-timeout=15s protocol=udp
add action=add-src-to-address-list chain=pk dst-port=50000-50100 address-list=pk9 address-list-timeout=15s protocol=udp
add action=return chain=pk
add action=accept chain=input src-address-list=pk3 in-interface-list=WAN comment="who knocked"
add action=accept chain=input dst-port=13231 protocol=udp comment=wireguard
add action=accept chain=input dst-port=53,22 protocol=tcp in-interface-list=LAN
add action=drop chain=input comment="defconf: drop all not coming from LAN" in-interface-list=!LAN
add action=fasttrack-connection chain=forward connection-state=established,related
add action=accept chain=forward connection-state=established,related,untracked
add action=drop chain=forward connection-state=invalid
add action=drop chain=forward connection-nat-state=!dstnat connection-state=new in-interface-list=WAN
/ip firewall nat
add action=masquerade chain=srcnat out-interface-list=WAN
add action=dst-nat chain=dstnat dst-port=8443 in-interface-list=WAN protocol=tcp to-addresses=192.168.88.10 to-ports=443
/ipv6 firewall filter
add chain=input action=accept protocol=icmpv6
add chain=input action=add-src-to-address-list address-list=pk1 address-list-timeout=15s protocol=udp dst-port=20000
add chain=input action=drop in-interface-list=!LAN
