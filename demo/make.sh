#!/usr/bin/env bash
# Makes the demo capture: a small office's day in a few minutes, recorded at the office's router.
#
# Real programs talk to each other in network namespaces named ftdemo-*, which have no way out to any
# real network; see README.md for who is who. Needs root and the Debian packages below. Everything it
# starts and creates is gone when it ends, however it ends.
#
# Usage: demo/make.sh [OUT]      OUT: demo/office.pcap.zst unless given; its attacks go beside it
#        SECONDS_OF_DAY=210      how long the day lasts
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
OUT=$(realpath -m "${1:-$HERE/office.pcap.zst}")
ATTACKS="${OUT%.pcap.zst}.attacks.csv"
DAY=${SECONDS_OF_DAY:-210}
PACKAGES="iproute2 nftables ethtool tcpdump zstd openssl curl nginx-light dnsmasq-base busybox
  bind9-dnsutils openssh-server openssh-client postfix swaks dovecot-imapd vsftpd samba smbclient
  mosquitto mosquitto-clients chrony snmpd snmp avahi-daemon nmap ncat hping3 hydra traceroute
  iputils-ping python3-venv"
NETS="rt line air isp inet srv prn sens desk1 desk2 note1 rogue"

# shellcheck source=demo/servers.sh
source "$HERE/servers.sh"
# shellcheck source=demo/day.sh
source "$HERE/day.sh"

main() {
  check_machine
  WORK=$(mktemp -d /tmp/ftdemo.XXXXXX)
  chmod 755 "$WORK"
  trap clean_up EXIT
  trap 'exit 130' INT TERM
  clean_up_nets # of a run that was killed
  say "python environment for QUIC" && make_python
  say "keys and pages" && make_keys && make_pages
  say "network" && make_nets
  say "servers" && start_servers
  say "recording $DAY seconds" && record
  say "packing" && pack
}

check_machine() {
  [ "$(id -u)" = 0 ] || { echo "demo/make.sh: namespaces need root; run with sudo" >&2; exit 3; }
  local tool missing=""
  for tool in ip nft ethtool tcpdump zstd openssl curl nginx dnsmasq busybox dig sshd ssh postfix swaks \
    dovecot vsftpd smbd nmbd smbclient mosquitto mosquitto_pub chronyd snmpd snmpget avahi-daemon \
    nmap ncat hping3 hydra traceroute ping python3; do
    command -v "$tool" >/dev/null || missing+=" $tool"
  done
  [ -z "$missing" ] && return
  echo "demo/make.sh: not found:$missing" >&2
  echo "demo/make.sh: apt-get install --no-install-recommends" $PACKAGES >&2
  exit 3
}

make_python() {
  python3 -m venv "$WORK/venv"
  "$WORK/venv/bin/pip" install --quiet --disable-pip-version-check aioquic==1.7.2
}

# ---- network ------------------------------------------------------------------------------------
#
#   desk1 desk2 sens ─┐                        10.20.0.0/16, 2001:db8:20::/64
#   note1 ──(air)─────┤ lan0                wan0                     net0
#   srv prn rogue ────┴─ rt ── 192.0.2.2/30 ──(line)── isp ───────── inet  198.51.100.0/24
#                                                                          203.0.113.0/24, 2001:db8:100::/64
#   air: the radio link of a notebook, lossy; line: the way to the provider. Both are line.py.

make_nets() {
  local net
  for net in $NETS; do
    mkdir -p "/etc/netns/ftdemo-$net" # what `ip netns exec` lays over /etc
    echo "127.0.0.1 localhost" >"/etc/netns/ftdemo-$net/hosts"
    echo "hosts: files dns" >"/etc/netns/ftdemo-$net/nsswitch.conf"
    printf 'search office.example\nnameserver 10.20.0.1\n' >"/etc/netns/ftdemo-$net/resolv.conf"
    ip netns add "ftdemo-$net"
    ip -n "ftdemo-$net" link set lo up
  done
  echo "nameserver 198.51.100.53" >/etc/netns/ftdemo-inet/resolv.conf

  ip -n ftdemo-rt link add lan0 address 02:20:00:00:00:01 type bridge
  ip -n ftdemo-rt link set lan0 up
  # Else the firewall puts fragments together before the recording sees them.
  ip netns exec ftdemo-rt sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 2>/dev/null || true
  local number=10
  for net in srv prn sens desk1 desk2 rogue; do
    join "$net" eth0 "02:20:00:00:00:$number" rt "p-$net"
    ip -n ftdemo-rt link set "p-$net" master lan0
    number=$((number + 1))
  done
  join note1 eth0 02:20:00:00:00:20 air note
  join air roof 02:20:00:00:00:21 rt p-note1
  ip -n ftdemo-rt link set p-note1 master lan0
  join rt wan0 02:20:00:00:01:02 line office
  join line far 02:20:00:00:01:03 isp office0
  join isp net0 02:20:00:00:01:05 inet net0
  quiet_offloads rt lan0

  ip -n ftdemo-rt addr add 10.20.0.1/16 dev lan0
  ip -n ftdemo-rt addr add 2001:db8:20::1/64 dev lan0 nodad
  ip -n ftdemo-rt addr add 192.0.2.2/30 dev wan0
  ip -n ftdemo-rt addr add 2001:db8:1::2/64 dev wan0 nodad
  ip -n ftdemo-isp addr add 192.0.2.1/30 dev office0
  ip -n ftdemo-isp addr add 2001:db8:1::1/64 dev office0 nodad
  ip -n ftdemo-isp addr add 192.0.2.5/30 dev net0
  ip -n ftdemo-isp addr add 2001:db8:2::1/64 dev net0 nodad
  ip -n ftdemo-inet addr add 192.0.2.6/30 dev net0
  ip -n ftdemo-inet addr add 2001:db8:2::2/64 dev net0 nodad
  local address
  for address in 198.51.100.{10,20,53,66,80,123} 203.0.113.{25,66,77}; do
    ip -n ftdemo-inet addr add "$address/32" dev lo
  done
  for address in 10 20 53 80; do ip -n ftdemo-inet addr add "2001:db8:100::$address/128" dev lo; done

  ip -n ftdemo-srv addr add 10.20.0.10/16 dev eth0
  ip -n ftdemo-srv addr add 2001:db8:20::10/64 dev eth0 nodad
  ip -n ftdemo-prn addr add 10.20.0.30/16 dev eth0
  ip -n ftdemo-rogue addr add 10.20.0.66/16 dev eth0
  for net in srv prn rogue; do ip -n "ftdemo-$net" route add default via 10.20.0.1; done

  local router
  for router in rt isp; do
    ip netns exec "ftdemo-$router" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  done
  ip -n ftdemo-rt route add default via 192.0.2.1
  ip -n ftdemo-rt -6 route add default via 2001:db8:1::1
  ip -n ftdemo-isp route add 198.51.100.0/24 via 192.0.2.6
  ip -n ftdemo-isp route add 203.0.113.0/24 via 192.0.2.6
  ip -n ftdemo-isp -6 route add 2001:db8:100::/64 via 2001:db8:2::2
  ip -n ftdemo-isp -6 route add 2001:db8:20::/64 via 2001:db8:1::2
  ip -n ftdemo-inet route add default via 192.0.2.5
  ip -n ftdemo-inet -6 route add default via 2001:db8:2::1
  in_net rt nft -f - <<'RULES'
    table ip office {
      chain published { type nat hook prerouting priority dstnat;
        iifname "wan0" tcp dport { 22, 25, 80, 443 } dnat to 10.20.0.10; }
      chain outbound { type nat hook postrouting priority srcnat; oifname "wan0" masquerade; }
    }
RULES
  in_net line python3 "$HERE/line.py" office far --delay 9 --jitter 3 --loss 0.15 --reorder 0.1 &
  in_net air python3 "$HERE/line.py" note roof --delay 1.5 --jitter 2.5 --loss 0.8 --seed 2 &
  disown -a
}

