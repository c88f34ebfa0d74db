# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kubectl_skoop_global_optspecs
    string join \n color= kubeconfig= context= cluster= user= n/namespace= as= as-group= request-timeout= h/help V/version
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
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -s V -l version -d 'Print version'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "diagnose" -d 'Find out what is wrong with a pod, or between two ends, and prove it'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "capture" -d 'Watch drops, resets and other events of the kernel as they happen'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "top" -d 'See who suffers: a row for each pod, the worst first'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "inspect" -d 'Show all numbers of a pod\'s or a node\'s network, and what they mean'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "compare" -d 'Compare two pods of the same kind, a sick one and a healthy one: what is different? Or two recordings, before and after'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "export" -d 'Give numbers and events to monitoring while the window is open'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "latency" -d 'Show where time passes: in connecting, in the program, its sockets, the kernel, the queues of devices, and disks'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "map" -d 'Show who talks to whom, how that is known, and where it is lost'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "doctor" -d 'Check whether helpers can start on the cluster, and say what is missing; name its network plug-in and the state of its agents'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "cleanup" -d 'Delete what earlier runs left in a cluster; does not touch live runs'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "probes" -d 'List the probes, what they cost, and whether this kernel can run them'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "rules" -d 'List the rules: every cause that this program can name'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "explain" -d 'Explain a rule, a probe or a number: what it means, how it knows, what to do'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "schema" -d 'Print the JSON Schema of the report that `-o json` and `-o yaml` give'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "completion" -d 'Print completions for a shell'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_needs_command" -f -a "version" -d 'Print the version of this program'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "pod" -d 'What is wrong with this pod, whoever it talks to?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "node" -d 'What is wrong with the pods of this node?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "service" -d 'What is wrong with the pods behind this service?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "namespace" -d 'What is wrong with the pods of this namespace?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "pod-to-pod" -d 'Can one end reach the other?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "pod-to-service" -d 'Can a pod reach a service?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "pod-to-node" -d 'Can a pod reach a node?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "pod-to-external" -d 'Can a pod reach something outside the cluster?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "dns" -d 'Does a name resolve?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and not __fish_seen_subcommand_from pod node service namespace pod-to-pod pod-to-service pod-to-node pod-to-external dns node-to-pod" -f -a "node-to-pod" -d 'Can a node reach a pod?'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l for -d 'Watch for this time, such as 30s or 10m [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l keep-last -d 'Keep all events of this time before a fault as evidence, also those of other conversations' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l worst -d 'Follow this many conversations to their other end: those that suffer most' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l slow -d 'Call a connection slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l max-nodes -d 'Refuse to look at more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l until-fault -d 'Wait for the first fault, then say why. Without --for it waits 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l all -d 'Show every cause in full, not the first three'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l for -d 'Watch for this time, such as 30s or 10m [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l keep-last -d 'Keep all events of this time before a fault as evidence, also those of other conversations' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l worst -d 'Follow this many conversations to their other end: those that suffer most' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l slow -d 'Call a connection slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l max-nodes -d 'Refuse to look at more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l until-fault -d 'Wait for the first fault, then say why. Without --for it waits 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l all -d 'Show every cause in full, not the first three'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l for -d 'Watch for this time, such as 30s or 10m [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l keep-last -d 'Keep all events of this time before a fault as evidence, also those of other conversations' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l worst -d 'Follow this many conversations to their other end: those that suffer most' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l slow -d 'Call a connection slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l max-nodes -d 'Refuse to look at more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l until-fault -d 'Wait for the first fault, then say why. Without --for it waits 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l all -d 'Show every cause in full, not the first three'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from service" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l for -d 'Watch for this time, such as 30s or 10m [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l keep-last -d 'Keep all events of this time before a fault as evidence, also those of other conversations' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l worst -d 'Follow this many conversations to their other end: those that suffer most' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l slow -d 'Call a connection slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l max-nodes -d 'Refuse to look at more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l until-fault -d 'Wait for the first fault, then say why. Without --for it waits 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l all -d 'Show every cause in full, not the first three'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from namespace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l protocol -d 'What to send [default: the protocol that the port is declared with, else tcp]' -r -f -a "tcp\t'Connections'
udp\t'Datagrams'
icmp\t'Echo requests'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l send -d 'Send this text, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l http -d 'Send an HTTP request for this path, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l bytes -d 'Send this many bytes on each connection. The server must read them' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l attempts -d 'Make this many connections in a round, or send this many datagrams or echo requests' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l timeout -d 'Give up an attempt after this time [default: 2s, for lookups 5s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l for -d 'Go on for this time, such as 30s or 10m, with a round every second' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l slow -d 'Call a connect or an echo slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l passive -d 'Send nothing. Watch the traffic that runs between the two ends anyway'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s 4 -l ipv4 -d 'Use IPv4 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s 6 -l ipv6 -d 'Use IPv6 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l until-fault -d 'Repeat every second until an attempt fails, then say why. Without --for it stops after 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-pod" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l via -d 'Which address of the service to use' -r -f -a "clusterip\t'The cluster IP; for a headless service, the addresses of its endpoints'
nodeport\t'The node port, on the source\'s own node'
external\t'The external IP'
lb\t'The address of its load balancer'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l protocol -d 'What to send [default: the protocol that the port is declared with, else tcp]' -r -f -a "tcp\t'Connections'
udp\t'Datagrams'
icmp\t'Echo requests'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l send -d 'Send this text, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l http -d 'Send an HTTP request for this path, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l bytes -d 'Send this many bytes on each connection. The server must read them' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l attempts -d 'Make this many connections in a round, or send this many datagrams or echo requests' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l timeout -d 'Give up an attempt after this time [default: 2s, for lookups 5s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l for -d 'Go on for this time, such as 30s or 10m, with a round every second' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l slow -d 'Call a connect or an echo slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l passive -d 'Send nothing. Watch the traffic that runs between the two ends anyway'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -s 4 -l ipv4 -d 'Use IPv4 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -s 6 -l ipv6 -d 'Use IPv6 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l until-fault -d 'Repeat every second until an attempt fails, then say why. Without --for it stops after 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-service" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l protocol -d 'What to send [default: the protocol that the port is declared with, else tcp]' -r -f -a "tcp\t'Connections'
udp\t'Datagrams'
icmp\t'Echo requests'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l send -d 'Send this text, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l http -d 'Send an HTTP request for this path, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l bytes -d 'Send this many bytes on each connection. The server must read them' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l attempts -d 'Make this many connections in a round, or send this many datagrams or echo requests' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l timeout -d 'Give up an attempt after this time [default: 2s, for lookups 5s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l for -d 'Go on for this time, such as 30s or 10m, with a round every second' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l slow -d 'Call a connect or an echo slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l passive -d 'Send nothing. Watch the traffic that runs between the two ends anyway'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -s 4 -l ipv4 -d 'Use IPv4 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -s 6 -l ipv6 -d 'Use IPv6 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l until-fault -d 'Repeat every second until an attempt fails, then say why. Without --for it stops after 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-node" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l protocol -d 'What to send [default: the protocol that the port is declared with, else tcp]' -r -f -a "tcp\t'Connections'
udp\t'Datagrams'
icmp\t'Echo requests'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l send -d 'Send this text, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l http -d 'Send an HTTP request for this path, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l bytes -d 'Send this many bytes on each connection. The server must read them' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l attempts -d 'Make this many connections in a round, or send this many datagrams or echo requests' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l timeout -d 'Give up an attempt after this time [default: 2s, for lookups 5s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l for -d 'Go on for this time, such as 30s or 10m, with a round every second' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l slow -d 'Call a connect or an echo slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l passive -d 'Send nothing. Watch the traffic that runs between the two ends anyway'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -s 4 -l ipv4 -d 'Use IPv4 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -s 6 -l ipv6 -d 'Use IPv6 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l until-fault -d 'Repeat every second until an attempt fails, then say why. Without --for it stops after 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from pod-to-external" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l timeout -d 'Give up an attempt after this time [default: 2s, for lookups 5s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l for -d 'Go on for this time, such as 30s or 10m, with a round every second' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l slow -d 'Call a connect or an echo slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s 4 -l ipv4 -d 'Use IPv4 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s 6 -l ipv6 -d 'Use IPv6 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l until-fault -d 'Repeat every second until an attempt fails, then say why. Without --for it stops after 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from dns" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l protocol -d 'What to send [default: the protocol that the port is declared with, else tcp]' -r -f -a "tcp\t'Connections'
udp\t'Datagrams'
icmp\t'Echo requests'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l send -d 'Send this text, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l http -d 'Send an HTTP request for this path, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l bytes -d 'Send this many bytes on each connection. The server must read them' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l attempts -d 'Make this many connections in a round, or send this many datagrams or echo requests' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l timeout -d 'Give up an attempt after this time [default: 2s, for lookups 5s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l for -d 'Go on for this time, such as 30s or 10m, with a round every second' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l slow -d 'Call a connect or an echo slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -s o -l output -d 'How to print the answer' -r -f -a "table\t'One screen, the answer first'
wide\t'Like table, with every attempt and every hop'
json\t'The report as JSON'
yaml\t'The report as YAML'
html\t'One page to attach to a ticket: the path as a picture, the causes, the evidence folded'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l passive -d 'Send nothing. Watch the traffic that runs between the two ends anyway'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -s 4 -l ipv4 -d 'Use IPv4 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -s 6 -l ipv6 -d 'Use IPv6 only'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l until-fault -d 'Repeat every second until an attempt fails, then say why. Without --for it stops after 10m'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand diagnose; and __fish_seen_subcommand_from node-to-pod" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -s l -l selector -d 'Watch only pods with these labels' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l node -d 'Watch this node; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l max-nodes -d 'Refuse to watch more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l probe -d 'Use only these probes, separated by commas (`probes` lists them) [default: all but path, tcpstate, transmit, socketlatency, kernellatency and biolatency]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l netns -d 'With --local: watch only this network namespace, by name or path' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l pid -d 'With --local: watch only this process, in its network namespace' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l address -d 'Show only packets with this address at either end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l port -d 'Show only packets with this port at either end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l slow -d 'Show each wait of at least this time, such as 50ms [probes: socketlatency, kernellatency and biolatency]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l for -d 'Stop after this time, such as 30s or 10m' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l max-events -d 'Stop after this many events' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -s o -l output -d 'How to print events' -r -f -a "table\t'Aligned lines'
json\t'One JSON object per line'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l all-nodes -d 'Watch all nodes'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l all-drops -d 'Show harmless drops too: late duplicates, data left in a closed socket'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand capture" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -s l -l selector -d 'Watch only pods with these labels' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l node -d 'Watch this node; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l max-nodes -d 'Refuse to watch more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l view -d 'Columns to show' -r -f -a "health\t'who suffers: connections, losses, waiting'
tcp\t'TCP: connects, resets, segments sent again, full queues'
sockets\t'sockets by state, and what waits in them'
udp\t'UDP: datagrams, full buffers, ports where nobody listens'
links\t'interfaces: traffic, and what device, driver and stack lost'
queues\t'queueing disciplines: what waits, what was held back, what was dropped'
conntrack\t'tables of tracked connections: how full, what could not be tracked, and who holds them'
dns\t'DNS over UDP: answers, how long they took, queries that nobody answered'
files\t'open files against their limits, sockets apart'
cpu\t'CPU: used, throttled, waited for'
disk\t'block devices: read, written, waited for'
softnet\t'each node\'s CPUs at work on packets'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l by -d 'One row per process or peer instead of per pod' -r -f -a "process\t'each process: connections, what waits in them, files, CPU, disks'
peer\t'each peer of their sockets: connections, round trip times, what waits, what was sent again'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l for -d 'Look for this time, such as 5s or 1m [default: 5s; with -w until Ctrl-C]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l interval -d 'With -w: the interval' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -s o -l output -d 'How to print it' -r -f -a "table\t'For reading'
json\t'One JSON object a line, each of one reading'
html\t'One page of HTML to attach to a ticket'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l all-nodes -d 'Watch all nodes'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -s w -l watch -d 'Repeat until Ctrl-C'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l all -d 'Show every row'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -s l -l selector -d 'Watch only pods with these labels' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l node -d 'Watch this node; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l max-nodes -d 'Refuse to watch more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l for -d 'Look for this time, such as 5s or 1m' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l probe -d 'Read only these, separated by commas (`probes` lists them) [default: all that read, but process and peers]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -s o -l output -d 'How to print it' -r -f -a "table\t'For reading'
json\t'One JSON object a line, each of one reading'
html\t'One page of HTML to attach to a ticket'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l all-nodes -d 'Watch all nodes'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l all -d 'Show counters that did not grow, too'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -s l -l selector -d 'Watch only pods with these labels' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l node -d 'Watch this node; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l max-nodes -d 'Refuse to watch more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l for -d 'Look for this time, such as 5s or 1m' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -s o -l output -d 'How to print it' -r -f -a "table\t'For reading'
json\t'One JSON object a line, each of one reading'
html\t'One page of HTML to attach to a ticket'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l all-nodes -d 'Watch all nodes'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l all -d 'Show every difference'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand compare" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -s l -l selector -d 'Watch only pods with these labels' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l node -d 'Watch this node; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l max-nodes -d 'Refuse to watch more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l for -d 'Look for this time, such as 5m or 1h [default: until Ctrl-C]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l interval -d 'How often numbers are read' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l probe -d 'Use only these probes, separated by commas (`probes` lists them) [default: all but those that report each packet or connection, measure times, or read entry by entry]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l names -d 'Names of the metrics' -r -f -a "skoop\t'Ours: all numbers, as `skoop_<probe>_<name>`'
kubeskoop\t'The predecessor\'s, for its dashboards: what both have, as `kubeskoop_<probe>_<name>`'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l max-series -d 'Most samples of one reading; the rest is counted, not sent' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l to -d 'Where to; may be repeated. openmetrics=FILE: the last reading as OpenMetrics text. prometheus=PORT: served at /metrics, to this machine alone unless an address is named (0.0.0.0:9464). file=FILE: events and numbers as JSON lines, in files that are rotated by size. stdout: events and numbers as JSON lines. loki=URL: events by Loki\'s push API. elasticsearch=URL: events by the bulk API of Elasticsearch and OpenSearch. remote-write=URL: numbers by Prometheus\' remote write (version 1). otlp=URL: numbers and events by OpenTelemetry\'s protocol over HTTP' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l max-size -d 'With --to file: begin a new file when this one would be larger' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l keep -d 'With --to file: keep so many files of before, as FILE.1, FILE.2 and so on' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l index -d 'With --to elasticsearch: the index or data stream' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l bearer-from -d 'Send the token that stands in this file, or in a variable, as bearer: loki=FILE, loki=env:NAME' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l basic-from -d 'Send the USER:PASSWORD that stands in this file, or in a variable: loki=FILE, loki=env:NAME' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l header-from -d 'Send the headers that stand in this file, or in a variable, each in a line `Name: value`: loki=FILE, loki=env:NAME' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l tenant -d 'Send for this tenant (header X-Scope-OrgID): loki=TENANT' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l ca -d 'Trust servers whose certificates are signed by those in this file, and no others: loki=FILE' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l client-cert -d 'Show the server this certificate: loki=FILE' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l client-key -d 'The key of that certificate: loki=FILE' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l all-nodes -d 'Watch all nodes'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -s l -l selector -d 'Watch only pods with these labels' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l node -d 'Watch this node; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l max-nodes -d 'Refuse to watch more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l peer -d 'The other end, on any port, whichever of the two connects' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l protocol -d 'What to send [default: the protocol that the port is declared with, else tcp]' -r -f -a "tcp\t'Connections'
udp\t'Datagrams'
icmp\t'Echo requests'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l send -d 'Send this text, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l http -d 'Send an HTTP request for this path, and read the answer to its end' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l bytes -d 'Send this many bytes on each connection. The server must read them' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l attempts -d 'Make this many connections in a round, or send this many datagrams or echo requests' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l for -d 'Measure for this time, such as 5s or 1m' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -s o -l output -d 'How to print it' -r -f -a "table\t'For reading'
json\t'One JSON object a line, each of one reading'
html\t'One page of HTML to attach to a ticket'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l all-nodes -d 'Watch all nodes'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand latency" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -s l -l selector -d 'Watch only pods with these labels' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l node -d 'Watch this node; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l max-nodes -d 'Refuse to watch more nodes than this' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l for -d 'Watch for this time, such as 30s or 10m' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -s o -l output -d 'How to print it' -r -f -a "table\t'A row for each edge, the worst first'
json\t'The map as JSON'
mermaid\t'A flowchart of Mermaid, for tickets and wikis'
dot\t'A graph for Graphviz'
html\t'One page with a picture, to open in a browser'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l all-nodes -d 'Watch all nodes'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l permitted -d 'Also show connections that network policies allow and nobody used'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand map" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l node -d 'Check this node; may be repeated [default: all nodes; --try uses the first one that can run a helper]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l try -d 'Start a helper, wait for its answer, and remove it'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -s A -l all-namespaces -d 'Look in all namespaces, not only in the current one'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand cleanup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -s o -l output -d 'How to print the list' -r -f -a "table\t'For reading'
json\t'As JSON'
yaml\t'As YAML'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand probes" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -s o -l output -d 'How to print the list' -r -f -a "table\t'For reading'
json\t'As JSON'
yaml\t'As YAML'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand rules" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l helper -d 'On this machine: use this helper program instead of the built-in one' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l record -d 'Write all that the helpers say into this file. Only its owner can read it; it may hold secrets' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l replay -d 'Answer from this recording instead of looking. The question must be the same' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l image -d 'Start helpers from this image [default: the image of this version]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l image-pull-policy -d 'When the nodes pull the image' -r -f -a "Always\t'At every start'
IfNotPresent\t'Only if it is not on the node yet'
Never\t'Never; it must be on the node already'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l image-pull-secret -d 'Pull the image with this secret of the helpers\' namespace; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l helper-namespace -d 'Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l inject -d 'Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l local -d 'Look at this machine as one node, without a cluster'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l record-payloads -d 'Record the text to send too, not only its length and hash'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -s v -l verbose -d 'Show the helper\'s own messages on stderr'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l privileged -d 'Start helpers privileged, for nodes where single capabilities are not enough'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l no-helper -d 'Start no helper. Answer only from what the API says'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -l dry-run -d 'Print the manifests of the helpers, and start nothing'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -l color -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -l kubeconfig -d 'Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]' -r -F
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -l context -d 'Use this context of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -l cluster -d 'Use this cluster of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -l user -d 'Use this user of the kubeconfig' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -s n -l namespace -d 'Use this namespace for names that have none [default: the context\'s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -l as -d 'Act as this user' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -l as-group -d 'Act as this group too; may be repeated' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -l request-timeout -d 'Give up a call to the API server after this time; 0 waits without limit [default: 10s]' -r
complete -c kubectl-skoop -n "__fish_kubectl_skoop_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
