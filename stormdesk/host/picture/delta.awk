# What changed between pictures, and whose change it was. Sections in, by `=<name>` or as a file, each of lines: facts, or `- fact`
# and `+ fact` for one that went or came. Out come lines `ours`, `side`, `left` or `others`, with such a `- fact` or `+ fact`.
function key(text) { sub(/\t.*/, "", text); return text }
function came(change) { return change ~ /^\+/ }
function about(change) { return key(substr(change, 3)) }
function kind(text) { sub(/ .*/, "", text); return text }
function object(text,  word) {  # two facts of one object say different things of the same thing
  split(text, word, " ")
  if (word[1] ~ /^route/) return word[1] " " (word[2] ~ /^(unicast|local|broadcast|multicast|anycast|throw|unreachable|prohibit|blackhole)$/ ? word[3] : word[2])
  if (word[1] == "addr") return word[1] " " word[2] " " word[4]
  if (word[1] == "link") return word[1] " " word[2] " " word[3] (word[3] == "flag" ? " " word[4] : "")
  if (word[1] == "sysctl") { sub(/:.*/, "", text); return text }
  return word[1] " " word[2] (word[1] == "file" ? " " word[3] : "")
}
function link(text) { sub(/^.* dev /, "", text) || sub(/^[^ ]* /, "", text); sub(/ .*/, "", text); return text }
function touched(text,  word) { split(text, word, " "); return (word[1] in touches) || (word[1] == "file" && (word[2] in files)) }
function counts(text) { return touched(text) && !(text in claimed) }
function put(change) {  # one change of ours
  ours[++n_ours] = change
  if (change ~ /^~/) { reordered[kind(about(change))] = 1; return }
  objects[object(about(change))] = 1
  links[link(about(change))] = 1
  if (came(change)) added[about(change)] = 1; else removed[about(change)] = 1
}

BEGIN { n_ordered = split("rule4 rule6 iptables ip6tables nft filter", ordered, " ") }
/^=/ { section = substr($0, 2); next }
$0 == "" { next }
section == "touches" { touches[$0] = 1 }
section == "files" { sub(/^mode /, ""); files[$0] = 1 }
section == "claims" { claimed[about($0)] = 1 }
section == "ours" { put($0) }
section == "side" { side[++n_side] = $0; if (/^~/) reordered[kind(about($0))] = 1 }
section == "before" { before[++n_before] = $0; in_before[key($0)] = 1 }
section == "last" { last[++n_last] = $0; in_last[key($0)] = 1 }
section == "after" { after[++n_after] = $0; in_after[key($0)] = 1 }

# What changed from `before` to `after`, but for what other runs put back or take meanwhile.
function changes(  i) {
  went_and_came("")
  for (i = 1; i <= n_ordered; i++) if (!alike(ordered[i], before, n_before, in_before)) tell("~ " ordered[i] " in another order")
}
function went_and_came(word,  i) {
  for (i = 1; i <= n_before; i++) if (!(key(before[i]) in in_after)) say(word, "- " before[i])
  for (i = 1; i <= n_after; i++) if (!(key(after[i]) in in_before)) say(word, "+ " after[i])
}
function tell(text) { if (!(about(text) in claimed)) print (touched(about(text)) ? "ours " : "side ") text }

function say(word, text) {  # without a word: whose it is follows from what the plan touches
  if (word == "") tell(text)
  else if (!(text in said)) { said[text] = 1; print word " " text }
}
function verdict(  i) {
  if (!known) guess()
  # Of an attribute with one value: what somebody else has set it to since stays, and what it was before is not expected any more.
  for (i = 1; i <= n_last; i++) if (kind(last[i]) ~ /^(link|sysctl|file)$/ && !(key(last[i]) in added) && !(key(last[i]) in in_before)) theirs[object(key(last[i]))] = 1
  for (i = 1; i <= n_ours; i++) stays(ours[i])
  for (i = 1; i <= n_side; i++) stays(side[i])
  for (i = 1; i <= n_after; i++) if (kind(after[i]) == "process") say("left", "+ " after[i])
  undone_too_much()
  orders()
  went_and_came("others")
}
# The injector was killed before it could say what is ours: what has changed until now in the kinds that the plan touches.
function guess(  i) {
  for (i = 1; i <= n_before; i++) if (!(key(before[i]) in in_last) && counts(key(before[i]))) put("- " before[i])
  for (i = 1; i <= n_last; i++) if (!(key(last[i]) in in_before) && counts(key(last[i]))) put("+ " last[i])
}
function stays(change) {
  if (change ~ /^~/) { if (!alike(kind(about(change)), before, n_before, in_before)) say("left", change) }
  else if (!came(change) && (object(about(change)) in theirs)) return
  else if (came(change) == (about(change) in in_after) && !(about(change) in claimed)) say("left", change)
}
# The undo itself may do harm: evict a route of somebody's, or bring one back that is not as it was. What went or came while it
# was at work, in the kinds that it touches, is its doing if it is about what the fault was about, or had been there all the time.
# The kernel makes a route when an interface comes up: where that is none of ours, somebody else put it up.
function undone_too_much(  i, f) {
  for (i = 1; i <= n_last; i++) {
    f = key(last[i])
    if (!(f in in_after) && !(f in added) && counts(f) && (f in in_before || object(f) in objects)) say("left", "- " last[i])
  }
  for (i = 1; i <= n_after; i++) {
    f = key(after[i])
    if (!(f in in_last) && !(f in in_before) && !(f in removed) && counts(f) && (object(f) in objects) && (f !~ / proto kernel/ || link(f) in links)) say("left", "+ " after[i])
  }
}
# Of rules the order counts too: of those that are in two pictures. What others put in another order before we undid stays so.
function orders(  i, name) {
  for (i = 1; i <= n_ordered; i++) {
    name = ordered[i]
    if (name in reordered) continue
    if (!alike(name, last, n_last, in_last) || (lines(name, before, n_before, in_last) == lines(name, last, n_last, in_before) && !alike(name, before, n_before, in_before)))
      say("left", "~ " name " in another order")
  }
}
function alike(name, list, count, in_list) { return lines(name, list, count, in_after) == lines(name, after, n_after, in_list) }
function lines(name, list, count, also,  i, text) {
  text = ""
  for (i = 1; i <= count; i++) if (kind(list[i]) == name && (key(list[i]) in also)) text = text "\n" key(list[i])
  return text
}

END { if (mode == "changes") changes(); else verdict() }
