//! The part of the console's tree that rules and lists live in, and enough of the rest to find the
//! way through a script.
//!
//! Attributes are those of RouterOS 7.24 and of older versions, together.

/// A menu whose items we read.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    /// With slashes: `/ip/firewall/filter`.
    pub path: &'static str,
    attributes: &'static [&'static [Attribute]],
}

impl Known {
    /// Everything that its items can be given.
    pub fn attributes(&self) -> impl Iterator<Item = &'static Attribute> + Clone {
        self.attributes.iter().copied().flatten()
    }

    /// The attribute of exactly this name.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes().find(|attribute| attribute.name == name)
    }
}

/// Something an item can be given.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// Whether a `!` before its value turns it around.
    pub negatable: bool,
}

/// A name that is turned around by `!`.
const fn either(name: &'static str) -> Attribute {
    Attribute { name, negatable: true }
}

/// A name whose value starts with `!` only if that is part of it.
const fn plain(name: &'static str) -> Attribute {
    Attribute { name, negatable: false }
}

/// What `add` and `set` take in every menu of items.
const ITEM: &[Attribute] =
    &[plain("comment"), plain("disabled"), plain("copy-from"), plain("numbers"), plain("place-before")];

/// What rules of every table and family have.
const RULE: &[Attribute] = &[
    plain("chain"),
    plain("action"),
    plain("jump-target"),
    plain("address-list"),
    plain("address-list-timeout"),
    either("src-address"),
    either("dst-address"),
    either("src-address-list"),
    either("dst-address-list"),
    either("src-address-type"),
    either("dst-address-type"),
    either("src-mac-address"),
    either("protocol"),
    either("src-port"),
    either("dst-port"),
    either("port"),
    either("in-interface"),
    either("out-interface"),
    either("in-interface-list"),
    either("out-interface-list"),
    either("in-bridge-port"),
    either("out-bridge-port"),
    either("in-bridge-port-list"),
    either("out-bridge-port-list"),
    either("icmp-options"),
    // Each flag has an exclamation mark of its own.
    plain("tcp-flags"),
    either("tcp-mss"),
    either("packet-size"),
    either("packet-mark"),
    either("content"),
    either("tls-host"),
    either("dscp"),
    either("tos"),
    either("limit"),
    plain("dst-limit"),
    either("time"),
    plain("random"),
    either("nth"),
    either("per-connection-classifier"),
    either("priority"),
    either("ingress-priority"),
    plain("ipsec-policy"),
    plain("log"),
    plain("log-prefix"),
];

/// What only IPv4 rules have.
const RULE_V4: &[Attribute] =
    &[plain("psd"), plain("ttl"), plain("ipv4-options"), plain("fragment"), plain("hotspot")];

/// What only IPv6 rules have.
const RULE_V6: &[Attribute] = &[plain("hop-limit"), either("headers")];

/// What rules have that come after connection tracking.
const TRACKED: &[Attribute] = &[
    either("connection-state"),
    either("connection-nat-state"),
    either("connection-limit"),
    either("connection-mark"),
    either("connection-type"),
    plain("connection-bytes"),
    either("connection-rate"),
    either("layer7-protocol"),
    either("routing-mark"),
    either("realm"),
    either("p2p"),
];

const FILTER: &[Attribute] = &[plain("reject-with"), plain("hw-offload")];

const NAT: &[Attribute] = &[
    plain("to-addresses"),
    plain("to-address"),
    plain("to-ports"),
    plain("same-not-by-dst"),
    plain("randomise-ports"),
    plain("socksify-service"),
    plain("socks5-server"),
    plain("socks5-port"),
];

const MANGLE: &[Attribute] = &[
    plain("passthrough"),
    plain("new-connection-mark"),
    plain("new-packet-mark"),
    plain("new-routing-mark"),
    plain("new-dscp"),
    plain("new-mss"),
    plain("new-priority"),
    plain("new-ttl"),
    plain("new-hop-limit"),
    plain("route-dst"),
    plain("sniff-id"),
    plain("sniff-target"),
    plain("sniff-target-port"),
];

const ADDRESS_LIST: &[Attribute] = &[plain("list"), plain("address"), plain("timeout"), plain("dynamic")];

const LAYER7: &[Attribute] = &[plain("name"), plain("regexp")];

const INTERFACE_LIST: &[Attribute] = &[plain("name"), plain("include"), plain("exclude")];

