//! Every code, what it means, and for policies and scripts a text that has it.

use std::fmt;
use std::str::FromStr;

macro_rules! catalogue {
    ($($name:ident $code:literal $title:literal $why:literal $wrong:expr;)+) => {
        /// A stable name of a kind of finding. `P` is for policies, `R` for RouterOS scripts, `A` for
        /// audits, `T` for traces, `F` for files.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)+
        }

        impl Code {
            /// The code as it is printed: `P010`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }

        /// Every code, in order.
        pub const CATALOGUE: &[Entry] = &[
            $(Entry { code: Code::$name, title: $title, why: $why, wrong: $wrong },)+
        ];
    };
}

/// What there is to know of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Why it is a finding, and what to do.
    pub why: &'static str,
    /// A policy or a RouterOS script that has it.
    pub wrong: Option<&'static str>,
}

impl Entry {
    /// What is known of `code`.
    pub fn of(code: Code) -> &'static Self {
        &CATALOGUE[code as usize]
    }

    /// Whether it is found by auditing, and not by reading.
    pub fn is_of_audits(&self) -> bool {
        self.code.as_str().starts_with('A')
    }

    /// Whether its example is a RouterOS script.
    pub fn is_of_scripts(&self) -> bool {
        self.wrong.is_some_and(|text| text.starts_with('/')) || self.code.as_str().starts_with('R')
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let found = CATALOGUE.iter().find(|entry| entry.code.as_str().eq_ignore_ascii_case(text));
        found.map(|entry| entry.code).ok_or(UnknownCode)
    }
}

/// No code is called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCode;

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such code")
    }
}

impl std::error::Error for UnknownCode {}

