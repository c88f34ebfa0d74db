# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kubectl_skoop_global_optspecs
    string join \n color= h/help V/version
end

function __fish_kubectl_skoop_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kubectl_skoop_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kubectl_skoop_using_subcommand
    set -l cmd (__fish_kubectl_skoop_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -s V -l version -d 'Print version'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "diagnose" -d 'Find out what is wrong between two ends, and prove it'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "capture" -d 'Watch drops, resets and other events of the kernel as they happen'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "probes" -d 'List the probes, what they cost, and whether this kernel can run them'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "rules" -d 'List the rules: every cause that can be named'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "explain" -d 'Explain a rule or a probe'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "schema" -d 'Print the JSON Schema of the report that `-o json` and `-o yaml` give'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "completion" -d 'Print completions for a shell'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "__complete" -d 'Print candidates for the last of these words'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "version" -d 'Print the version of this program'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod-to-pod dns" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod-to-pod dns" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod-to-pod dns" -f -a "pod-to-pod" -d 'Can one end reach the other?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod-to-pod dns" -f -a "dns" -d 'Does a name resolve?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l protocol -d 'What to send' -r -f -a "tcp\t'Connections'
udp\t'Datagrams'
icmp\t'Echo requests'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l send -d 'Send this text and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l http -d 'Ask for this path by HTTP and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l bytes -d 'Send this many bytes on each connection, to a server that takes them' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l attempts -d 'Connections, datagrams or echo requests in a round' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l timeout -d 'Give an attempt up after this long [default: 2s, for lookups 5s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l for -d 'Go on for this long, with a round every second' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l slow -d 'Call a connect or echo slow from here on, and a lookup from ten times this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'The same, with every attempt and hop'
json\t'The report as JSON'
yaml\t'The report as YAML'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l evidence -d 'Keep what the rules were given in a file, as JSON' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l helper -d 'Use this helper instead of the one built in' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l record -d 'Keep all that the helper says in a file' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l replay -d 'Take what was kept in a file, instead of looking' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l passive -d 'Send nothing; watch the traffic that goes on between the two ends'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s 4 -l ipv4 -d 'IPv4 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s 6 -l ipv6 -d 'IPv6 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l until-fault -d 'Begin anew every second until an attempt fails, then tell why'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l local -d 'Look at this machine, as one node'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l timeout -d 'Give an attempt up after this long [default: 2s, for lookups 5s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l for -d 'Go on for this long, with a round every second' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l slow -d 'Call a connect or echo slow from here on, and a lookup from ten times this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'The same, with every attempt and hop'
json\t'The report as JSON'
yaml\t'The report as YAML'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l evidence -d 'Keep what the rules were given in a file, as JSON' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l helper -d 'Use this helper instead of the one built in' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l record -d 'Keep all that the helper says in a file' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l replay -d 'Take what was kept in a file, instead of looking' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s 4 -l ipv4 -d 'IPv4 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s 6 -l ipv6 -d 'IPv6 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l until-fault -d 'Begin anew every second until an attempt fails, then tell why'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l local -d 'Look at this machine, as one node'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l probe -d 'Probes to use, by name (see `probes`) [default: all but path and tcpstate]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l netns -d 'Only of this network namespace, by name or path' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l pid -d 'Only of this process and its namespace' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l address -d 'Only with this address at either end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l port -d 'Only with this port at either end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l for -d 'End after this long' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l max-events -d 'End after this many events' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -s o -l output -d 'How to print events' -r -f -a "table\t'Aligned lines'
json\t'One JSON object a line'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l helper -d 'Use this helper instead of the one built in' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l record -d 'Keep all that the helper says in a file' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l replay -d 'Take what was kept in a file, instead of looking' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l local -d 'Look at this machine, as one node'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -s o -l output -d 'How to print the list' -r -f -a "table\t'For reading'
json\t'As JSON'
yaml\t'As YAML'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l helper -d 'Use this helper instead of the one built in' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l record -d 'Keep all that the helper says in a file' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l replay -d 'Take what was kept in a file, instead of looking' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l local -d 'Look at this machine, as one node'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -s o -l output -d 'How to print the list' -r -f -a "table\t'For reading'
json\t'As JSON'
yaml\t'As YAML'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l helper -d 'Use this helper instead of the one built in' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l record -d 'Keep all that the helper says in a file' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l replay -d 'Take what was kept in a file, instead of looking' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l local -d 'Look at this machine, as one node'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand __complete" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand __complete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