const MEMBER: &[Attribute] = &[plain("list"), plain("interface")];

/// The menus whose items we read.
pub const KNOWN: &[Known] = &[
    Known { path: "/ip/firewall/filter", attributes: &[ITEM, RULE, RULE_V4, TRACKED, FILTER] },
    Known { path: "/ip/firewall/raw", attributes: &[ITEM, RULE, RULE_V4] },
    Known { path: "/ip/firewall/nat", attributes: &[ITEM, RULE, RULE_V4, TRACKED, NAT] },
    Known { path: "/ip/firewall/mangle", attributes: &[ITEM, RULE, RULE_V4, TRACKED, MANGLE] },
    Known { path: "/ip/firewall/address-list", attributes: &[ITEM, ADDRESS_LIST] },
    Known { path: "/ip/firewall/layer7-protocol", attributes: &[ITEM, LAYER7] },
    Known { path: "/ipv6/firewall/filter", attributes: &[ITEM, RULE, RULE_V6, TRACKED, FILTER] },
    Known { path: "/ipv6/firewall/raw", attributes: &[ITEM, RULE, RULE_V6] },
    Known { path: "/ipv6/firewall/nat", attributes: &[ITEM, RULE, RULE_V6, TRACKED, NAT] },
    Known { path: "/ipv6/firewall/mangle", attributes: &[ITEM, RULE, RULE_V6, TRACKED, MANGLE] },
    Known { path: "/ipv6/firewall/address-list", attributes: &[ITEM, ADDRESS_LIST] },
    Known { path: "/interface/list", attributes: &[ITEM, INTERFACE_LIST] },
    Known { path: "/interface/list/member", attributes: &[ITEM, MEMBER] },
];

/// What is known of the menu at `path`.
pub(super) fn known(path: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.path == path)
}

/// The menus below `path`, if all of them are known.
pub(super) fn children(path: &str) -> Option<&'static [&'static str]> {
    match path {
        "/" => Some(ROOT),
        "/ip" => Some(IP),
        "/ipv6" => Some(IPV6),
        "/ip/firewall" | "/ipv6/firewall" => Some(FIREWALL),
        "/interface/list" => Some(&["member"]),
        _ if known(path).is_some() => Some(&[]),
        _ => None,
    }
}

const FIREWALL: &[&str] = &[
    "address-list",
    "calea",
    "connection",
    "filter",
    "layer7-protocol",
    "mangle",
    "nat",
    "raw",
    "service-port",
];

const IP: &[&str] = &[
    "accounting",
    "address",
    "arp",
    "cloud",
    "dhcp-client",
    "dhcp-relay",
    "dhcp-server",
    "dns",
    "firewall",
    "hotspot",
    "ipsec",
    "kid-control",
    "media",
    "nat-pmp",
    "neighbor",
    "packing",
    "pool",
    "proxy",
    "reverse-proxy",
    "route",
    "service",
    "settings",
    "smb",
    "socks",
    "socksify",
    "ssh",
    "tftp",
    "traffic-flow",
    "upnp",
    "vrf",
];

const IPV6: &[&str] = &[
    "address",
    "dhcp-client",
    "dhcp-relay",
    "dhcp-server",
    "firewall",
    "nd",
    "neighbor",
    "pool",
    "route",
    "settings",
];

const ROOT: &[&str] = &[
    "app",
    "caps-man",
    "certificate",
    "console",
    "container",
    "disk",
    "dude",
    "file",
    "interface",
    "iot",
    "ip",
    "ipv6",
    "lcd",
    "log",
    "lora",
    "metarouter",
    "mpls",
    "openflow",
    "partitions",
    "port",
    "ppp",
    "queue",
    "radius",
    "routing",
    "safe-mode",
    "snmp",
    "special-login",
    "store",
    "system",
    "task",
    "terminal",
    "tool",
    "tr069-client",
    "user",
    "user-manager",
    "zerotier",
];

/// Commands that most menus have, and that may be shortened.
pub(super) const COMMON: &[&str] = &[
    "add",
    "comment",
    "disable",
    "edit",
    "enable",
    "export",
    "find",
    "get",
    "move",
    "print",
    "remove",
    "reset-counters",
    "reset-counters-all",
    "set",
    "unset",
];

