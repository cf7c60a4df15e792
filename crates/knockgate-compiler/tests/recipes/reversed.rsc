# Last stage first, each put in front of the final drop; ports that scanners try are traps.
/ip firewall filter
add chain=input action=accept connection-state=established,related comment="known connections"
add chain=input action=drop in-interface=ether1 comment="the end"
add chain=input action=accept protocol=tcp dst-port=8291,22 in-interface=ether1 src-address-list=secured place-before=[find comment="the end"]
add chain=input action=drop in-interface=ether1 src-address-list=blocked place-before=[find comment="the end"]
add chain=input action=add-src-to-address-list protocol=tcp dst-port=10003 src-address-list=step2 address-list=secured address-list-timeout=1m in-interface=ether1 place-before=[find comment="the end"]
add chain=input action=add-src-to-address-list protocol=tcp dst-port=10002 src-address-list=step1 address-list=step2 address-list-timeout=20s in-interface=ether1 place-before=[find comment="the end"]
add chain=input action=add-src-to-address-list protocol=tcp dst-port=10001 address-list=step1 address-list-timeout=10s in-interface=ether1 place-before=[find comment="the end"]
add chain=input action=add-src-to-address-list protocol=tcp dst-port=21,23,445 src-address-list=!secured address-list=blocked address-list-timeout=10m in-interface=ether1 place-before=[find comment="the end"]
