package main

import (
	_ "embed"
	"fmt"
)

//go:embed dual-stack.yaml
var dualStackManifest string

// bridge is the cluster's own network: a bridge on each node, and routes between them. It enforces no policies.
var bridge = plugin{name: "bridge", routesPods: true, manifest: dualStackManifest, add: addBridge}

// dualStack is the runtime class whose pods have an address of each family; all others have one of IPv4.
const dualStack = "dual-stack"

// bridgeConfig: a bridge, and addresses from the node's own ranges.
const bridgeConfig = `{
  "cniVersion": "1.0.0",
  "name": "skoop",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isDefaultGateway": true,
      "hairpinMode": true,
      "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": [%s]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

func addBridge(node *Machine, _ *authority, n int, p plan) error {
	single, err := node.write("single.conflist", fmt.Sprintf(bridgeConfig, subnet(podRange(n))))
	if err != nil {
		return err
	}
	dual, err := node.write("dual.conflist", fmt.Sprintf(bridgeConfig, subnet(podRange(n))+", "+subnet(podRange6(n))))
	if err != nil {
		return err
	}
	for other := 1; other <= p.nodes; other++ {
		if other != n {
			node.Setup = append(node.Setup, fmt.Sprintf("ip route add %s via %s", podRange(other), nodeAddr(other)))
		}
	}
	node.Setup = append(node.Setup,
		masquerade(n, p.proxyMode(n)),
		"cp "+single+" /etc/cni/net.d/",
		"mkdir -p /etc/cni/"+dualStack+" && cp "+dual+" /etc/cni/"+dualStack+"/",
	)
	return nil
}

// subnet is a range of addresses as the plugin for them has it.
func subnet(addresses string) string { return fmt.Sprintf(`[{"subnet": %q}]`, addresses) }

// masquerade hides pods of node n behind it when they talk to anything but pods, with the node's own kind of rules.
func masquerade(n int, rules string) string {
	if rules == "iptables" {
		return fmt.Sprintf("iptables -w -t nat -N POD-MASQ; iptables -w -t nat -A POSTROUTING -s %s -j POD-MASQ;"+
			"iptables -w -t nat -A POD-MASQ -d %s -j RETURN; iptables -w -t nat -A POD-MASQ -j MASQUERADE", podRange(n), podNetwork)
	}
	return fmt.Sprintf("nft 'table ip pod-masq { chain postrouting { type nat hook postrouting priority srcnat;"+
		" ip saddr %s ip daddr != %s counter masquerade; }; }'", podRange(n), podNetwork)
}
