# Knocks in a chain of their own. The first stage is not refreshed while it lasts.
/ip firewall filter
add chain=input action=accept connection-state=established,related
add chain=input action=accept src-address-list=friends protocol=tcp dst-port=22
add chain=input action=jump jump-target=knocking protocol=tcp connection-state=new dst-address-type=local src-address-list=!LETIN
add chain=knocking action=add-src-to-address-list protocol=tcp dst-port=4100 src-address-list=!J1 address-list=J1 address-list-timeout=15s
add chain=knocking action=add-src-to-address-list protocol=tcp dst-port=4200 src-address-list=J1 address-list=J2 address-list-timeout=15s
add chain=knocking action=add-src-to-address-list protocol=tcp dst-port=4300 src-address-list=J2 address-list=LETIN address-list-timeout=8h
add chain=knocking action=return
add chain=input action=accept protocol=tcp dst-port=22 src-address-list=LETIN
add chain=input action=accept protocol=udp dst-port=51820
add chain=input action=drop
/ip firewall address-list
add list=friends address=198.51.100.64/28
