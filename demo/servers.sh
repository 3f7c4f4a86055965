# Servers of the demo's office and of its internet; sourced by make.sh.

# A certificate authority, and one certificate for each side.
make_keys() {
  local keys=$WORK/keys
  mkdir "$keys"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/O=Demo Authority/CN=Demo Root CA" \
    -keyout "$keys/ca.key" -out "$keys/ca.pem" 2>/dev/null
  sign_key office "intranet.office.example" "intranet.office.example mail.office.example www.office.example"
  sign_key inet "www.news.example" "www.news.example cdn.news.example shop.example api.weather.example update.example video.example mx.partner.example"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=localhost" \
    -keyout "$keys/sync.key" -out "$keys/sync.pem" 2>/dev/null # of the beacon's server: signed by nobody
  ssh-keygen -q -t ed25519 -N "" -C "" -f "$keys/host" && ssh-keygen -q -t ed25519 -N "" -C "" -f "$keys/user"
  cp "$keys/user.pub" "$keys/authorized_keys"
  chmod -R a+rX "$keys" && chmod 600 "$keys/host" "$keys/user"
}

# sign_key FILE NAME "NAMES..."
sign_key() {
  local keys=$WORK/keys names=""
  for name in $3; do names+="${names:+,}DNS:$name"; done
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/O=Demo/CN=$2" \
    -keyout "$keys/$1.key" -out "$keys/$1.csr" 2>/dev/null
  openssl x509 -req -in "$keys/$1.csr" -CA "$keys/ca.pem" -CAkey "$keys/ca.key" -CAcreateserial -days 365 \
    -extfile <(echo "subjectAltName=$names") -out "$keys/$1.crt" 2>/dev/null
  cat "$keys/$1.crt" "$keys/ca.pem" >"$keys/$1.pem"
}

# Pages that squeeze well as plain text, and a few files that do not.
make_pages() {
  local site=$WORK/site page line
  mkdir -p "$site/img" "$WORK/share" "$WORK/ftp/pub" "$WORK/tftp" "$WORK/mail"
  for page in index about prices orders news weather; do
    {
      echo "<!doctype html><title>$page</title><link rel=stylesheet href=/style.css><h1>$page</h1>"
      for line in $(seq 60); do echo "<p>Paragraph $line of the page $page of an office that does not exist.</p>"; done
    } >"$site/$page.html"
  done
  echo 'body { font: 16px sans-serif; margin: 2em }' >"$site/style.css"
  echo '{"place":"office","celsius":18.5,"wind":3}' >"$site/now.json"
  for page in 1 2 3 4; do head -c 24000 /dev/urandom >"$site/img/$page.png"; done
  head -c 300000 /dev/urandom >"$site/update.bin"
  head -c 180000 /dev/urandom >"$site/clip.mp4"
  seq -f "item %g,ordered,10" 4000 >"$WORK/share/orders.csv"
  head -c 120000 /dev/urandom >"$WORK/share/plan.pdf"
  seq 3000 >"$WORK/ftp/pub/stock.txt"
  head -c 5000 /dev/urandom >"$WORK/tftp/phone.cfg"
  chmod -R a+rX "$WORK/site" "$WORK/ftp" "$WORK/tftp"
  chmod -R a+rwX "$WORK/share" "$WORK/mail"
}

start_servers() {
  start_router && start_internet && start_office && start_printer
  disown -a # they end with their namespace
  sleep 3
}

start_router() {
  serve rt dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-hosts --no-resolv \
    --user=root --pid-file= --log-facility="$WORK/dnsmasq-rt.log" --dhcp-leasefile="$WORK/leases" \
    --interface=lan0 --bind-interfaces --server=198.51.100.53 --local=/office.example/ --domain=office.example \
    --dhcp-range=10.20.10.100,10.20.10.199,255.255.0.0,10m --dhcp-range=::,constructor:lan0,ra-stateless,10m \
    --enable-ra --dhcp-option=option:ntp-server,198.51.100.123 --dhcp-authoritative --no-ping \
    --enable-tftp --tftp-root="$WORK/tftp" \
    --host-record=intranet.office.example,mail.office.example,www.office.example,files.office.example,10.20.0.10,2001:db8:20::10 \
    --host-record=printer.office.example,10.20.0.30 --mx-host=office.example,mail.office.example,10
}

