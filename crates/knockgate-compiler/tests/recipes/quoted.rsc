# Names with spaces, and negations inside quotes.
/ip firewall filter
add chain=input action=drop src-address-list="too curious" in-interface=ether1
add chain=input action=add-src-to-address-list protocol=tcp dst-port=23 src-address-list="!Knock + granted" address-list="too curious" address-list-timeout=1h in-interface=ether1
add chain=input action=add-src-to-address-list protocol=tcp dst-port=9000 src-address-list="!Knock : one" address-list="Knock : one" address-list-timeout=10s in-interface=ether1
add chain=input action=add-src-to-address-list protocol=udp dst-port=9100 src-address-list="Knock : one" address-list="Knock : two" address-list-timeout=10s in-interface=ether1
add chain=input action=add-src-to-address-list protocol=tcp dst-port=9200 src-address-list="Knock : two" address-list="Knock + granted" address-list-timeout=5m in-interface=ether1
add chain=input action=drop src-address-list="!Knock + granted" protocol=tcp dst-port=22 in-interface=ether1
add chain=input action=accept protocol=tcp dst-port=22 in-interface=ether1
add chain=input action=drop in-interface=ether1