# join NET NAME MAC NET NAME: a cable between two namespaces, with frames no larger than on a real one.
join() {
  ip link add "$2" netns "ftdemo-$1" address "$3" type veth peer name "$5" netns "ftdemo-$4"
  quiet_offloads "$1" "$2"
  quiet_offloads "$4" "$5"
  case $4 in line | air) ip netns exec "ftdemo-$4" sysctl -qw "net.ipv6.conf.$5.disable_ipv6=1" ;; esac
  case $1 in line | air) ip netns exec "ftdemo-$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1" ;; esac
  case $5 in p-*) ip netns exec "ftdemo-$4" sysctl -qw "net.ipv6.conf.$5.disable_ipv6=1" ;; esac
  ip -n "ftdemo-$1" link set "$2" up
  ip -n "ftdemo-$4" link set "$5" up
}

quiet_offloads() {
  ip netns exec "ftdemo-$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null 2>&1 || true
}

# in_net NET COMMAND...: runs it as a machine of that name, with a /run of its own.
in_net() {
  local net=$1
  shift
  ip netns exec "ftdemo-$net" unshare --uts --mount sh -c '
    name=$1; shift
    hostname "$name"
    mount -t tmpfs none /run && mkdir -p /run/sshd /run/vsftpd/empty /run/avahi-daemon /run/samba
    exec "$@"' in_net "$net" "$@"
}

# ---- recording ----------------------------------------------------------------------------------

record() {
  ip netns exec ftdemo-rt tcpdump -i lan0 -s 0 -B 16384 -Z root -w "$WORK/office.pcap" 2>"$WORK/tcpdump.log" &
  local recorder=$!
  until [ -s "$WORK/office.pcap" ]; do sleep 0.1; done
  echo "attack,start,end,source,target" >"$WORK/attacks.csv"
  live_a_day
  sleep 3
  kill -TERM "$recorder" && wait "$recorder" 2>/dev/null || true
  grep -q '^0 packets dropped by kernel' "$WORK/tcpdump.log" || cat "$WORK/tcpdump.log" >&2
}

pack() {
  zstd -q -19 --force "$WORK/office.pcap" -o "$OUT"
  { head -1 "$WORK/attacks.csv"; tail -n +2 "$WORK/attacks.csv" | sort -t, -k2n; } >"$ATTACKS"
  echo "$OUT: $(stat -c %s "$OUT") bytes packed, $(stat -c %s "$WORK/office.pcap") bytes unpacked"
}

say() { echo "== $*"; }

clean_up() {
  trap - EXIT INT TERM
  clean_up_nets
  [ -n "${KEEP_WORK:-}" ] && { say "kept $WORK"; return; }
  rm -rf "$WORK"
}

clean_up_nets() {
  local net pids
  for net in $NETS; do
    [ -e "/run/netns/ftdemo-$net" ] || continue
    pids=$(ip netns pids "ftdemo-$net")
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
  done
  sleep 0.3
  for net in $NETS; do
    if [ -e "/run/netns/ftdemo-$net" ]; then
      pids=$(ip netns pids "ftdemo-$net")
      [ -z "$pids" ] || kill -9 $pids 2>/dev/null || true
      ip netns del "ftdemo-$net"
    fi
    rm -rf "/etc/netns/ftdemo-$net"
  done
  rmdir --ignore-fail-on-non-empty /etc/netns 2>/dev/null || true
}

main