start_internet() {
  local records=() name
  for name in www.news.example shop.example api.weather.example; do
    records+=("--host-record=$name,198.51.100.10,2001:db8:100::10")
  done
  serve inet dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-hosts --no-resolv --user=root \
    --pid-file= --log-facility="$WORK/dnsmasq-inet.log" --listen-address=198.51.100.53 --bind-interfaces \
    --local=/example/ --cname=cdn.news.example,edge.example --host-record=edge.example,198.51.100.20,2001:db8:100::20 \
    "${records[@]}" --host-record=update.example,198.51.100.20 --host-record=video.example,198.51.100.80,2001:db8:100::80 \
    --host-record=time.example,198.51.100.123 --host-record=cdn-sync.example,198.51.100.66 \
    --host-record=mx.partner.example,203.0.113.25 --mx-host=partner.example,mx.partner.example,10 \
    --txt-record=partner.example,"v=spf1 mx -all" --txt-record=t.tunnel.example,"ok" --local-ttl=60

  cat >"$WORK/nginx-inet.conf" <<CONF
    pid $WORK/nginx-inet.pid; error_log $WORK/nginx-inet.log; worker_processes 1;
    events {}
    http { include /etc/nginx/mime.types; access_log off; root $WORK/site; gzip on; gzip_types text/css;
      client_max_body_size 4m; client_body_temp_path $WORK/nginx-inet-body;
      server { listen 198.51.100.10:80; listen [2001:db8:100::10]:80; listen 198.51.100.20:80; listen [2001:db8:100::20]:80; location /old { return 301 https://\$host/; } }
      server { listen 198.51.100.10:443 ssl http2; listen [2001:db8:100::10]:443 ssl http2;
               listen 198.51.100.20:443 ssl http2; listen [2001:db8:100::20]:443 ssl http2;
               ssl_certificate $WORK/keys/inet.pem; ssl_certificate_key $WORK/keys/inet.key; }
      server { listen 198.51.100.66:443 ssl; listen 198.51.100.66:80; ssl_certificate $WORK/keys/sync.pem;
               ssl_certificate_key $WORK/keys/sync.key; location / { return 200 "idle\n"; } location /put { proxy_pass http://198.51.100.66:80/; } }
    }
CONF
  serve inet nginx nginx -c "$WORK/nginx-inet.conf" -g "daemon off;"
  for address in 198.51.100.80 2001:db8:100::80; do
    serve inet "quic-$address" "$WORK/venv/bin/python" "$HERE/quic.py" serve "$address" 443 \
      "$WORK/keys/inet.pem" "$WORK/keys/inet.key" "$WORK/site"
  done
  printf 'local stratum 2\nallow all\nbindaddress 198.51.100.123\ncmdport 0\nbindcmdaddress /\npidfile %s\n' \
    "$WORK/chronyd.pid" >"$WORK/chrony.conf"
  serve inet chronyd chronyd -x -d -f "$WORK/chrony.conf" -u root
  start_postfix inet mx.partner.example partner.example 203.0.113.25
}

start_office() {
  cat >"$WORK/nginx-srv.conf" <<CONF
    pid $WORK/nginx-srv.pid; error_log $WORK/nginx-srv.log; worker_processes 1;
    events {}
    http { include /etc/nginx/mime.types; access_log off; root $WORK/site; client_body_temp_path $WORK/nginx-srv-body;
      server { listen 80; listen [::]:80; }
      server { listen 443 ssl http2; listen [::]:443 ssl http2; ssl_protocols TLSv1.2;
               ssl_certificate $WORK/keys/office.pem; ssl_certificate_key $WORK/keys/office.key; }
    }
CONF
  serve srv nginx nginx -c "$WORK/nginx-srv.conf" -g "daemon off;"

  printf '%s\n' "Port 22" "HostKey $WORK/keys/host" "AuthorizedKeysFile $WORK/keys/authorized_keys" "UsePAM no" \
    "PasswordAuthentication yes" "PermitRootLogin yes" "StrictModes no" "MaxAuthTries 2" "MaxStartups 40" "PidFile none" \
    "UseDNS no" "PrintMotd no" "PrintLastLog no" "VersionAddendum none" >"$WORK/sshd.conf"
  serve srv sshd "$(command -v sshd)" -D -e -f "$WORK/sshd.conf"

  printf '%s\n' listen=YES anonymous_enable=YES local_enable=YES no_anon_password=YES "anon_root=$WORK/ftp" \
    pasv_min_port=40000 pasv_max_port=40100 "ftpd_banner=files of the office" background=NO seccomp_sandbox=NO \
    max_login_fails=5 delay_failed_login=0 pam_service_name=vsftpd >"$WORK/vsftpd.conf"
  serve srv vsftpd vsftpd "$WORK/vsftpd.conf"

  mkdir -p "$WORK"/samba/{private,lock,state,cache,pid,ncalrpc}
  cat >"$WORK/smb.conf" <<CONF
    [global]
      workgroup = OFFICE
      netbios name = FILES
      server string = files of the office
      map to guest = Bad User
      guest account = nobody
      private dir = $WORK/samba/private
      lock directory = $WORK/samba/lock
      state directory = $WORK/samba/state
      cache directory = $WORK/samba/cache
      pid directory = $WORK/samba/pid
      ncalrpc dir = $WORK/samba/ncalrpc
      log file = $WORK/samba/log
      interfaces = eth0
      bind interfaces only = yes
      load printers = no
      disable spoolss = yes
    [share]
      path = $WORK/share
      guest ok = yes
      read only = no
      force user = nobody
CONF
  serve srv smbd smbd --foreground --no-process-group -s "$WORK/smb.conf"
  serve srv nmbd nmbd --foreground --no-process-group -s "$WORK/smb.conf"

  printf 'listener 1883 10.20.0.10\nallow_anonymous true\n' >"$WORK/mosquitto.conf"
  serve srv mosquitto mosquitto -c "$WORK/mosquitto.conf"

  start_postfix srv mail.office.example office.example 10.20.0.10
  cat >"$WORK/dovecot.conf" <<CONF
    base_dir = $WORK/dovecot
    log_path = $WORK/dovecot.log
    protocols = imap
    listen = 10.20.0.10
    ssl = yes
    ssl_cert = <$WORK/keys/office.pem
    ssl_key = <$WORK/keys/office.key
    first_valid_uid = 100
    mail_location = maildir:$WORK/mail/box
    passdb {
      driver = static
      args = password=demo
    }
    userdb {
      driver = static
      args = uid=nobody gid=nogroup home=$WORK/mail
    }
CONF
  serve srv dovecot dovecot -F -c "$WORK/dovecot.conf"
  serve srv syslog ncat --udp --listen --keep-open --sh-exec "cat >/dev/null" 10.20.0.10 514
}

# start_postfix NET HOST DOMAIN ADDRESS: takes mail for DOMAIN, delivers the rest by MX.
start_postfix() {
  local home=$WORK/postfix-$1 side=inet
  [ "$1" = srv ] && side=office
  mkdir -p "$home/conf" "$home/queue" "$home/data"
  chown postfix "$home/data"
  cat >"$home/conf/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $home/queue
data_directory = $home/data
myhostname = $2
mydestination =
inet_interfaces = $4
smtp_bind_address = $4
inet_protocols = ipv4
mynetworks = 10.20.0.0/16
virtual_mailbox_domains = $3
virtual_mailbox_maps = static:box/
virtual_mailbox_base = $WORK/mail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_tls_cert_file = $WORK/keys/$side.pem
smtpd_tls_key_file = $WORK/keys/$side.key
smtpd_tls_security_level = may
smtp_tls_security_level = may
smtp_tls_CAfile = $WORK/keys/ca.pem
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
maillog_file = /var/log/ftdemo-postfix.log
CONF
  postconf -c "$home/conf" maillog_file_prefixes="$WORK,/var" maillog_file="$WORK/postfix-$1.log" alias_maps= alias_database=
  sed -E 's/^(smtp +inet.*)$/\1/; s/^([a-z]+ +[a-z]+ +[-yn]+ +[-yn]+ +)y( )/\1n\2/' /etc/postfix/master.cf >"$home/conf/master.cf"
  serve "$1" "postfix" postfix -c "$home/conf" start-fg
}

start_printer() {
  mkdir -p "$WORK/services" "$WORK/printer"
  echo "<h1>Printer: ready</h1>" >"$WORK/printer/index.html"
  cat >"$WORK/services/ipp.service" <<'CONF'
<?xml version="1.0"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>Office Printer</name><service><type>_ipp._tcp</type><port>631</port></service>
<service><type>_http._tcp</type><port>80</port></service></service-group>
CONF
  printf '[server]\nhost-name=printer\nenable-dbus=no\nuse-ipv6=yes\n[publish]\npublish-workstation=no\npublish-hinfo=no\n' >"$WORK/avahi.conf"
  serve prn httpd busybox httpd -f -p 10.20.0.30:80 -h "$WORK/printer"
  printf '%s\n' "agentaddress udp:10.20.0.30:161" "rocommunity public" "sysdescr Office Printer 1.0" \
    "syslocation hall" "sysname printer" >"$WORK/snmpd.conf"
  serve prn snmpd snmpd -f -Lo -C -c "$WORK/snmpd.conf" -p "$WORK/snmpd.pid"
}

# The printer says who it is when it is switched on, which is after the recording began.
switch_printer_on() {
  serve prn avahi sh -c "mount --bind $WORK/services /etc/avahi/services; exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f $WORK/avahi.conf"
}

# serve NET NAME COMMAND...: starts it in the background, with a log and a process group of its own
# (a mail server that ends takes its whole group along).
serve() {
  local net=$1 name=$2
  shift 2
  in_net "$net" setsid "$@" >"$WORK/$net-$name.log" 2>&1 &
}