/// Other commands that are no menus, wherever they stand. Without them a line such as
/// `/system reboot` would look like the way into a menu.
pub(super) const ACTIONS: &[&str] = &[
    "ask",
    "bandwidth-test",
    "beep",
    "cancel",
    "check-for-updates",
    "clear",
    "debug",
    "downgrade",
    "error",
    "fetch",
    "flood-ping",
    "flush",
    "force-update",
    "format",
    "get-status",
    "info",
    "inspect",
    "ip-scan",
    "load",
    "mac-scan",
    "mac-telnet",
    "make-static",
    "monitor",
    "monitor-traffic",
    "reboot",
    "release",
    "renew",
    "reset",
    "reset-configuration",
    "reset-mac-address",
    "run",
    "save",
    "scan",
    "shutdown",
    "sign",
    "start",
    "stop",
    "telnet",
    "torch",
    "traceroute",
    "warning",
    "wol",
];

/// Commands of the root: the script language, and a few tools.
pub(super) const GLOBAL: &[&str] = &[
    "beep",
    "blink",
    "break",
    "brake",
    "continue",
    "convert",
    "delay",
    "deserialize",
    "do",
    "environment",
    "error",
    "execute",
    "exit",
    "export",
    "find",
    "for",
    "foreach",
    "global",
    "grep",
    "if",
    "import",
    "jobname",
    "led",
    "len",
    "local",
    "log",
    "nothing",
    "onerror",
    "parse",
    "password",
    "pick",
    "ping",
    "put",
    "quit",
    "range",
    "redo",
    "resolve",
    "retry",
    "return",
    "rndnum",
    "rndstr",
    "serialize",
    "set",
    "setup",
    "terminal",
    "time",
    "timestamp",
    "toarray",
    "tobool",
    "tocrlf",
    "toid",
    "toip",
    "toip6",
    "tolf",
    "tonsec",
    "tonum",
    "tostr",
    "totime",
    "typeof",
    "undo",
    "while",
];

/// Names that `find` and `where` know besides attributes.
pub(super) const SHOWN: &[&str] =
    &["bytes", "packets", "invalid", "dynamic", "creation-time", ".id", ".nextid", ".dead", ".about"];

/// A menu as prompts write it, `/ip firewall filter`, in full and with slashes.
pub(super) fn full_path(written: &str) -> String {
    let words = written.split([' ', '/']).filter(|word| !word.is_empty());
    words.fold(String::from("/"), |path, word| {
        let name = match children(&path).map(|names| meant(word, names.iter().copied())) {
            Some(Meant::One(name)) => name,
            _ => word,
        };
        if path == "/" { format!("/{name}") } else { format!("{path}/{name}") }
    })
}

/// What a shortened name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// This one.
    One(&'static str),
    /// More than one could be meant: these two, for instance.
    Several(&'static str, &'static str),
    /// None begins so.
    Nothing,
}

/// The one of `names` that is `written`, or that alone begins so.
pub(super) fn meant(written: &str, names: impl Iterator<Item = &'static str> + Clone) -> Meant {
    if written.is_empty() {
        return Meant::Nothing;
    }
    if let Some(name) = names.clone().find(|name| *name == written) {
        return Meant::One(name);
    }
    let mut begun = names.filter(|name| name.starts_with(written));
    match (begun.next(), begun.next()) {
        (None, _) => Meant::Nothing,
        (Some(name), None) => Meant::One(name),
        (Some(name), Some(other)) => Meant::Several(name, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_for_the_only_name_that_begins_so() {
        let filter = known("/ip/firewall/filter").unwrap();
        let names = filter.attributes().map(|attribute| attribute.name);
        assert_eq!(meant("place-befor", names.clone()), Meant::One("place-before"));
        assert_eq!(meant("log", names.clone()), Meant::One("log"));
        assert_eq!(meant("src-address", names.clone()), Meant::One("src-address"));
        assert_eq!(meant("dst-a", names.clone()), Meant::Several("dst-address", "dst-address-list"));
        assert_eq!(meant("", names.clone()), Meant::Nothing);
        assert_eq!(meant("colour", names), Meant::Nothing);
    }

    #[test]
    fn no_menu_knows_an_attribute_twice() {
        for known in KNOWN {
            let mut names: Vec<_> = known.attributes().map(|attribute| attribute.name).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", known.path);
        }
    }

    #[test]
    fn port_scan_detection_is_for_ipv4_alone() {
        for (path, has) in [("/ip/firewall/raw", true), ("/ipv6/firewall/raw", false)] {
            assert_eq!(known(path).unwrap().attribute("psd").is_some(), has);
        }
    }
}
