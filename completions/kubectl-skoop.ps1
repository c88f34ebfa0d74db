
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'kubectl-skoop' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'kubectl-skoop'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'kubectl-skoop' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('diagnose', 'diagnose', [CompletionResultType]::ParameterValue, 'Find out what is wrong between two ends, and prove it')
            [CompletionResult]::new('capture', 'capture', [CompletionResultType]::ParameterValue, 'Watch drops, resets and other events of the kernel as they happen')
            [CompletionResult]::new('probes', 'probes', [CompletionResultType]::ParameterValue, 'List the probes, what they cost, and whether this kernel can run them')
            [CompletionResult]::new('rules', 'rules', [CompletionResultType]::ParameterValue, 'List the rules: every cause that can be named')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain a rule or a probe')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Print the JSON Schema of the report that `-o json` and `-o yaml` give')
            [CompletionResult]::new('completion', 'completion', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('__complete', '__complete', [CompletionResultType]::ParameterValue, 'Print candidates for the last of these words')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version of this program')
            break
        }
        'kubectl-skoop;diagnose' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('pod-to-pod', 'pod-to-pod', [CompletionResultType]::ParameterValue, 'Can one end reach the other?')
            [CompletionResult]::new('dns', 'dns', [CompletionResultType]::ParameterValue, 'Does a name resolve?')
            break
        }
        'kubectl-skoop;diagnose;pod-to-pod' {
            [CompletionResult]::new('--protocol', '--protocol', [CompletionResultType]::ParameterName, 'What to send')
            [CompletionResult]::new('--send', '--send', [CompletionResultType]::ParameterName, 'Send this text and read the answer to its end')
            [CompletionResult]::new('--http', '--http', [CompletionResultType]::ParameterName, 'Ask for this path by HTTP and read the answer to its end')
            [CompletionResult]::new('--bytes', '--bytes', [CompletionResultType]::ParameterName, 'Send this many bytes on each connection, to a server that takes them')
            [CompletionResult]::new('--attempts', '--attempts', [CompletionResultType]::ParameterName, 'Connections, datagrams or echo requests in a round')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give an attempt up after this long [default: 2s, for lookups 5s]')
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'Go on for this long, with a round every second')
            [CompletionResult]::new('--slow', '--slow', [CompletionResultType]::ParameterName, 'Call a connect or echo slow from here on, and a lookup from ten times this')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print the answer')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print the answer')
            [CompletionResult]::new('--evidence', '--evidence', [CompletionResultType]::ParameterName, 'Keep what the rules were given in a file, as JSON')
            [CompletionResult]::new('--helper', '--helper', [CompletionResultType]::ParameterName, 'Use this helper instead of the one built in')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Keep all that the helper says in a file')
            [CompletionResult]::new('--replay', '--replay', [CompletionResultType]::ParameterName, 'Take what was kept in a file, instead of looking')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('--passive', '--passive', [CompletionResultType]::ParameterName, 'Send nothing; watch the traffic that goes on between the two ends')
            [CompletionResult]::new('-4', '-4', [CompletionResultType]::ParameterName, 'IPv4 only')
            [CompletionResult]::new('--ipv4', '--ipv4', [CompletionResultType]::ParameterName, 'IPv4 only')
            [CompletionResult]::new('-6', '-6', [CompletionResultType]::ParameterName, 'IPv6 only')
            [CompletionResult]::new('--ipv6', '--ipv6', [CompletionResultType]::ParameterName, 'IPv6 only')
            [CompletionResult]::new('--until-fault', '--until-fault', [CompletionResultType]::ParameterName, 'Begin anew every second until an attempt fails, then tell why')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Look at this machine, as one node')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-skoop;diagnose;dns' {
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give an attempt up after this long [default: 2s, for lookups 5s]')
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'Go on for this long, with a round every second')
            [CompletionResult]::new('--slow', '--slow', [CompletionResultType]::ParameterName, 'Call a connect or echo slow from here on, and a lookup from ten times this')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print the answer')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print the answer')
            [CompletionResult]::new('--evidence', '--evidence', [CompletionResultType]::ParameterName, 'Keep what the rules were given in a file, as JSON')
            [CompletionResult]::new('--helper', '--helper', [CompletionResultType]::ParameterName, 'Use this helper instead of the one built in')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Keep all that the helper says in a file')
            [CompletionResult]::new('--replay', '--replay', [CompletionResultType]::ParameterName, 'Take what was kept in a file, instead of looking')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('-4', '-4', [CompletionResultType]::ParameterName, 'IPv4 only')
            [CompletionResult]::new('--ipv4', '--ipv4', [CompletionResultType]::ParameterName, 'IPv4 only')
            [CompletionResult]::new('-6', '-6', [CompletionResultType]::ParameterName, 'IPv6 only')
            [CompletionResult]::new('--ipv6', '--ipv6', [CompletionResultType]::ParameterName, 'IPv6 only')
            [CompletionResult]::new('--until-fault', '--until-fault', [CompletionResultType]::ParameterName, 'Begin anew every second until an attempt fails, then tell why')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Look at this machine, as one node')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-skoop;capture' {
            [CompletionResult]::new('--probe', '--probe', [CompletionResultType]::ParameterName, 'Probes to use, by name (see `probes`) [default: all but path and tcpstate]')
            [CompletionResult]::new('--netns', '--netns', [CompletionResultType]::ParameterName, 'Only of this network namespace, by name or path')
            [CompletionResult]::new('--pid', '--pid', [CompletionResultType]::ParameterName, 'Only of this process and its namespace')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Only with this address at either end')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Only with this port at either end')
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'End after this long')
            [CompletionResult]::new('--max-events', '--max-events', [CompletionResultType]::ParameterName, 'End after this many events')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print events')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print events')
            [CompletionResult]::new('--helper', '--helper', [CompletionResultType]::ParameterName, 'Use this helper instead of the one built in')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Keep all that the helper says in a file')
            [CompletionResult]::new('--replay', '--replay', [CompletionResultType]::ParameterName, 'Take what was kept in a file, instead of looking')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Look at this machine, as one node')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-skoop;probes' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print the list')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print the list')
            [CompletionResult]::new('--helper', '--helper', [CompletionResultType]::ParameterName, 'Use this helper instead of the one built in')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Keep all that the helper says in a file')
            [CompletionResult]::new('--replay', '--replay', [CompletionResultType]::ParameterName, 'Take what was kept in a file, instead of looking')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Look at this machine, as one node')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-skoop;rules' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print the list')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print the list')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-skoop;explain' {
            [CompletionResult]::new('--helper', '--helper', [CompletionResultType]::ParameterName, 'Use this helper instead of the one built in')
            [CompletionResult]::new('--record', '--record', [CompletionResultType]::ParameterName, 'Keep all that the helper says in a file')
            [CompletionResult]::new('--replay', '--replay', [CompletionResultType]::ParameterName, 'Take what was kept in a file, instead of looking')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Look at this machine, as one node')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show the helper''s own messages on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-skoop;schema' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-skoop;completion' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-skoop;__complete' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'kubectl-skoop;version' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'color')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
