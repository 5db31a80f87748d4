# sh supervised.sh: a line for each process of this host's supervisord, its name and its state. A failure where its socket cannot be
# asked; then supervisorctl has to be, which imports for ten times as long. It is found as supervisorctl finds it.
for file in ../etc/supervisord.conf supervisord.conf etc/supervisord.conf /etc/supervisord.conf /etc/supervisor/supervisord.conf; do
  [ ! -e "$file" ] || break
done
socket=$(sed -n '/^\[supervisorctl\]/,/^\[/s|^serverurl *= *unix://\([^ ;]*\).*|\1|p' "$file" 2>/dev/null)
[ -S "$socket" ] || exit 1
exec python3 -I -S -c '
import re, socket, sys
call = b"<methodCall><methodName>supervisor.getAllProcessInfo</methodName><params></params></methodCall>"
head = "POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(call)
with socket.socket(socket.AF_UNIX) as link:
    link.settimeout(10)
    link.connect(sys.argv[1])
    link.sendall(head.encode() + call)
    answer = b"".join(iter(lambda: link.recv(65536), b"")).decode()
if " 200 " not in answer.partition("\r\n")[0] or "</methodResponse>" not in answer:
    sys.exit(1)
for one in re.findall("<struct>(.*?)</struct>", answer, re.DOTALL):
    said = dict(re.findall(r"<name>([a-z]+)</name>\s*<value><string>(.*?)</string>", one))
    group = "" if said["group"] == said["name"] else said["group"] + ":"
    print(group + said["name"], said["statename"])' "$socket" 2>/dev/null
