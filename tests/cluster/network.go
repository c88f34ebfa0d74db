package main

import "fmt"

// hostLink is the one interface of the cluster that the host sees: to the router, so that it reaches the API server.
const hostLink = prefix + "0"

// link is a machine's cable to the router: `eth0` at its end, an interface of the machine's name at the router's.
type link struct {
	machine, address, pods string
	// Of machines that have IPv6.
	address6, pods6 string
}

// links are those of all machines with a namespace of their own but the router.
func links(nodes int) []link {
	list := []link{{machine: controlPlane, address: controlPlaneAddr}}
	for n := 1; n <= nodes; n++ {
		list = append(list, link{machine: nodeName(n), address: nodeAddr(n), pods: podRange(n), address6: nodeAddr6(n), pods6: podRange6(n)})
	}
	return list
}

// machineNetwork sets up a machine's end of its cable.
func machineNetwork(address string) []string {
	return []string{
		"ip link set lo up",
		fmt.Sprintf("ip address add %s/24 dev eth0; ip link set eth0 up", address),
		"ip route add default via " + gatewayAddr,
	}
}

// nodeNetwork6 is the same for IPv6 of one node among so many, with routes to the pods of other nodes. Its addresses are
// there at once: nobody else has them.
func nodeNetwork6(n, nodes int) []string {
	commands := []string{
		"sysctl -qw net.ipv6.conf.all.forwarding=1",
		fmt.Sprintf("ip address add %s/128 dev eth0 nodad", nodeAddr6(n)),
		fmt.Sprintf("ip -6 route add %s via %s dev eth0", network6, forwarder6),
		fmt.Sprintf("ip -6 route add default via %s dev eth0", gateway6),
	}
	for other := 1; other <= nodes; other++ {
		if other != n {
			commands = append(commands, fmt.Sprintf("ip -6 route add %s via %s dev eth0", podRange6(other), forwarder6))
		}
	}
	return commands
}

// routerMachine forwards between all machines. Each of them sees one network: for an address of another machine the
// router answers ARP with its own (proxy ARP), and a second interface on the same cable (a macvlan) is the default
// gateway. So a packet for a pod of another node takes the node's own route for that range, or, where that is missing,
// the default one, and ends at a gateway that does not know pods, as it does in a real network.
func routerMachine(p plan, coredns, lab string) Machine {
	setup := []string{
		"ip link set lo up",
		"sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0",
		"sysctl -qw net.ipv4.icmp_ratelimit=0",
		fmt.Sprintf("ip address add %s/32 dev lo; ip address add %s/32 dev lo", outsideAddr, resolverAddr),
		"ip route add unreachable default table 100",
		"sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.icmp.ratelimit=0",
		"ip -6 route add unreachable default table 100",
		fmt.Sprintf("ip address add %s/128 dev lo nodad", router6),
	}
	all := append(links(p.nodes), link{machine: "host", address: hostAddr})
	for _, l := range all {
		gateway := "gw-" + l.machine
		if len(gateway) > 15 {
			gateway = gateway[:15]
		}
		setup = append(setup,
			fmt.Sprintf("ip link set %s up; sysctl -qw net.ipv4.conf.%[1]s.proxy_arp=1 net.ipv4.neigh.%[1]s.proxy_delay=0 net.ipv4.conf.%[1]s.arp_ignore=1", l.machine),
			fmt.Sprintf("ip route add %s/32 dev %s", l.address, l.machine),
			fmt.Sprintf("ip link add link %s name %s type macvlan mode private; sysctl -qw net.ipv4.conf.%[2]s.arp_ignore=1", l.machine, gateway),
			fmt.Sprintf("ip address add %s/32 dev %s; ip link set %[2]s up", gatewayAddr, gateway),
			fmt.Sprintf("ip rule add iif %s lookup 100", gateway),
		)
		if l.address6 != "" {
			setup = append(setup,
				fmt.Sprintf("ip address add %s/64 dev %s nodad; ip -6 route add %s/128 dev %[2]s", forwarder6, l.machine, l.address6),
				fmt.Sprintf("ip -6 route add %s via %s dev %s onlink", l.pods6, l.address6, l.machine),
				fmt.Sprintf("ip address add %s/64 dev %s nodad; ip -6 rule add iif %[2]s lookup 100", gateway6, gateway),
			)
		}
		if l.pods != "" && p.routesPods() {
			setup = append(setup, fmt.Sprintf("ip route add %s via %s dev %s onlink", l.pods, l.address, l.machine))
		}
	}
	return Machine{
		Name:  router,
		Setup: setup,
		Services: []Service{
			{Name: "resolver", Argv: []string{coredns, "-conf", inRun(router, "Corefile")}},
			{Name: "web", Argv: []string{lab, "http", outsideAddr + ":80"}},
		},
	}
}

// outsideCorefile is the resolver of the world outside: it knows one host, and answers at once that there is no other.
const outsideCorefile = `outside.example {
    bind ` + resolverAddr + `
    hosts {
        ` + outsideAddr + ` www.outside.example
    }
    errors
}
. {
    bind ` + resolverAddr + `
    template ANY ANY {
        rcode NXDOMAIN
        authority ". 60 IN SOA ns.outside.example. admin.outside.example. 1 60 60 60 60"
    }
    errors
}
`