catalogue! {
    Syntax "P001" "the file is not TOML"
        "A policy is a TOML file (https://toml.io): `key = value` lines under `[table]` headings, with texts in quotes. The message says what the TOML parser stumbled over; often a quote or a bracket is missing."
        Some(r#"outside = ["eth0"
"#);
    UnknownKey "P002" "a key that the policy language does not have"
        "Unknown keys are refused, because a misspelt `grant` that is silently skipped is a door that stays open longer than its owner thinks. docs/policy.md lists all keys."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
grants = "30s"
"#);
    WrongType "P003" "a value of the wrong type"
        r#"Ports, durations and addresses are texts in quotes: `"22/tcp"`, `"30s"`, `"192.0.2.0/24"`. Only counts are bare numbers."#
        Some(r#"outside = [true]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    KeyMissing "P004" "something that has no safe default is missing"
        "Nobody but the owner can say which interfaces face strangers, how to knock, and what a door opens."
        Some(r#"[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    NoDoors "P005" "a policy without a door"
        "Such a policy would shut everybody out for good."
        Some(r#"outside = ["eth0"]
"#);
    Duplicate "P006" "a name or key that is there twice"
        "Two doors of one name, or a key given twice, contradict each other: one of them would be lost without a word."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]

[door.ssh]
knock = ["7314/tcp", "24878/tcp", "11091/tcp"]
opens = ["80/tcp"]
"#);
    BadName "P007" "a name that a door cannot have"
        "Names become parts of the names of sets and chains in the packet filter, so they are short and plain."
        Some(r#"outside = ["eth0"]

[door.SSH]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    TooMany "P008" "more of something than a policy can hold"
        "Everything is bounded, so that a policy never asks more of a router than it can give: 4096 doors, 16 knocks and 64 services a door, 64 traps, 256 public ports, 1024 prefixes a list, 64 outside interfaces, and 1 MiB of text."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["1/tcp", "2/tcp", "3/tcp", "4/tcp", "5/tcp", "6/tcp", "7/tcp", "8/tcp", "9/tcp",
         "10/tcp", "11/tcp", "12/tcp", "13/tcp", "14/tcp", "15/tcp", "16/tcp", "17/tcp"]
opens = ["22/tcp"]
"#);
    OutOfRange "P009" "a number or duration that makes no sense here"
        "Windows last 1s to 10m, grants, bans and cooldowns 1s to 1d; `strikes` is at most the number of traps, for each strike is a different one; `ban-max` is no shorter than `ban`."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
grant = "2w"
"#);
    BadPort "P010" "not a port"
        "A port is a number from 1 to 65535 and its protocol: `22/tcp`, `51820/udp`. Service names such as `ssh` are not looked up, for they can differ between the machine that compiles and the one that is guarded. Port 0 is never on the wire."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["ssh", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    BadKnock "P011" "not a knock"
        "A knock is a TCP or UDP port, `333/tcp`, or a ping with so many bytes of data, `ping/100`, which is what `ping -s 100` sends. All but the first may say how long they may take after the one before: `777/udp within 5s`."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "ping/9000", "11090/tcp"]
opens = ["22/tcp"]
"#);
    NoKnocks "P012" "a door without a knock"
        "Whoever knocks no knock at all would be let in. What everybody may use belongs into `public`."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = []
opens = ["22/tcp"]
"#);
    RepeatedKnock "P013" "the same knock twice running"
        "Networks sometimes deliver a packet twice, and senders send it again when no answer comes, so the same knock again is ignored. A sequence that needs it twice running could never be told from one that does not."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "7313/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    FirstWindow "P014" "a time limit on the first knock"
        "`within` says how long a knock may take after the one before it. Before the first there is nothing to count from."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp within 5s", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    SequenceInAnother "P015" "a sequence that begins another, or equals it"
        "Who knocks the longer sequence opens the shorter one's door on the way, and who knows the shorter one knows the start of the longer."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]

[door.web]
knock = ["7313/tcp", "24877/tcp", "11090/tcp", "1209/tcp"]
opens = ["8443/tcp"]
"#);
    KnockIsService "P016" "a knock that is also a service behind a door"
        "A granted source's packets to its services are let through, so they no longer count as knocks. Within one door this is an error; between doors it is a warning, for it matters only to sources that the other door let in."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "22/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    PublicKnock "P017" "a knock on a public port"
        "Traffic to an open service is never a knock, or visiting the web site would upset the sequence. So this door could never open."
        Some(r#"outside = ["eth0"]
public = ["443/tcp"]

[door.ssh]
knock = ["7313/tcp", "443/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    PublicService "P018" "a service that is behind a door and public at once"
        "A public port is open to everybody, so the door guards nothing."
        Some(r#"outside = ["eth0"]
public = ["22/tcp"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    TrapInTheWay "P019" "a trap that is also a knock, a service or a public port"
        "People who do the right thing would be banned for it."
        Some(r#"outside = ["eth0"]

[traps]
ports = ["24877/tcp", "666/tcp"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    BadDuration "P020" "not a duration"
        "A duration is a number and a unit, `ms`, `s`, `m`, `h`, `d` or `w`, or several of them from long to short: `30s`, `1m30s`, `1h`. A bare number is refused, since `30` is half a minute to some tools and half an hour to others. Nothing lasts zero time or less, nor more than 35w3d13h13m56s."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
window = "30"
"#);
    BadWrong "P021" "not something that a wrong knock can do"
        "A wrong knock from a source that has begun a sequence can lose its progress (`reset`, the default), keep it from making any for a while (`cooldown 10s`), or do nothing (`ignore`), which lets anybody open the door with as many sweeps as it has knocks."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
wrong = "rest"
"#);
    BadAddress "P022" "not an address or network"
        "Addresses are written as such, `192.0.2.10` or `2001:db8::1`, and networks with the number of their leading bits, `192.0.2.0/24`, and with no bit set after those. Names are not looked up: what they stand for can change, and be changed by others. Zones (`fe80::1%eth0`) mean something on one machine only."
        Some(r#"outside = ["eth0"]
allow = ["192.0.2.7/24"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    Everyone "P023" "an exception for every address there is"
        "Allowing everybody makes the knock pointless; exempting everybody makes the traps pointless."
        Some(r#"outside = ["eth0"]
allow = ["0.0.0.0/0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    BadInterface "P024" "not the name of an interface"
        "Linux gives interfaces names of at most 15 bytes. A policy takes letters, digits and `.`, `_`, `-`, `@`, `:` in them, and a final `*` for any rest, as in `ppp*`. `lo` is never outside: what comes from there is on this machine already."
        Some(r#"outside = ["eth0; drop"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    BadService "P025" "not a service"
        "A service is a port on the gateway, `22/tcp`; or a port there whose connections go to a host behind, `8443/tcp to 10.0.0.5:443`; or a port of a host behind at its own address, `443/tcp at 192.0.2.80`."
        Some(r#"outside = ["eth0"]

[door.web]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["8443/tcp to server"]
"#);
    NoServices "P026" "a door that opens nothing"
        "A door without a service behind it is most likely unfinished."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = []
"#);
    DuplicateService "P027" "a service listed twice at one door"
        "One of the two is probably meant to be something else."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp", "22/tcp"]
"#);
    TwoHosts "P028" "one port on the gateway that leads to two hosts"
        "A source that both doors let in could reach only one of them, and which one would be chance."
        Some(r#"outside = ["eth0"]

[door.one]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["8443/tcp to 10.0.0.5:443"]

[door.two]
knock = ["7314/tcp", "24878/tcp", "11091/tcp"]
opens = ["8443/tcp to 10.0.0.6:443"]
"#);
    BadWord "P029" "not one of the words that a key can have"
        "Some keys take one of a few words. docs/policy.md lists them, and so does the message where no word comes close."
        Some(r#"outside = ["eth0"]
if-changed = "ignore"

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    BadPlace "P030" "not a file, or not a place to listen at"
        "Files and sockets are named by their whole path. Metrics can be asked for at an address of loopback or at a socket, and nowhere else: they tell who is busy here, and a port that answers strangers is what a policy is there to avoid."
        Some(r#"outside = ["eth0"]

[metrics]
listen = "0.0.0.0:9469"

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    LongGrant "P040" "a long grant"
        "A grant lets a source address make new connections, and with it everybody who shares that address. Connections that stand go on after the grant ends, so it need only last long enough to connect: 30s is enough. More than 5m is warned of."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
grant = "30m"
"#);
    WrongIgnored "P041" "wrong knocks that cost nothing"
        r#"With `wrong = "ignore"` a source may touch every other port between two right knocks. Then each full sweep over all ports makes at least one step of the sequence, and a sequence in ascending order opens to a single ascending sweep. `reset` makes it n^k instead of k times n packets."#
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["333/tcp", "777/tcp", "888/tcp"]
opens = ["22/tcp"]
wrong = "ignore"
"#);
    FewKnocks "P042" "a sequence of one or two knocks"
        "Every knock multiplies the number of sequences to try by 65,535, or more with UDP and pings in it. One is found by any scan, two by luck."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp"]
opens = ["22/tcp"]
"#);
    OneStrike "P043" "a ban for a single packet"
        "Source addresses can be forged: one packet to the trap in the owner's name shuts the owner out, unless a grant or a connection protects them. With two traps and two strikes a stray packet bans nobody, though whoever knows both still can."
        Some(r#"outside = ["eth0"]

[traps]
ports = ["666/tcp"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    NotACommand "R001" "a line that begins with no command"
        "A RouterOS script has commands such as `add chain=input` and menus such as `/ip firewall filter`. They begin with a lower-case letter, `/` or `:`. A shell prompt, a note without `#`, or the lost half of a broken line is none of these, and the router's parser refuses the whole script."
        Some(r#"Now add the rule:
/ip firewall filter add chain=input action=drop dst-port=23 protocol=tcp
"#);
    Unclosed "R002" "a quote or bracket that is never closed"
        "Everything after it belongs to it for the router. Perhaps a quote inside the text lacks its backslash: `\\\"`."
        Some(r#"/ip firewall filter
add chain=input action=drop comment="telnet
add chain=input action=accept
"#);
    Stray "R003" "a bracket that closes nothing"
        "There is one too many, or the one that it closes is missing."
        Some(r#"/ip firewall filter
add chain=input action=accept comment=knock ]
"#);
    UnknownCommand "R004" "a command that the menu does not have"
        "The router's parser takes it, since a script can be meant for a router with other packages. When the script runs, it stops there with `bad command name`, and what it did so far stays done."
        Some(r#"/ip firewall filter
remvoe [find comment=knock]
"#);
    UnknownAttribute "R005" "an attribute that the menu does not have"
        "Attributes can be shortened as long as only one begins so: `place-befor` is `place-before`. A name that no attribute begins with, or several, is refused by the router as it is here: a condition must never be lost. Known are the attributes of version 7.24, and those of older ones that exports still have."
        Some(r#"/ip firewall filter
add chain=input action=drop protocl=tcp
"#);
    LeftOver "R006" "something in a command that cannot be there"
        "Rules are given `name=value` pairs. A word alone is an attribute that lost its value, or a blank in a value that has no quotes: `comment=my rule` is to be `comment=\"my rule\"`."
        Some(r#"/ip firewall filter
add chain=input action=drop comment=no telnet
"#);
    BrokenLine "R007" "a line broken in the middle of a command"
        "Web pages and mails break long lines where they like. The router takes the end of the line for the end of the command, unless the line ends in `\\`, and adds a rule that lacks the rest: without its conditions it may match everything."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-li
st=secured
"#);
    BadEscape "R008" "a backslash before something that needs none"
        "In RouterOS texts a backslash has a meaning before a double quote, `\\`, `$`, `?`, `_`, `n`, `r`, `t`, `a`, `b`, `f`, `v`, two upper-case hexadecimal digits, and a line end. In regular expressions it is to be doubled: `\\\\.`."
        Some(r#"/ip firewall filter
add chain=input action=accept protocol=udp content="\d+"
"#);
    NotFollowed "R009" "script commands that are not followed"
        "Loops, variables and functions are run by the router alone. What they add to the firewall is neither played nor checked here."
        Some(r#":foreach rule in=[/ip firewall filter find comment=knock] do={
  /ip firewall filter disable $rule
}
"#);
    Output "R010" "what a router shows, among what it is told"
        "A table that `print` shows is read as far as it has `name=value` pairs, but no router takes it as a script. Without the command before it, its menu is guessed: one with `chain` or `action` is taken to be from `/ip firewall filter`, one with `list` and `address` from `/ip firewall address-list`, and of others nothing is read. Columns are cut off to fit the screen, and leave out what does not."
        Some(r#" 0    ;;; knock
      chain=input action=accept src-address-list=secured
"#);
    ExportGap "R011" "an export that is not complete"
        "The router could not export one of its menus, and left a note instead. What was there is missing here."
        Some(r#"#error exporting "/ip/firewall/filter" (timeout)
"#);
    ListNeverFilled "R012" "a list that is tested, but that nothing fills"
        "The rule waits for addresses that never come: often the name is misspelt in one of two places. Lists of IPv4 and of IPv6 are apart, even when they have the same name."
        Some(r#"/ip firewall filter
add chain=input action=add-src-to-address-list address-list=secure address-list-timeout=30s protocol=udp dst-port=888
add chain=input action=accept src-address-list=secured protocol=tcp dst-port=22
"#);
    ScriptLimit "R013" "more of something than is read of a script"
        "Everything is bounded: a script has at most 524,288 commands and items, a command 1,024 arguments, brackets go 48 deep, searches look at 100 million items in all, and of each kind of finding 500 are told."
        None;
    PositionByNumber "R014" "a place that is named by a number"
        "Items have numbers only after a `print`, until the next one in the same session. In a script that does not print, a router refuses `place-before=2`; pasted into a session, it means whichever rule the last `print` showed there. Here the rules that are not in the script are taken to stay in their places, and those of the script to go between them by their numbers. Name the rule by its comment: `place-before=[find comment=\"drop all\"]`. Where every `add` of the menu has a number, `--fix` writes the rules down in their order without numbers: they then stand behind those that the router has already."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-list=secured place-before=2
"#);
    DuplicateAttribute "R015" "an attribute that is given twice"
        "An item has one value of each attribute. Of two conditions on the same attribute only one is left, here the last, and the rule matches more than it seems to. To ask for two lists at once, jump to a chain of your own with one of them, and ask for the other there."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-list=stage2 src-address-list=!banned
"#);
    NoSuchItem "R016" "an item that is not there"
        "A command names an item by number, id, name, comment or a search, and the script has made none like it. A router refuses the command, and the script stops there with what it did so far. A search that finds nothing is refused only as a place; otherwise there is just nothing to do. As the script may be meant for a router that has the item, `place-before=[find ...]` and `place-before=([find ...]->0)` are warnings, told once, and the rule goes where `add` puts it, which is last."
        Some(r#"/ip firewall filter
add chain=input action=accept place-before=[find comment="drop all"]
add chain=input action=drop comment="drop-all"
"#);
    AlreadyThere "R017" "an item that is there already"
        "An address is on a list once, and a list of interfaces has its name to itself. A router refuses the second one, and the script stops there with what it did so far. Where it may be there, write `:do { add ... } on-error={}`."
        Some(r#"/ip firewall address-list
add list=admins address=192.0.2.7
add list=admins address=192.0.2.7/32 comment=mine
"#);
    ListNeverTested "R018" "a list that is filled, but that nothing tests"
        "Addresses are collected for nothing. Often the name is misspelt in one of two places, or the rule that was to use the list is missing."
        Some(r#"/ip firewall filter
add chain=input action=add-src-to-address-list address-list=scanners protocol=tcp dst-port=23
"#);
    InterfaceForList "R019" "an interface where a list of interfaces is meant"
        "`in-interface` names one interface, `in-interface-list` a list of them. A router refuses a rule with an interface that it does not have: `input does not match any value of interface`."
        Some(r#"/interface list add name=WAN
/ip firewall filter
add chain=input action=drop in-interface=WAN
"#);
    PortWithoutProtocol "R020" "a port without a protocol"
        "Only some protocols have ports, so a router refuses the rule unless `protocol` says which one is meant."
        Some(r#"/ip firewall filter
add chain=input action=accept dst-port=22
"#);
    TwoLists "R021" "several lists in one matcher"
        "A matcher takes one list. `src-address-list=a,b` is a list whose name is `a,b`, which nobody fills. To ask for two, jump to a chain that asks for the second."
        Some(r#"/ip firewall address-list
add list=admins address=192.0.2.7
/ip firewall filter
add chain=input action=accept src-address-list=admins,friends
"#);
    NeverReached "R022" "a rule that is never reached"
        "A rule before it decides every packet that it could match. Order is part of the meaning: a knock after the final drop is never seen, and an accept after it lets nobody in."
        Some(r#"/ip firewall filter
add chain=input action=drop in-interface-list=WAN
add chain=input action=accept in-interface-list=WAN protocol=tcp dst-port=22
"#);
    NothingDrops "R023" "nothing is closed"
        "A packet that no rule of `input` decides is accepted. Without a drop after the accepts everything is open already, knock or no knock. Where there is a door and all of the script is followed, `--fix` adds a drop at the end for what comes from where the door is and, if there is none, an accept for the connections that stand before everything else, and no more than these two rules."
        Some(r#"/ip firewall filter
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=udp dst-port=888 in-interface-list=WAN
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
"#);
    WideAccept "R024" "a grant that opens everything"
        "Whoever is on the list may reach every port of the router, and so may everybody who shares the address. Name the ports that are meant."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-list=open
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=udp dst-port=888
add chain=input action=drop
"#);
    KeptForEver "R025" "a stage without a timeout"
        "Without `address-list-timeout` an address stays on the list until the router restarts, so the next knock may come any time: a slow scan makes all of them some day."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=udp dst-port=777 src-address-list=one
add chain=input action=add-src-to-address-list address-list=one protocol=udp dst-port=888
add chain=input action=drop
"#);
    TrapFirst "R026" "a ban that comes before connections and grants"
        "Anybody can send one packet to the trap in the name of somebody else. If the ban stands before the rules that let established connections and granted addresses through, that packet throws out who is in. Let those rules come first."
        Some(r#"/ip firewall filter
add chain=input action=drop src-address-list=blacklist
add chain=input action=accept connection-state=established,related
add chain=input action=add-src-to-address-list address-list=blacklist address-list-timeout=10m protocol=udp dst-port=666
"#);
    BanRenews "R027" "a ban that renews itself"
        "Each packet of a banned address that matches the rule again starts the timeout anew. A client that keeps trying is never let in again; so is the owner, if somebody sends packets in his name. Leave out who is on the list already: `src-address-list=!blacklist`."
        Some(r#"/ip firewall filter
add chain=input action=add-src-to-address-list address-list=blacklist address-list-timeout=10m protocol=udp dst-port=666
add chain=input action=drop src-address-list=blacklist
"#);
    StageNotReached "R028" "a stage that cannot be reached"
        "What this stage asks for comes from a stage that itself can never be made, or that only this one leads to. So this door never opens."
        Some(r#"/ip firewall filter
add chain=input action=add-src-to-address-list address-list=one address-list-timeout=10s protocol=udp dst-port=777 src-address-list=two
add chain=input action=add-src-to-address-list address-list=two address-list-timeout=10s protocol=udp dst-port=888 src-address-list=one
"#);
    TwoStages "R029" "one packet that makes two stages"
        "What a rule adds is seen by the rules after it, for the same packet. If a stage and the one after it match the same packets, in this order, one packet makes both. Let the last stage stand first."
        Some(r#"/ip firewall filter
add chain=input action=add-src-to-address-list address-list=one address-list-timeout=10s protocol=udp dst-port=777
add chain=input action=add-src-to-address-list address-list=two address-list-timeout=10s protocol=udp dst-port=777 src-address-list=one
"#);
    Unsayable "R030" "something that the target has no words for"
        "A condition is never lost on the way to a target, for a rule without it may let everybody in. So a rule with a matcher that the target does not have, or that is not modelled, is refused by name. Take the rule out, disable it, or run it where it can be said."
        None;
    Loose "R031" "a TCP knock that asks neither for state nor for flags"
        "Any TCP packet to the port counts, also one that belongs to no connection: an ACK, a RST, an answer to a forged packet. Ask for `connection-state=new tcp-flags=syn,!fin,!rst,!ack`."
        Some(r#"/ip firewall filter
add chain=input action=add-src-to-address-list address-list=one address-list-timeout=10s protocol=tcp dst-port=777
"#);
    OnlyIpv4 "R032" "IPv4 is guarded, IPv6 is not"
        "Rules of `/ip firewall` do not touch IPv6. A router that has IPv6 addresses is open there, unless rules of `/ipv6 firewall` close it."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=udp dst-port=888
add chain=input action=drop
"#);
    DisabledInTheWay "R033" "a disabled rule that others wait for"
        "A list that only a disabled rule fills stays empty, and a drop that is disabled drops nothing."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=udp dst-port=888 disabled=yes
"#);
    JumpNowhere "R034" "a jump to a chain without rules"
        "The packet comes back at once, as if the rule were not there. Often the name is misspelt."
        Some(r#"/ip firewall filter
add chain=input action=jump jump-target=knok
add chain=knock action=drop
"#);
    JumpLoop "R035" "chains that jump in a circle, or too deep"
        "A packet would never come out of a circle. Jumps may be nested eight deep here."
        Some(r#"/ip firewall filter
add chain=input action=jump jump-target=one
add chain=one action=jump jump-target=two
add chain=two action=jump jump-target=one
"#);
    ManagementOpen "R036" "management that strangers can reach"
        "WinBox, WebFig, the API, telnet, ftp and ssh of a router have had holes that needed no password. They belong behind a door, or to the inside alone."
        Some(r#"/ip firewall filter
add chain=input action=accept protocol=tcp dst-port=8291
add chain=input action=drop in-interface-list=WAN
"#);
    Secret "R037" "a secret in the script"
        "Passwords and keys in a file that is mailed and copied are known to others soon. It is not shown here. Up to version 6 `export hide-sensitive` leaves them out; since version 7 `export` does so unless it is told `show-sensitive`."
        Some(r#"/ppp secret
add name=ann password=swordfish service=l2tp
"#);
    Ascending "R038" "a sequence in ascending order"
        "Scanners go up the ports. One such scan makes all the knocks in their order, and opens the door."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=udp dst-port=888 src-address-list=one
add chain=input action=add-src-to-address-list address-list=one address-list-timeout=10s protocol=udp dst-port=777
"#);
    NotModelled "R039" "a matcher or action that is not played"
        "It is read, kept and printed back, but the simulator does not know when it holds, and takes it as never holding. A target that does not have it refuses the rule by name."
        Some(r#"/ip firewall filter
add chain=input action=drop protocol=tcp psd=21,3s,3,1
"#);
    BadValue "R040" "a value that its attribute cannot have"
        "A router refuses the command, and an import stops there. What it did so far stays done."
        Some(r#"/ip firewall filter
add chain=input action=accept protocol=tcp dst-port=80-22
"#);
    Assumed "R041" "an interface or a list of them that the script does not show"
        "Which interfaces are in a list is said in `/interface list member`. Where that is missing, the list is played as one interface of the same name. To put rules in force on this machine, say which of its interfaces are meant: `--interface WAN=eth0`."
        Some(r#"/ip firewall filter
add chain=input action=drop in-interface-list=WAN
"#);
    ListEntry "R042" "a list entry that is not played"
        "Names are looked up by the router, and entries with a timeout are gone after it, so what is on the list is not known here. What does not parse as an address is taken for a name: `203.0.113.1-254` matches nothing."
        Some(r#"/ip firewall address-list
add list=friends address=home.example.org
"#);
    GrantOutlives "R043" "a grant much longer than it takes to connect"
        "While it lasts, everybody who shares the address can connect. Connections that stand go on after it ends, if a rule accepts `connection-state=established`. So 30s is enough."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30m protocol=udp dst-port=888
"#);
    WayAround "A001" "a way around a door"
        "The service behind the door answers strangers in another way: over IPv6 where the rules are for IPv4, through the forward chain, or by an interface that no rule names. The door keeps nobody out then. Give the other way the same rules, or drop everything there."
        Some(r#"/ip firewall filter
add chain=input action=accept connection-state=established,related
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=tcp dst-port=888 src-address-list=b
add chain=input action=add-src-to-address-list address-list=b address-list-timeout=30s protocol=tcp dst-port=333
add chain=input action=drop
"#);
    NeverOpens "A002" "a door that never opens"
        "Every state that a source can be in was looked at, and the service is refused in all of them. Often a rule that drops stands before the one that accepts, or a stage asks for a list that nothing fills."
        Some(r#"/ip firewall filter
add chain=input action=drop protocol=tcp dst-port=22
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=tcp dst-port=888 src-address-list=b
add chain=input action=add-src-to-address-list address-list=b address-list-timeout=30s protocol=tcp dst-port=333
add chain=input action=drop
/ipv6 firewall filter
add chain=input action=drop
"#);
    OrderedScan "A003" "a door that an ordered scan opens"
        "The knocks lie in ascending or descending order, and wrong knocks between them cost nothing. So a scan of the ports in that order makes all of them, and opens the door, whoever runs it. Another order, or `wrong = \"reset\"`, ends that."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["333/tcp", "777/tcp", "888/tcp"]
opens = ["22/tcp"]
wrong = "ignore"
"#);
    LuckyScan "A004" "a door that a scan may open by luck"
        "A scan in random order makes the knocks in the right order now and then, and wrong knocks between them cost nothing. With k knocks and t traps that is t!/(k+t)!, if no window limits it: 1 in 6 for three knocks. Each trap makes it rarer; `reset` makes it next to impossible."
        Some(r#"outside = ["eth0"]

[traps]
ports = ["666/tcp", "31337/tcp"]
strikes = 1

[door.ssh]
knock = ["777/tcp", "333/tcp", "888/tcp"]
opens = ["22/tcp"]
wrong = "ignore"
"#);
    ShortCut "A005" "a door that opens to fewer packets than it has knocks"
        "Playing packets found a shorter way in than the sequence. The packets are told: see which rule takes each of them up."
        Some(r#"/ip firewall filter
add chain=input action=accept connection-state=established,related
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=a address-list-timeout=30s protocol=tcp dst-port=333
add chain=input action=add-src-to-address-list address-list=b address-list-timeout=30s protocol=tcp dst-port=777 src-address-list=a
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=tcp dst-port=888 src-address-list=b
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=tcp dst-port=22 src-address-list=a
add chain=input action=drop
/ipv6 firewall filter
add chain=input action=drop
"#);
    CheapSweeps "A006" "a door that a few sweeps open for certain"
        "Where wrong knocks cost nothing, each sweep over all ports makes at least one step: k knocks fall to k sweeps, 196,605 packets for three, which is minutes. With `reset` it takes about n^k packets."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["777/tcp", "333/tcp", "888/tcp"]
opens = ["22/tcp"]
wrong = "ignore"
"#);
    OwnerCut "A007" "forged packets that cut the owner off"
        "A packet's source address can be forged. Packets in the owner's name get the owner banned, and the ban comes before connections or grants: who is inside is thrown out. Accept established connections first, and granted sources before bans."
        Some(r#"/ip firewall filter
add chain=input action=drop src-address-list=banned
add chain=input action=accept connection-state=established,related
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=banned address-list-timeout=10m protocol=tcp dst-port=666
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=tcp dst-port=888 src-address-list=b
add chain=input action=add-src-to-address-list address-list=b address-list-timeout=30s protocol=tcp dst-port=333
add chain=input action=drop
/ipv6 firewall filter
add chain=input action=drop
"#);
    OwnerBanned "A008" "forged packets that keep the owner from knocking"
        "Packets in the owner's name touch traps, and the owner is banned. Connections and grants are safe, but the next knock does not open until the ban ends. More strikes make it dearer, `exempt` spares addresses that are known, and a short ban ends sooner."
        Some(r#"outside = ["eth0"]

[traps]
ports = ["666/tcp", "31337/tcp"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    StrayPacket "A009" "a stray packet that takes back the knocks"
        "Another packet from the same address between two knocks loses the progress. Others behind the same NAT send such packets without meaning to. The owner knocks again; quick knocks leave little time for it. That is the price of `reset`."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    EasilyFilled "A010" "a list that few packets fill"
        "Every packet from a forged address takes an entry until it expires. While the list is full, nobody new gets on it. Make it larger (`sources`), or let entries expire sooner."
        Some(r#"outside = ["eth0"]
sources = 1024

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    OpensAnother "A011" "a door that opens another door's service"
        "Who knocks at this door gets in at the other's service too: one sequence is contained in the other, or both lead to one grant."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]

[door.vpn]
knock = ["21007/tcp", "7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["1194/udp"]
"#);
    MoreThanServices "A012" "a grant that opens more than the door's services"
        "With the grant, packets are let in that the door does not speak of. A grant is given on plain knocks, so it should open one service and not the whole gateway."
        Some(r#"/ip firewall filter
add chain=input action=accept connection-state=established,related
add chain=input action=accept src-address-list=open
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=tcp dst-port=888 src-address-list=b
add chain=input action=add-src-to-address-list address-list=b address-list-timeout=30s protocol=tcp dst-port=333
add chain=input action=drop
/ipv6 firewall filter
add chain=input action=drop
"#);
    OpenToAll "A013" "ports that are open to everybody by no rule"
        "Packets from outside come to the end of the rules and are let in there. A door among open ports hides nothing. End the chain with a rule that drops the rest."
        Some(r#"/ip firewall filter
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=drop protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=tcp dst-port=888 src-address-list=b
add chain=input action=add-src-to-address-list address-list=b address-list-timeout=30s protocol=tcp dst-port=333
"#);
    EphemeralKnock "A014" "a knock in the range of ephemeral ports"
        "Linux and most others take the source ports of their own connections from 32768 up. Late answers to them, and whatever answers there, look like knocks or wrong ones. Take a port from 1024 to 32767."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "44877/tcp", "11090/tcp"]
opens = ["22/tcp"]
"#);
    ScannedKnocks "A015" "knocks that are all among the ports that scanners try first"
        "nmap's default scan has a thousand ports. If all knocks are among them, a scanner sends all of them, and an attacker who tries sequences has a thousand ports to try and not 65,535."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["3389/tcp", "1433/tcp", "8080/tcp"]
opens = ["22/tcp"]
"#);
    NoPacketComes "A016" "a rule that no packet comes to"
        "A rule before it takes every packet that it is for. What it was meant to do is not done."
        Some(r#"/ip firewall filter
add chain=input action=drop
add chain=input action=accept protocol=tcp dst-port=443
/ipv6 firewall filter
add chain=input action=drop
"#);
    OtherThanItsShape "A017" "a door whose rules do more or less than its sequence says"
        "The figures are for the sequence that was recognised in the rules, as `knockgate import` would write it. The rules differ from that as is told; the way in and the lock-outs were found by playing packets through the rules themselves."
        Some(r#"/ip firewall filter
add chain=input action=accept connection-state=established,related
add chain=input action=accept src-address-list=open protocol=tcp dst-port=22
add chain=input action=add-src-to-address-list address-list=open address-list-timeout=30s protocol=tcp dst-port=888 src-address-list=b
add chain=input action=add-src-to-address-list address-list=b address-list-timeout=20m protocol=tcp dst-port=333
add chain=input action=drop
"#);
    ShortCooldown "A018" "a cooldown that is shorter than a window"
        "A wrong knock makes a source wait, but the knocks it has made are remembered for longer than that. So someone who searches slowly loses nothing: after each wait the search goes on from the same stage. Let the cooldown be at least as long as the longest window."
        Some(r#"outside = ["eth0"]

[door.ssh]
knock = ["7313/tcp", "24877/tcp", "11090/tcp"]
opens = ["22/tcp"]
wrong = "cooldown 1s"
"#);
    NotAudited "A019" "a rule that is not played"
        "The rule asks for something that the simulator has no model of, and so does as if it never held. What the rule lets in is not among what is open, and what it drops is not missing there. Look at it yourself."
        Some(r#"/ip firewall filter
add chain=input action=accept protocol=tcp dst-port=22 limit=5,10:packet
add chain=input action=drop
/ipv6 firewall filter
add chain=input action=drop
"#);
    BadTrace "T001" "a line of a trace that cannot be read"
        "A trace has a packet a line: `TIME SOURCE KNOCK [words]`, for example `0s 198.51.100.7 333/tcp` or `2s 2001:db8::7 22/tcp ack`. Times never go back. Words are TCP flags (without any: `syn`), `in IFACE`, `to ADDRESS`, `size N`, `ttl N`, `frag` and `ext`; `#` begins a comment."
        None;
    NoFile "F001" "a file that is not there"
        "The path is wrong, or relative to another folder."
        None;
    Directory "F002" "a folder where a file is needed"
        "Name the file inside it."
        None;
    Unreadable "F003" "a file that cannot be read"
        "The system refused it; the message carries its reason. Policies hold secrets, so they are often readable by root alone."
        None;
    TooLarge "F004" "a file that is too large"
        "A policy has at most 1 MiB, a trace or a RouterOS script 64 MiB. Nothing was read."
        None;
    NotUtf8 "F005" "a file that is not UTF-8 text"
        "It may be in another encoding, compressed, or no text at all. The message says where the first odd byte stands."
        None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Diagnostic;
    use crate::frontend;
    use crate::frontend::rsc;

    #[test]
    fn every_code_finds_its_own_entry() {
        for entry in CATALOGUE {
            assert_eq!(Entry::of(entry.code), entry);
            assert_eq!(entry.code.as_str().parse(), Ok(entry.code));
        }
        assert_eq!("P999".parse::<Code>(), Err(UnknownCode));
    }

    #[test]
    fn every_example_has_the_finding_it_is_an_example_of() {
        for entry in CATALOGUE {
            // `audit::tests` has those of audits.
            let Some(text) = entry.wrong.filter(|_| !entry.is_of_audits()) else { continue };
            let codes = |findings: &[Diagnostic]| findings.iter().map(|f| f.code).collect::<Vec<_>>();
            if entry.is_of_scripts() {
                // A few lines are no whole firewall, so there is more to say of them.
                let reading = rsc::read(text, &rsc::translate::Options::default());
                assert!(codes(&reading.findings).contains(&entry.code), "{text}");
            } else {
                assert_eq!(codes(&frontend::toml::parse(text).1), [entry.code], "{text}");
            }
        }
    }
}
