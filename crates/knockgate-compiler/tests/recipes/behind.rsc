# The grant leads to a host behind.
/interface list member add list=WAN interface=ether1
/ip firewall filter
add chain=input action=add-src-to-address-list protocol=udp dst-port=5001 address-list=A address-list-timeout=10s in-interface-list=WAN
add chain=input action=add-src-to-address-list protocol=tcp dst-port=5002 src-address-list=A address-list=B address-list-timeout=10s in-interface-list=WAN
add chain=input action=add-src-to-address-list protocol=udp dst-port=5003 src-address-list=B address-list="rdp guests" address-list-timeout=3m in-interface-list=WAN
add chain=input action=drop in-interface-list=WAN
add chain=forward action=accept connection-state=established,related
add chain=forward action=accept connection-nat-state=dstnat
add chain=forward action=drop in-interface-list=WAN
/ip firewall nat
add chain=dstnat action=dst-nat protocol=tcp dst-port=13389 src-address-list="rdp guests" to-addresses=10.0.0.5 to-ports=3389 in-interface-list=WAN
