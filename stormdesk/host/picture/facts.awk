# What tools print, as facts: `<kind> <object> <attribute> <value>`, one a line.
#
# A line `=<kind>` says what the next lines are of, `!<text>` that reading it failed, `~` that there is no such thing here. What
# follows a tab is worth putting back but not worth comparing, for it runs down. Left out are counters, what the kernel finds out
# by itself (carrier, duplicate addresses) or was told (RA and temporary addresses, RA routes), log-in mounts, and tables of
# netfilter without a rule, which a tool makes by looking.
function rest(from,  text, i) { text = ""; for (i = from; i <= NF; i++) text = text (text == "" ? "" : " ") $i; return text }
function fact(text) { if (seen[kind " " text]++) text = text " (" seen[kind " " text] ")"; print kind " " text }
function cut(word, more,  text, kept, i) {  # take a word, and with `more` the next one, out of the line; return them
  text = ""; kept = ""
  for (i = 1; i <= NF; i++)
    if ($i != word) kept = kept (kept == "" ? "" : " ") $i
    else { text = text " " $i; if (more) text = text " " $(++i) }
  $0 = kept
  return text
}
# A service may have many processes that lead a group, as PostgreSQL's backends do: how many is no state of the host.
function has_service(service) { if (!("service " service in seen)) { kind = "service"; fact(service " runs"); seen["service " service] = 1 } }
function leads(pid,  text, field) {  # does the process lead a process group?
  text = ""
  getline text < ("/proc/" pid "/stat"); close("/proc/" pid "/stat")
  sub(/^.*\) /, "", text); split(text, field, " ")
  return field[1] !~ /[ZX]/ && field[3] == pid
}
$0 == "=end" { whole = 1 }
FILENAME ~ /mountinfo$/ { section = "mount" }
section == "supervised" {  # environments, which may hold anything: the last section of all
  if (/^==> \/proc\//) { split($2, part, "/"); pid = part[3]; name = group = "" }
  if (/^SUPERVISOR_PROCESS_NAME=/) name = substr($0, 25)
  if (/^SUPERVISOR_GROUP_NAME=/) group = substr($0, 23)
  if (name != "" && group != "") { if (leads(pid)) has_service((group == name ? "" : group ":") name); name = "" }
  next
}
/^=[a-z]/ { section = substr($0, 2); next }
/^!/ { print section " !error " substr($0, 2); next }
/^~$/ { print section " absent"; next }
{ kind = section }
kind ~ /^network/ {  # what ip prints of all that it was asked for
  family = substr(kind, 8)
  if (/^[0-9]+: [^ ]+: </) kind = "link"
  else if (/^[0-9]+: /) kind = "addr"
  else if (/^[0-9]+:\t/) kind = "rule" family
  else if (/^id [0-9]/) kind = "nexthop"
  else if (/ (PERMANENT|proxy) *$/) kind = "neigh"
  else kind = "route" family
}
kind == "link" {
  sub(/:$/, "", $2); sub(/@.*/, "", $2); name = $2; flags = $3; gsub(/[<>]/, "", flags)
  n = split(flags, flag, ",")
  for (i = 1; i <= n; i++) if (flag[i] !~ /^(LOWER_UP|NO-CARRIER|RUNNING|M-DOWN)$/) fact(name " flag " flag[i])
  n = split(rest(4), part, /\\ */)
  $0 = part[1]
  for (i = 1; i < NF; i += 2) if ($i !~ /^(qdisc|state)$/) fact(name " " $i " " $(i + 1))
  for (i = 2; i <= n; i++) if (part[i] != "") fact(name " " part[i])
  next
}
kind == "systemd" {
  if (sub(/^Id=/, "")) { sub(/\.service$/, ""); name = $0 }
  if (/^ActiveState=(active|reloading)$/) has_service(name)
  next
}
{ gsub(/[\\ \t]+/, " "); sub(/^ /, ""); sub(/ $/, "") }
$0 == "" { next }
kind == "addr" {
  if (/ temporary| kernel_ra| mngtmpaddr.* dynamic| dynamic.* mngtmpaddr/ || $3 !~ /^inet/) next
  runs = cut("valid_lft", 1) cut("preferred_lft", 1)
  cut("tentative"); cut("optimistic"); cut("dynamic"); cut("deprecated")
  fact(rest(2) (runs ~ /[0-9]sec/ ? "\t" runs : ""))
  next
}
kind ~ /^route/ {
  if (/ proto ra( |$)/ || (kind == "route6" && / table local .*proto kernel/)) next
  runs = cut("expires", 1)
  cut("dead"); cut("linkdown"); cut("offload"); cut("trap"); cut("error", 1)
  fact($0 (runs == "" ? "" : "\t" runs))
  next
}
kind == "neigh" { cut("used", 1); fact($0); next }
kind == "nexthop" { cut("dead"); cut("linkdown"); fact($0); next }
kind == "qdisc" { cut("refcnt", 1); cut("direct_packets_stat", 1); cut("dev"); fact($4 " " $2 " " $3 " " rest(5)); next }
kind ~ /tables$/ {
  if (/^\*/) table = substr($0, 2)
  sub(/ \[[0-9]*:[0-9]*\]$/, "")
  if (/^:/ && $2 != "ACCEPT") fact(table " " substr($0, 2))
  if (/^-/) fact(table " " $0)
  next
}
kind == "nft" {
  sub(/counter packets [0-9]+ bytes [0-9]+/, "counter"); gsub(/ expires [0-9a-z]+/, "")
  # A chain of one's own is there even without a rule; one that has a hook and lets everything pass does nothing.
  if (chain != "") { if (!/^type .* hook /) fact(table " " chain); chain = "" }
  if (/^table /) table = $2 " " $3
  else if (/^chain /) chain = inside = $1 " " $2
  else if (/^(set|map|flowtable) /) { inside = $1 " " $2; fact(table " " inside) }
  else if (/^type .* hook / && !/policy drop/) next
  else if (!/^}/) fact(table " " inside ": " $0)
  next
}
kind == "mount" {
  if ($5 ~ /^\/run\/user\//) next
  for (i = 7; $i != "-" && i < NF; i++);
  fact($5 " " $4 " " $6 " " rest(i + 1))
  next
}
kind == "sysctl" {
  if (/^==> /) { name = "/proc/sys/" $2; next }
  if (name ~ /\/nf_conntrack_/ || had[$0 = name ":" $0]++) next  # asked for twice
}
kind == "file" && length($1) == 64 && $1 !~ /[^0-9a-f]/ { fact(rest(2) " sha256 " $1); next }
{ fact($0) }
END { if (!whole) print "host !error broke off" }
